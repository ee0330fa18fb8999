"""From a checkpoint to a bundle, for every kind of device."""

from __future__ import annotations

import hashlib
import io
import json
from typing import TYPE_CHECKING

import numpy as np
import onnxruntime
import pytest

import device_profiles
from edge_runtime.wire.bundle import (
    GOLDEN,
    ONNX,
    OPERATORS,
    TFLITE,
    native_elf_name,
    read_bundle,
    write_bundle,
)
from edge_runtime.wire.image import parse_image
from edge_runtime.wire.module import parse_module
from export.budget import Battery, Budget
from export.graph import Rounding
from export.optimize import Optimize
from export.pipeline import STAGES, ExportOptions, export_model
from jouleloop.elf import Elf
from jouleloop.errors import InputError, MissingFigureError, OverBudgetError
from tests.export.checkpoints import write_checkpoint
from tests.export.graphs import run_litert

if TYPE_CHECKING:
    from pathlib import Path

    from edge_runtime.wire.bundle import Bundle

pytestmark = pytest.mark.host_c

NATIVE = ("mps2-an386", "rp2040", "stm32f405", "corstone-300", "mps2-an385")
PORTABLE = ("raspberry-pi-5", "esp32-s3")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_checkpoint(tmp_path_factory.mktemp("checkpoint"), (12, 24, 24, 4))


def export(checkpoint: Path, device: str, **options: object) -> Bundle:
    given = ExportOptions(**options)  # type: ignore[arg-type]  # by name, as the command gives them
    return export_model(checkpoint, device_profiles.load(device), given)


@pytest.mark.parametrize("device", NATIVE)
def test_a_microcontroller_gets_a_module(checkpoint: Path, device: str) -> None:
    bundle, profile = export(checkpoint, device), device_profiles.load(device)
    module = parse_image(bundle.native).payload
    header = parse_module(module)
    assert header.kernel_class == profile.core.kernel_class
    assert header.model_sha256 == hashlib.sha256(bundle.file(TFLITE)).digest()
    assert [tensor.shape for tensor in header.inputs] == [(1, 12)]
    cost = bundle.cost
    assert cost["flash"]["module_bytes"] == len(module)
    assert cost["flash"]["code_bytes"] + cost["flash"]["weights_bytes"] == len(module)
    assert cost["flash"]["limit_bytes"] == profile.flash_bytes
    # Each weight a byte; each channel at most a bias, a multiplier and a shift of four bytes.
    weights, channels = 12 * 24 + 24 * 24 + 24 * 4, 24 + 24 + 4
    assert weights + 4 * channels <= cost["flash"]["weights_bytes"] <= weights + 12 * channels
    tables = Elf(bundle.file(native_elf_name(device))).section(".weights").content
    assert cost["flash"]["weights_bytes"] + cost["flash"]["packing_bytes"] == len(tables)
    assert cost["flash"]["packing_bytes"] >= 0
    assert cost["ram"]["arena_bytes"] == header.arena_bytes
    assert cost["ram"]["stack_bytes"] == header.stack_bytes
    assert (
        cost["instructions"]["low"] <= cost["instructions"]["value"] <= cost["instructions"]["high"]
    )
    layers = cost["layers"]
    assert [layer["macs"] for layer in layers] == [12 * 24, 24 * 24, 24 * 4]
    total = sum(layer["instructions"] for layer in layers)
    assert total == pytest.approx(cost["instructions"]["value"], abs=len(layers))
    states = cost["energy"]["states"]
    if "inference" in states:
        shared = sum(layer["joules"] for layer in layers)
        assert shared == pytest.approx(states["inference"]["joules"])
        assert cost["energy_device"] == (profile.stands_for or device)
    else:
        assert cost["energy_device"] is None
        assert cost["energy"]["missing"]["inference"] == "power.active_w"


@pytest.mark.parametrize("device", PORTABLE)
def test_other_devices_get_portable_files(checkpoint: Path, device: str) -> None:
    bundle = export(checkpoint, device)
    assert sorted(bundle.files) == [
        "cost.json",
        "golden.npz",
        "model.onnx",
        "model.tflite",
        "operators.json",
    ]
    assert bundle.cost["flash"] is None
    assert bundle.cost["energy"] is None
    assert [layer["instructions"] for layer in bundle.cost["layers"]] == [None] * 3
    with pytest.raises(InputError, match=f"{device} gets no native module: ") as caught:
        export(checkpoint, device, native=True)
    assert device_profiles.load(device).no_native_reason in caught.value.message


@pytest.mark.parametrize("device", ["mps2-an386", "raspberry-pi-5"])
def test_the_operator_table_says_what_runs(checkpoint: Path, device: str) -> None:
    bundle = export(checkpoint, device)
    operators = json.loads(bundle.file(OPERATORS))["operators"]
    assert [operator["op"] for operator in operators] == ["FULLY_CONNECTED"] * 3
    assert [operator["macs"] for operator in operators] == [12 * 24, 24 * 24, 24 * 4]
    first, last = operators[0], operators[-1]
    source, weights, bias = first["inputs"]
    assert (source["name"], source["shape"], source["dtype"]) == ("observation", [1, 12], "int8")
    assert source["quantisation"]["scale"] == [bundle.inputs[0].scale]
    assert source["quantisation"]["zero_point"] == [bundle.inputs[0].zero_point]
    assert (weights["shape"], weights["is_constant"]) == ([24, 12], True)
    assert (len(weights["quantisation"]["scale"]), weights["quantisation"]["axis"]) == (24, 0)
    assert bias["dtype"] == "int32"
    assert last["outputs"][0]["name"] == "scores"
    assert "activation" in first["attributes"]
    is_native = device == "mps2-an386"
    assert all(isinstance(operator["kernel"], str) == is_native for operator in operators)


def test_each_mode_says_what_both_take(checkpoint: Path) -> None:
    speed, memory = (export(checkpoint, "mps2-an386", optimize=mode).cost for mode in Optimize)
    assert (speed["optimize"], memory["optimize"]) == ("speed", "memory")
    assert speed["modes"] == memory["modes"]
    for cost in (speed, memory):
        taken = cost["modes"][cost["optimize"]]
        assert taken["arena_bytes"] == cost["ram"]["arena_bytes"]
        assert taken["instructions"] == pytest.approx(cost["instructions"]["value"], abs=1)
        assert cost["ram"]["arena_lower_bound_bytes"] <= cost["ram"]["arena_bytes"]
        assert cost["ram"]["arena_is_smallest"]
    assert memory["ram"]["arena_bytes"] < speed["ram"]["arena_bytes"]
    assert memory["instructions"]["value"] > speed["instructions"]["value"]


def test_a_module_can_be_left_out(checkpoint: Path) -> None:
    assert "model.rp2040.bin" not in export(checkpoint, "rp2040", native=False).files


@pytest.mark.parametrize("rounding", list(Rounding))
def test_golden_rows_are_what_the_files_compute(checkpoint: Path, rounding: Rounding) -> None:
    bundle = export(checkpoint, "mps2-an386", rounding=rounding)
    with np.load(io.BytesIO(bundle.file(GOLDEN))) as golden:
        inputs, outputs = golden["inputs"], golden["outputs"]
    assert (inputs.dtype, outputs.dtype) == (np.int8, np.int8)
    assert inputs.shape == (len(outputs), 12)
    assert np.isin(outputs, (-128, 127)).any(), "some rows saturate"
    assert {-128, 127} <= set(inputs[-1].tolist())
    rows = {"observation": inputs.reshape(-1, 1, 12)}
    by_litert = run_litert(bundle.file(TFLITE), rows)["scores"].reshape(outputs.shape)
    session = onnxruntime.InferenceSession(bundle.file(ONNX))
    by_onnx = np.stack([session.run(None, {"observation": row[None]})[0][0] for row in inputs])
    if rounding is Rounding.SINGLE:
        np.testing.assert_array_equal(by_litert, outputs)
    for other in (by_litert, by_onnx):
        assert np.abs(other.astype(int) - outputs).max() <= (
            1 if rounding is Rounding.SINGLE else 2
        )


def test_the_same_checkpoint_gives_the_same_bundle(checkpoint: Path, tmp_path: Path) -> None:
    contents = []
    for name in ("first.jlb", "second.jlb"):
        write_bundle(export(checkpoint, "corstone-300"), tmp_path / name)
        contents.append((tmp_path / name).read_bytes())
    assert contents[0] == contents[1]
    again = read_bundle(tmp_path / "first.jlb")
    assert (again.name, again.family, again.rounding) == ("policy", "policy", "single")
    assert [(spec.name, spec.shape) for spec in again.inputs] == [("observation", (1, 12))]
    assert again.card["producer"] == "a test"


def test_budgets_refuse_with_the_numbers(checkpoint: Path) -> None:
    for budget, pattern in (
        (Budget(flash_bytes=1000), r"B of flash; the limit is 1,000 B \(--budget-flash\)"),
        (Budget(joules_per_decision=1e-9), "the budget is 1 nJ, --budget-joules"),
    ):
        with pytest.raises(OverBudgetError, match=pattern) as caught:
            export(checkpoint, "mps2-an386", budget=budget)
        layers = [row for row in caught.value.rows if row[0].startswith("  ")]
        assert len(layers) == 3


def test_a_budget_that_holds_is_written_down(checkpoint: Path) -> None:
    battery = Battery(joules=20_000.0, days=365.0, decisions_per_day=96.0)
    budget = Budget(flash_bytes=100_000, ram_bytes=10_000, battery=battery)
    cost = export(checkpoint, "mps2-an386", budget=budget).cost
    assert cost["flash"]["limit_bytes"] == 100_000
    assert cost["flash"]["limit_source"] == "--budget-flash"
    assert cost["budget"]["joules_per_decision"] == pytest.approx((20_000 - 146) / 35_040, rel=0.1)
    larger = export(checkpoint, "rp2040", budget=Budget(ram_bytes=10**9)).cost
    assert larger["ram"]["limit_source"] == "rp2040.toml"


def test_the_ram_that_a_port_gives_is_the_limit(checkpoint: Path) -> None:
    # Of 192 KiB, 64 are not used, and 20 are the firmware's.
    assert export(checkpoint, "stm32f405").cost["ram"]["limit_bytes"] == 108 * 1024


def test_a_budget_needs_the_figures_that_it_asks_for(checkpoint: Path) -> None:
    with pytest.raises(MissingFigureError, match=r"corstone-300\.toml has no figure power"):
        export(checkpoint, "corstone-300", budget=Budget(joules_per_decision=1.0))


def test_every_stage_can_be_looked_at(checkpoint: Path, tmp_path: Path) -> None:
    export(checkpoint, "mps2-an386", dump=tmp_path / "dump")
    names = sorted(path.name for path in (tmp_path / "dump").iterdir())
    for stage in ("frontend.txt", "drop_float_boundary.txt", "model.c", "plan.txt", "module.elf"):
        assert any(name.endswith(f"-{stage}") for name in names), stage
    (plan,) = (tmp_path / "dump").glob("*-plan.txt")
    assert "0 above the fullest layer, no plan is smaller" in plan.read_text()
    assert "#####" in plan.read_text()
    text = (tmp_path / "dump" / names[0]).read_text()
    assert "FULLY_CONNECTED node_linear" in text
    assert "QUANTIZE" in text


def test_progress_counts_every_stage(checkpoint: Path) -> None:
    seen: list[tuple[int, int]] = []
    export_model(
        checkpoint,
        device_profiles.load("raspberry-pi-5"),
        ExportOptions(),
        progress=lambda done, total: seen.append((done, total)),
    )
    assert seen == [(i + 1, len(STAGES)) for i in range(len(STAGES))]


def test_cost_is_json_without_surprises(checkpoint: Path) -> None:
    record = json.loads(export(checkpoint, "mps2-an386").file("cost.json"))
    assert set(record) == {
        "device",
        "energy_device",
        "flash",
        "ram",
        "layers",
        "instructions",
        "energy",
        "optimize",
        "modes",
        "budget",
    }
