"""Every operator's reference, bit for bit: LiteRT's kernels here, TFLM's by the digests kept."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from ai_edge_litert.interpreter import OpResolverType

from export.frontend.tflite import parse_tflite
from export.graph import Rounding
from export.interpret import run
from export.ops import OPERATORS
from export.render.tflite import render_tflite
from tests.export.graphs import REFERENCE, run_litert
from tests.export.operator_cases import CASES

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from export.graph import QGraph

pytestmark = pytest.mark.pure

TFLM_DIGESTS = json.loads((Path(__file__).parent / "tflm_digests.json").read_text())
# LiteRT's default kernels scale in float32 here, which decides ties, and what lies near one.
FLOAT_RULE = {"CONV_2D", "DEPTHWISE_CONV_2D", "MEAN", "MUL"}


def _op(name: str) -> str:
    return name.partition(" ")[0]


def _outputs(graph: QGraph, name: str) -> NDArray[np.int8]:
    return run(graph, CASES[name][1])["y"]


def _litert(name: str, kernels: OpResolverType) -> NDArray[np.int8]:
    graph, rows = CASES[name]
    out = run_litert(render_tflite(graph, producer="a test"), rows, kernels=kernels)["y"]
    return out.reshape(len(out), *_outputs(graph, name).shape[1:])


def _single(name: str) -> NDArray[np.int8]:
    return _outputs(replace(CASES[name][0], rounding=Rounding.SINGLE), name)


def test_every_operator_with_code_has_cases() -> None:
    # DEQUANTIZE stands at a graph's exit alone: tests of the passes hold it.
    assert {_op(name) for name in CASES} == set(OPERATORS) - {"DEQUANTIZE"}


@pytest.mark.parametrize("name", [name for name in CASES if _op(name) != "FULLY_CONNECTED"])
def test_double_is_what_litert_reference_kernels_compute(name: str) -> None:
    got = _outputs(CASES[name][0], name)
    assert np.array_equal(got, _litert(name, REFERENCE))
    assert len(np.unique(got)) > 1 or name.endswith(" 1")  # the softmax of one element


@pytest.mark.parametrize("name", [name for name in CASES if _op(name) == "FULLY_CONNECTED"])
def test_single_is_what_litert_reference_kernels_compute_in_fully_connected_layers(
    name: str,
) -> None:
    assert np.array_equal(_single(name), _litert(name, REFERENCE))


@pytest.mark.parametrize("name", [name for name in CASES if _op(name) not in FLOAT_RULE])
def test_single_is_what_litert_default_kernels_compute(name: str) -> None:
    assert np.array_equal(_single(name), _litert(name, OpResolverType.AUTO))


@pytest.mark.parametrize("name", [name for name in CASES if _op(name) in FLOAT_RULE])
def test_single_leaves_litert_default_kernels_by_one_at_most(name: str) -> None:
    difference = _single(name).astype(int) - _litert(name, OpResolverType.AUTO)
    assert np.abs(difference).max() <= 1
    assert np.count_nonzero(difference) <= 0.05 * difference.size


@pytest.mark.parametrize("name", sorted(TFLM_DIGESTS["outputs"]))
def test_double_is_what_tensorflow_lite_micro_computes(name: str) -> None:
    digest = hashlib.sha256(_outputs(CASES[name][0], name).tobytes()).hexdigest()
    assert digest == TFLM_DIGESTS["outputs"][name]


def test_tensorflow_lite_micro_was_asked_about_every_case_that_it_can_run() -> None:
    # Its RELU6 does not scale, and its FULLY_CONNECTED folds no leading dimensions. Of steep
    # functions it takes moderate arguments for infinite (export/ops/lookup.py).
    missing = set(CASES) - set(TFLM_DIGESTS["outputs"])
    cannot = {name for name in CASES if _op(name) in {"RELU6", "FULLY_CONNECTED"}}
    assert missing <= cannot | {name for name in CASES if _is_steep(name)}


def _is_steep(name: str) -> bool:
    return _op(name) in {"LOGISTIC", "SOFTMAX", "TANH"} and float(name.split()[1]) > 2


@pytest.mark.parametrize("name", CASES)
def test_a_graph_survives_the_way_through_a_file(name: str) -> None:
    graph = CASES[name][0]
    read = parse_tflite(render_tflite(graph, producer="a test"), "model", Rounding.DOUBLE)
    node, other = graph.nodes[0], read.nodes[0]
    assert (node.op, node.inputs, node.outputs) == (other.op, other.inputs, other.outputs)
    assert node.attributes == other.attributes
    assert list(read.tensors) == list(graph.tensors)
    for tensor in graph.tensors.values():
        again = read.tensors[tensor.name]
        assert (again.shape, again.dtype) == (tensor.shape, tensor.dtype)
        assert np.array_equal(again.quantization.scale, tensor.quantization.scale)
        assert np.array_equal(again.quantization.zero_point, tensor.quantization.zero_point)
        assert again.quantization.axis == tensor.quantization.axis
        assert tensor.data is None or np.array_equal(again.values, tensor.data)
