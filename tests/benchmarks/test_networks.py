"""The networks of the benchmarks: their shapes, their file in LiteRT, their modules on QEMU."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

import device_profiles
from benchmarks._compiler import SHARED
from benchmarks._networks import NETWORKS, write_network
from edge_runtime.wire.image import parse_image
from edge_runtime.wire.module import SelfTest, parse_module
from export.frontend.tflite import read_tflite
from export.graph import Rounding
from export.interpret import run, run_all
from export.link import link_module
from export.ops import OPERATORS
from export.optimize import Optimize
from export.passes import lower
from export.pipeline import ExportOptions, export_model
from export.render.c import render_c
from export.specs import tensor_specs
from export.verify import calls
from hil_tests.runner import prepare_run, run_module, runner_board
from tests.export.graphs import REFERENCE, rows_for, run_litert
from tests.export.random_graphs import packed
from tests.shared_data import shared_file

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from export.graph import QGraph
    from hil_tests.runner import ModuleRun

DEVICES = ("mps2-an385", "mps2-an386", "corstone-300")
MACS = {
    "mobilenet_v1_025_96": 7_489_664,  # as MLPerf Tiny's vww
    "resnet_8_32": 12_501_632,  # as its ic
    "ds_cnn_49x10": 2_656_768,  # as its kws
    "residual_mlp": 32 * 64 + 6 * 64 * 64 + 64 * 8,
}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("networks")
    return {name: write_network(name, folder) for name in NETWORKS}


def run_on(device: str, module: bytes, rows: NDArray[np.int8], folder: Path) -> ModuleRun:
    board = runner_board(device_profiles.load(device).core)
    command = prepare_run(folder, board, module, rows)
    return run_module(folder, command, sum(spec.size for spec in parse_module(module).outputs))


@pytest.mark.pure
@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_has_the_shape_of_its_model(
    name: str, files: dict[str, Path], tmp_path: Path
) -> None:
    graph = read_tflite(files[name], Rounding.DOUBLE)
    assert sum(OPERATORS[call.node.op].macs(call) for call in calls(graph)) == MACS[name]
    assert write_network(name, tmp_path).read_bytes() == files[name].read_bytes()
    # Rows that all end alike would compare nothing.
    rows = rows_for(graph, 10)
    answers = run(graph, rows)[graph.outputs[0]]
    assert len(np.unique(answers.reshape(len(answers), -1), axis=0)) > len(answers) // 2


@pytest.mark.pure
@pytest.mark.parametrize("name", NETWORKS)
def test_every_tensor_is_litert_s_up_to_the_first_fully_connected_layer(
    name: str, files: dict[str, Path]
) -> None:
    graph = read_tflite(files[name], Rounding.DOUBLE)
    rows = rows_for(graph, 4)
    made = run_all(graph, rows)
    theirs = run_litert(files[name].read_bytes(), rows, kernels=REFERENCE, tensors=list(made))
    compared = 0
    for call in calls(graph):
        if call.node.op == "FULLY_CONNECTED":
            break  # LiteRT rounds once there
        tensor = call.output.name
        assert np.array_equal(made[tensor].reshape(-1), theirs[tensor].reshape(-1)), call.node.name
        compared += 1
    assert compared == (0 if name == "residual_mlp" else len(graph.nodes) - 2)


@pytest.mark.pure
def test_the_mlp_is_litert_s_under_single_rounding(files: dict[str, Path]) -> None:
    # A sum's inputs come from layers that round once, so this one is exact throughout.
    graph = read_tflite(files["residual_mlp"], Rounding.SINGLE)
    rows = rows_for(graph, 20)
    theirs = run_litert(files["residual_mlp"].read_bytes(), rows)[graph.outputs[0]]
    got = run(graph, rows)[graph.outputs[0]]
    assert np.array_equal(got.reshape(-1), theirs.reshape(-1))


def exported_module(path: Path, device: str, optimize: Optimize = Optimize.SPEED) -> bytes:
    options = ExportOptions(rounding=Rounding.DOUBLE, native=True, optimize=optimize)
    bundle = export_model(path, device_profiles.load(device), options)
    return parse_image(bundle.native).payload


@pytest.mark.qemu
@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("name", NETWORKS)
def test_the_exported_module_equals_the_interpreter(
    name: str, device: str, files: dict[str, Path], tmp_path: Path
) -> None:
    graph = read_tflite(files[name], Rounding.DOUBLE)
    rows = rows_for(graph, 10)
    module = exported_module(files[name], device)
    ran = run_on(device, module, packed(rows), tmp_path)
    expected = run(graph, rows)[graph.outputs[0]]
    np.testing.assert_array_equal(ran.outputs, expected.reshape(len(ran.outputs), -1))
    assert len(ran.outputs) == 23
    assert 0 < ran.stack_bytes <= parse_module(module).stack_bytes


@pytest.mark.qemu
@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("name", SHARED)
def test_a_shared_model_on_a_core_is_what_tensorflow_lite_micro_computed(
    name: str, device: str, tmp_path: Path
) -> None:
    path = shared_file(f"{SHARED[name]}/{name}.tflite")
    golden = np.load(path.with_name(f"{name}.tflm_golden.npz"))
    rows = golden["inputs"].reshape(len(golden["inputs"]), -1)
    ran = run_on(device, exported_module(path, device), rows, tmp_path)
    np.testing.assert_array_equal(ran.outputs, golden["outputs"].reshape(len(rows), -1))


@pytest.mark.qemu
@pytest.mark.parametrize("name", ["ds_cnn_49x10", "residual_mlp"])
def test_the_smallest_arena_gives_the_same_outputs(
    name: str, files: dict[str, Path], tmp_path: Path
) -> None:
    graph = read_tflite(files[name], Rounding.DOUBLE)
    rows = rows_for(graph, 10)
    fast, small = (exported_module(files[name], "mps2-an386", mode) for mode in Optimize)
    assert parse_module(small).arena_bytes <= parse_module(fast).arena_bytes
    ran = run_on("mps2-an386", small, packed(rows), tmp_path)
    expected = run(graph, rows)[graph.outputs[0]]
    np.testing.assert_array_equal(ran.outputs, expected.reshape(len(ran.outputs), -1))


def every_tensor_is_an_output(graph: QGraph) -> QGraph:
    """Each layer is then compared by itself, and the first that is wrong is named."""
    seen = [node.outputs[0] for node in graph.nodes if node.op != "RESHAPE"]
    return replace(graph, outputs=tuple(seen))


@pytest.mark.qemu
@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("name", NETWORKS)
def test_every_layer_of_the_module_equals_the_interpreter(
    name: str, device: str, files: dict[str, Path], tmp_path: Path
) -> None:
    profile = device_profiles.load(device)
    graph = every_tensor_is_an_output(lower(read_tflite(files[name], Rounding.DOUBLE), profile))
    inputs, outputs = tensor_specs(graph)
    program = render_c(graph, profile.core, producer="a test", model_sha256="")
    module = link_module(
        program,
        profile.core,
        inputs=inputs,
        outputs=outputs,
        self_test=SelfTest(0, b"", b"", ()),
        model_sha256=bytes(32),
    )
    rows = rows_for(graph, 2)
    ran = run_on(device, module.content, packed(rows), tmp_path)
    answers = run(graph, rows)
    at = 0
    for node_output in graph.outputs:
        expected = answers[node_output].reshape(len(ran.outputs), -1)
        got = ran.outputs[:, at : at + expected.shape[1]]
        np.testing.assert_array_equal(got, expected, err_msg=node_output)
        at += expected.shape[1]
    assert at == ran.outputs.shape[1]
