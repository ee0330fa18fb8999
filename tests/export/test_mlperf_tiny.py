"""Whole models of MLPerf Tiny, and an MLP: exact against LiteRT and TensorFlow Lite Micro."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from ai_edge_litert.interpreter import OpResolverType

from export.frontend.tflite import read_tflite
from export.graph import Rounding
from export.interpret import run, run_all
from export.ops import OPERATORS
from export.verify import calls
from tests.export.graphs import REFERENCE, rows_for, run_litert
from tests.export.host_c import run_c
from tests.shared_data import shared_file

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from export.graph import QGraph

KWS = "mlperf_tiny/kws_ref_model"
FULLY_CONNECTED_MODELS = ("mlperf_tiny/ad01_int8", "mlp_32_64_64_8")
MODELS = (KWS, *FULLY_CONNECTED_MODELS)


def _read(name: str, rounding: Rounding) -> tuple[QGraph, bytes]:
    path = shared_file(f"data/{name}.tflite")
    graph = read_tflite(path, rounding)
    return graph, path.read_bytes()


def _golden(graph: QGraph, name: str) -> tuple[dict[str, NDArray[np.int8]], NDArray[np.int8]]:
    golden = np.load(shared_file(f"data/{name}.tflm_golden.npz"))
    source = graph.tensors[graph.inputs[0]]
    rows = golden["inputs"].reshape(-1, *source.shape)
    outputs = golden["outputs"].reshape(-1, *graph.tensors[graph.outputs[0]].shape)
    return {graph.inputs[0]: rows}, outputs


@pytest.mark.pure
@pytest.mark.parametrize("name", MODELS)
def test_double_is_what_tensorflow_lite_micro_computed(name: str) -> None:
    graph, _ = _read(name, Rounding.DOUBLE)
    rows, outputs = _golden(graph, name)
    got = run(graph, rows)[graph.outputs[0]]
    assert np.array_equal(got.reshape(outputs.shape), outputs)


@pytest.mark.pure
def test_every_tensor_of_kws_is_what_litert_reference_kernels_compute() -> None:
    graph, content = _read(KWS, Rounding.DOUBLE)
    rows = rows_for(graph, 1000)
    made = run_all(graph, rows)
    theirs = run_litert(content, rows, kernels=REFERENCE, tensors=list(made))
    for call in calls(graph):
        name, source = call.output.name, call.input(0).name
        got = made[name]
        if call.node.op == "FULLY_CONNECTED":
            continue  # LiteRT rounds once there
        if call.node.op == "SOFTMAX":
            # It follows the fully connected layer, so it is given what LiteRT gave it.
            (got,) = OPERATORS["SOFTMAX"].reference(call, theirs[source])
        assert np.array_equal(got.reshape(-1), theirs[name].reshape(-1)), call.node.name


@pytest.mark.pure
def test_kws_leaves_litert_reference_kernels_in_its_fully_connected_layer_by_one_at_most() -> None:
    graph, content = _read(KWS, Rounding.DOUBLE)
    rows = rows_for(graph, 300)
    logits = next(n.outputs[0] for n in graph.nodes if n.op == "FULLY_CONNECTED")
    theirs = run_litert(content, rows, kernels=REFERENCE, tensors=[logits])[logits]
    difference = run_all(graph, rows)[logits].reshape(-1).astype(int) - theirs.reshape(-1)
    assert np.abs(difference).max() == 1
    assert np.count_nonzero(difference) < 0.02 * difference.size


@pytest.mark.pure
@pytest.mark.parametrize("kernels", [REFERENCE, OpResolverType.AUTO])
@pytest.mark.parametrize("name", FULLY_CONNECTED_MODELS)
def test_single_is_what_litert_computes_in_fully_connected_models(
    name: str, kernels: OpResolverType
) -> None:
    graph, content = _read(name, Rounding.SINGLE)
    rows = rows_for(graph, 500)
    theirs = run_litert(content, rows, kernels=kernels)[graph.outputs[0]]
    got = run(graph, rows)[graph.outputs[0]]
    assert np.array_equal(got.reshape(-1), theirs.reshape(-1))


@pytest.mark.host_c
@pytest.mark.parametrize("rounding", list(Rounding))
@pytest.mark.parametrize("name", MODELS)
def test_c_computes_what_the_interpreter_computes(
    name: str, rounding: Rounding, tmp_path: Path
) -> None:
    graph, _ = _read(name, rounding)
    rows = rows_for(graph, 20)
    expected = run(graph, rows)[graph.outputs[0]]
    got = run_c(graph, rows, tmp_path)[graph.outputs[0]]
    assert np.array_equal(got.reshape(-1), expected.reshape(-1))
