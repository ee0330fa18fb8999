"""The interpreter against LiteRT: its default kernels under `single`, its reference under both."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from export.frontend.litert_agreement import litert_agreement, settle_weight_scales
from export.graph import Rounding
from export.interpret import run
from export.render.tflite import render_tflite
from export.verify import calls
from tests.export.graphs import REFERENCE, every_pair, run_litert
from tests.export.random_graphs import builder, mlp, rows

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from export.graph import QGraph

pytestmark = pytest.mark.pure

WIDTHS = ((1, 1), (12, 64, 64, 4), (3, 5, 7), (33, 17, 9, 1), (640, 128, 8), (31, 100, 100, 31))


def interpreted(graph: QGraph, given: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    return {
        name: values.reshape(len(values), *graph.tensors[name].shape)
        for name, values in run(graph, given).items()
    }


def differences(graph: QGraph, given: dict[str, NDArray[Any]], **options: Any) -> int:
    expected = interpreted(graph, given)
    got = run_litert(render_tflite(graph, producer="a test"), given, **options)
    return sum(int((got[name] != expected[name]).sum()) for name in graph.outputs)


@pytest.mark.parametrize("per_channel", [True, False])
@pytest.mark.parametrize("widths", WIDTHS, ids=str)
def test_fully_connected_layers_equal_litert_under_single(
    widths: tuple[int, ...], per_channel: bool
) -> None:
    graph = settle_weight_scales(mlp(widths, seed=sum(widths), per_channel=per_channel))
    assert all(litert_agreement(call).all() for call in calls(graph))
    given = rows(graph, 1000)
    assert differences(graph, given) == 0
    assert differences(graph, given, kernels=REFERENCE) == 0
    outputs = interpreted(graph, given)[graph.outputs[0]]
    # The comparison is worth something: values inside the range, and at both ends of it.
    if widths != (1, 1):
        assert np.unique(outputs).size > 50
        assert 0 < np.isin(outputs, (-128, 127)).mean() < 0.8


@pytest.mark.parametrize("zero_point", [-128, 127])
@pytest.mark.parametrize("activation", ["NONE", "RELU", "RELU6"])
def test_zero_points_at_the_ends_and_activations(zero_point: int, activation: str) -> None:
    build = builder(zero_point + 200)
    source = build.input(1, 20, zero_point=zero_point, scale=0.3)
    out = build.fully_connected(source, 30, activation=activation, zero_point=-zero_point - 1)
    graph = settle_weight_scales(build.graph(out))
    assert differences(graph, rows(graph, 500)) == 0


def test_several_rows_kept_dimensions_and_no_bias() -> None:
    build = builder(7)
    source = build.input(1, 3, 10)
    kept = build.fully_connected(source, 6, keep_num_dims=True, has_bias=False)
    flat = build.fully_connected(kept, 5)
    graph = settle_weight_scales(build.graph(flat))
    assert graph.tensors[kept].shape == (1, 3, 6)
    assert graph.tensors[flat].shape == (3, 5)
    assert differences(graph, rows(graph, 300)) == 0


def test_settling_moves_scales_by_next_to_nothing() -> None:
    before = mlp((640, 128, 8), seed=1)
    after = settle_weight_scales(before)
    moved = 0
    for name, tensor in before.tensors.items():
        settled = after.tensors[name].quantization.scale
        ratio = settled.astype(np.float64) / tensor.quantization.scale.astype(np.float64)
        assert np.all(np.abs(ratio - 1.0) < 3e-4)
        moved += int((ratio != 1.0).sum())
    assert moved > 0


def test_without_settling_one_output_of_a_million_differs_from_float() -> None:
    """What settling is for: the rule of integers is not LiteRT's for every input."""
    graph = mlp((640, 128, 8), seed=1)
    assert not all(litert_agreement(call).all() for call in calls(graph))


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("rounding", list(Rounding))
def test_add_is_exact_for_all_pairs_of_values(seed: int, rounding: Rounding) -> None:
    """`single` equals LiteRT's default, `double` its reference: 65 536 pairs each."""
    build = builder(seed, rounding)
    first = build.input(1, 256, scale=float(np.exp(build.rng.uniform(-4, 1)) * 0.02))
    second = build.input(1, 256, scale=float(np.exp(build.rng.uniform(-4, 1)) * 0.02))
    graph = build.graph(build.add(first, second, activation=("NONE", "RELU", "RELU6")[seed % 3]))
    kernels = {} if rounding is Rounding.SINGLE else {"kernels": REFERENCE}
    assert differences(graph, every_pair(graph), **kernels) == 0


@pytest.mark.parametrize("rounding", list(Rounding))
@pytest.mark.parametrize("seed", range(4))
def test_quantize_to_another_scale_is_exact_for_all_values(seed: int, rounding: Rounding) -> None:
    build = builder(seed, rounding)
    source = build.input(1, 256, scale=0.02)
    out = build.unary("QUANTIZE", source, scale=float(np.exp(build.rng.uniform(-3, 3)) * 0.02))
    graph = build.graph(out)
    given = {source: np.arange(-128, 128).astype(np.int8).reshape(1, 1, 256)}
    kernels = {} if rounding is Rounding.SINGLE else {"kernels": REFERENCE}
    assert differences(graph, given, **kernels) == 0


@pytest.mark.parametrize("op", ["RELU", "RELU6"])
@pytest.mark.parametrize("scale", [0.05, 0.013, 0.11])
@pytest.mark.parametrize("rounding", list(Rounding))
def test_relu_is_exact_for_all_values(op: str, scale: float, rounding: Rounding) -> None:
    build = builder(1, rounding)
    source = build.input(1, 256, scale=0.05, zero_point=5)
    graph = build.graph(build.unary(op, source, scale=scale, zero_point=-7))
    given = {source: np.arange(-128, 128).astype(np.int8).reshape(1, 1, 256)}
    assert differences(graph, given) == 0
    assert differences(graph, given, kernels=REFERENCE) == 0


def test_a_policy_with_a_residual_add_equals_litert() -> None:
    graph = settle_weight_scales(mlp((16, 48, 48, 4), seed=5, has_residual=True))
    assert [node.op for node in graph.nodes].count("ADD") == 1
    assert differences(graph, rows(graph, 1000)) == 0


def test_double_and_single_differ() -> None:
    given = rows(mlp((12, 64, 4), seed=2), 1000)
    answers = [run(mlp((12, 64, 4), seed=2, rounding=r), given) for r in Rounding]
    first, second = (np.concatenate([*answer.values()]).astype(int) for answer in answers)
    assert 0 < np.abs(first - second).max() <= 2
