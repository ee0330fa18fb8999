"""`jouleloop profile` as people, scripts and other plugins use it."""

from __future__ import annotations

import io
import json
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import device_profiles
from edge_runtime.wire.bundle import GOLDEN, Bundle, native_elf_name, read_bundle, write_bundle
from edge_runtime.wire.image import parse_image
from edge_runtime.wire.module import parse_module
from export.graph import Rounding
from export.interpret import run
from export.pipeline import ExportOptions, export_model
from export.render.tflite import render_tflite
from hil_tests.profiler import read_symbols
from jouleloop.elf import Elf
from tests.export.random_graphs import mlp, packed, rows

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from export.graph import QGraph

pytestmark = pytest.mark.qemu

JOULELOOP = str(Path(sys.executable).with_name("jouleloop"))
DEVICES = ("mps2-an385", "mps2-an386", "mps2-an505", "corstone-300")
WIDTHS = (12, 16, 16, 4)


@dataclass(frozen=True, eq=False)
class Example:
    """A model, its bundle for each device, and rows with the outputs that are right."""

    graph: QGraph
    bundles: dict[str, Path]
    rows: NDArray[np.int8]
    rows_path: Path
    outputs: NDArray[np.int8]


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> Example:
    folder = tmp_path_factory.mktemp("example")
    graph = mlp(WIDTHS, 5, Rounding.DOUBLE, has_residual=True)
    model = folder / "model.tflite"
    model.write_bytes(render_tflite(graph, producer="a test"))
    bundles = {}
    for device in (*DEVICES, "rp2040", "raspberry-pi-4b"):
        options = ExportOptions(rounding=Rounding.DOUBLE)
        bundle = export_model(model, device_profiles.load(device), options)
        bundles[device] = folder / f"{device}.jlb"
        write_bundle(bundle, bundles[device])
    given = rows(graph, 24)
    outputs = run(graph, given)[graph.outputs[0]]
    np.save(folder / "rows.npy", packed(given))
    return Example(
        graph, bundles, packed(given), folder / "rows.npy", outputs.reshape(len(outputs), -1)
    )


def run_profile(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [JOULELOOP, "profile", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def record_of(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    record: dict[str, Any] = json.loads(done.stdout)
    return record


@pytest.mark.parametrize("device", DEVICES)
def test_outputs_and_figures_of_a_core(example: Example, device: str, tmp_path: Path) -> None:
    out = tmp_path / "out.npy"
    record = record_of(
        run_profile(
            *(example.bundles[device], "--target", "qemu", "--input", example.rows_path),
            *("--output", out, "--json"),
        )
    )

    got = np.load(out)
    assert got.dtype == np.int8
    np.testing.assert_array_equal(got, example.outputs)
    assert record["inferences"] == len(example.rows)
    assert record["instructions_smallest"] <= record["instructions"]
    assert record["instructions"] <= record["instructions_largest"]
    layers = sum(layer["instructions"] for layer in record["layers"])
    assert layers == pytest.approx(record["instructions"])
    assert sum(record["classes"].values()) == pytest.approx(record["instructions"])
    macs = sum(layer["macs"] for layer in record["layers"])
    assert macs == 12 * 16 + 16 * 16 + 16 * 4
    cycles = record["estimated_cycles"]
    assert record["instructions"] * 0.5 < cycles["low"] <= cycles["value"] <= cycles["high"]
    assert "estimated" in cycles["source"]
    assert 0 < record["painted_stack_bytes"] <= record["stack_bytes"]


@pytest.mark.parametrize("device", DEVICES)
def test_sizes_are_those_of_the_module(example: Example, device: str, tmp_path: Path) -> None:
    keep = tmp_path / "keep"
    record = record_of(run_profile(example.bundles[device], "--keep", keep, "--json"))
    bundle = read_bundle(example.bundles[device])
    module = (keep / "module.bin").read_bytes()
    header = parse_module(module)
    assert module == parse_image(bundle.native).payload
    weights = len(Elf(bundle.file(native_elf_name(device))).section(".weights").content)
    assert record["weights_flash_bytes"] + record["packing_flash_bytes"] == weights
    assert record["code_flash_bytes"] + record["weights_flash_bytes"] == len(module)
    assert record["arena_bytes"] == header.arena_bytes + WIDTHS[0] + WIDTHS[-1]
    assert record["stack_bytes"] == header.stack_bytes


def test_without_rows_it_runs_the_golden_ones(example: Example, tmp_path: Path) -> None:
    path = example.bundles["mps2-an386"]
    record = record_of(run_profile(path, "--output", tmp_path / "out.npy", "--json"))
    with np.load(io.BytesIO(read_bundle(path).file(GOLDEN))) as golden:
        expected = golden["outputs"].reshape(len(golden["outputs"]), -1)
    np.testing.assert_array_equal(np.load(tmp_path / "out.npy"), expected)
    assert record["inferences"] == len(expected)


def test_the_map_names_the_layer_of_each_symbol(example: Example, tmp_path: Path) -> None:
    record = record_of(run_profile(example.bundles["mps2-an386"], "--keep", tmp_path, "--json"))
    kept = json.loads((tmp_path / "map.json").read_text())
    names = {layer["name"] for layer in read_bundle(example.bundles["mps2-an386"]).cost["layers"]}
    assert {symbol["layer"] for symbol in kept["symbols"]} - {None} == names
    assert names <= {layer["name"] for layer in record["layers"]}
    end = kept["module_base"] + len((tmp_path / "module.bin").read_bytes())
    for symbol in kept["symbols"]:
        assert kept["module_base"] <= symbol["address"] < end
        assert symbol["address"] + symbol["bytes"] <= end
    markers = {symbol.name for symbol in read_symbols(tmp_path / "firmware.elf")}
    assert {"jl_infer_begin", "jl_infer_end"} <= markers


def traced_instructions(folder: Path) -> list[int]:
    """Count each inference by QEMU's own log of executed blocks, one instruction in each."""
    command = (folder / "command.txt").read_text()
    assert command.endswith(" -plugin PLUGIN.so\n")
    words = shlex.split(command.removesuffix(" -plugin PLUGIN.so\n"))
    extra = ["-singlestep", "-d", "exec,nochain", "-D", "trace.log"]
    subprocess.run([*words, *extra], cwd=folder, check=True, timeout=120)
    address = {s.name: s.address & ~1 for s in read_symbols(folder / "firmware.elf")}
    counts, count = [], None
    with (folder / "trace.log").open() as lines:
        for line in lines:
            # "Trace 0: host address [cs base/program counter/flags/compile flags]"; a block that
            # was left before its first instruction is taken back by a line of its own.
            if line.startswith("Stopped execution"):
                count = None if count is None else count - 1
                continue
            found = re.match(r"Trace 0: \S+ \[[0-9a-f]+/([0-9a-f]+)/", line)
            if found is None:
                continue
            place = int(found[1], 16)
            if place == address["jl_infer_begin"]:
                count = 0
            elif place == address["jl_infer_end"]:
                assert count is not None
                counts.append(count)
                count = None
            elif count is not None:
                count += 1
    return counts


@pytest.mark.parametrize("device", ["mps2-an385", "mps2-an386", "corstone-300"])
def test_another_counter_counts_the_same(example: Example, device: str, tmp_path: Path) -> None:
    few = tmp_path / "few.npy"
    np.save(few, example.rows[:3])
    keep = tmp_path / "keep"
    path = example.bundles[device]
    record = record_of(run_profile(path, "--input", few, "--keep", keep, "--json"))
    first = (keep / "out.bin").read_bytes()
    counts = traced_instructions(keep)
    assert len(counts) == 3
    assert sum(counts) / 3 == record["instructions"]
    assert (min(counts), max(counts)) == (
        record["instructions_smallest"],
        record["instructions_largest"],
    )
    assert (keep / "out.bin").read_bytes() == first


def test_images_may_keep_their_shape_and_a_second_run_says_the_same(
    example: Example, tmp_path: Path
) -> None:
    np.save(tmp_path / "shaped.npy", example.rows.reshape(-1, 1, 3, 4))
    path = example.bundles["mps2-an386"]
    first = record_of(run_profile(path, "--input", example.rows_path, "--json"))
    again = record_of(run_profile(path, "--input", tmp_path / "shaped.npy", "--json"))
    assert first == again


def test_people_get_tables_and_a_flame_graph(example: Example, tmp_path: Path) -> None:
    flame = tmp_path / "flame.svg"
    done = run_profile(example.bundles["mps2-an386"], "--flame", flame)
    assert done.returncode == 0, done.stderr
    for word in ("instr/MAC", "estimated cycles", "arena", "stack", "modelled", "load-multiple"):
        assert word in done.stdout
    assert flame.read_text().startswith("<svg")


def refused(done: subprocess.CompletedProcess[str], *words: str) -> None:
    assert done.returncode == 1, done.stderr
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    for word in words:
        assert word in done.stderr


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (np.zeros((3, 12), np.float32), ("float32", "int8 rows")),
        (np.zeros((3, 12), np.uint8), ("uint8", "int8 rows")),
        (np.zeros((3, 13), np.int8), ("(3, 13)", "int8 [n, 12]")),
        (np.zeros(12, np.int8), ("(12,)", "int8 rows")),
        (np.zeros((0, 12), np.int8), ("(0, 12)", "int8 rows")),
        (np.zeros((3, 0), np.int8), ("(3, 0)", "int8")),
        (np.array([{}]), ("cannot read rows",)),
        (b"not numpy", ("cannot read rows",)),
        (b"", ("cannot read rows",)),
    ],
    ids=["float", "unsigned", "too wide", "one row", "no rows", "no bytes", "pickle", "text", "0"],
)
def test_bad_rows_are_named(
    example: Example, content: Any, words: tuple[str, ...], tmp_path: Path
) -> None:
    bad = tmp_path / "bad.npy"
    if isinstance(content, bytes):
        bad.write_bytes(content)
    else:
        np.save(bad, content)
    done = run_profile(example.bundles["mps2-an386"], "--input", bad, "--json")
    refused(done, *words)


def test_an_archive_of_arrays_is_no_rows(example: Example, tmp_path: Path) -> None:
    np.savez(tmp_path / "rows.npz", rows=example.rows)
    done = run_profile(example.bundles["mps2-an386"], "--input", tmp_path / "rows.npz")
    refused(done, "an archive", "int8 rows")


def test_missing_files_are_named(example: Example, tmp_path: Path) -> None:
    path = example.bundles["mps2-an386"]
    refused(run_profile(path, "--input", tmp_path / "none.npy"), "none.npy")
    refused(run_profile(tmp_path / "none.jlb"), "none.jlb")
    refused(run_profile(path, "--output", tmp_path / "none" / "out.npy", "--json"), "none/out.npy")
    (tmp_path / "file").touch()
    refused(run_profile(path, "--keep", tmp_path / "file"), "file")


def test_what_has_no_code_or_no_emulated_core_is_refused(example: Example, tmp_path: Path) -> None:
    done = run_profile(example.bundles["raspberry-pi-4b"], "--json")
    refused(done, "raspberry-pi-4b", "no model.raspberry-pi-4b.bin")
    refused(run_profile(example.bundles["rp2040"], "--json"), "cortex-m0plus", "cortex-m4f")
    (tmp_path / "broken.jlb").write_bytes(b"PK not a zip")
    refused(run_profile(tmp_path / "broken.jlb"), "broken.jlb")


def test_a_bundle_whose_elf_is_gone_is_named(example: Example, tmp_path: Path) -> None:
    bundle = read_bundle(example.bundles["mps2-an386"])
    elf = native_elf_name("mps2-an386")
    files = {name: content for name, content in bundle.files.items() if name != elf}
    changed = Bundle(**{**vars(bundle), "files": files})
    write_bundle(changed, tmp_path / "changed.jlb")
    refused(run_profile(tmp_path / "changed.jlb"), elf)


def test_an_unknown_target_is_wrong_usage(example: Example) -> None:
    done = run_profile(example.bundles["mps2-an386"], "--target", "moon")
    assert done.returncode == 2
