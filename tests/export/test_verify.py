"""The legal graph: each rule, broken once; and the passes, which keep every rule."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

import device_profiles
from export.graph import Node, Quant, Tensor
from export.interpret import run, run_all
from export.passes import PIPELINE, lower
from export.passes.drop_float_boundary import drop_float_boundary
from export.passes.drop_unused_tensors import drop_unused_tensors
from export.passes.fuse_activation import fuse_activation
from export.verify import IllegalGraphError, verify, verify_model
from jouleloop.errors import UnsupportedModelError
from tests.export.random_graphs import builder, mlp, rows

if TYPE_CHECKING:
    from collections.abc import Callable

    from export.graph import QGraph

pytestmark = pytest.mark.pure

PROFILE = device_profiles.load("mps2-an386")


def with_tensor(graph: QGraph, name: str, /, **changes: object) -> QGraph:
    tensor = replace(graph.tensors[name], **changes)  # type: ignore[arg-type]  # wrong on purpose
    return replace(graph, tensors={**graph.tensors, name: tensor})


def with_node(graph: QGraph, /, **changes: object) -> QGraph:
    node = replace(graph.nodes[0], **changes)  # type: ignore[arg-type]  # wrong on purpose
    return replace(graph, nodes=(node, *graph.nodes[1:]))


WEIGHTS, BIAS = "c1", "c2"
BROKEN: dict[str, tuple[Callable[[QGraph], QGraph], str]] = {
    "unknown operator": (lambda g: with_node(g, op="LSTM"), r"LSTM \(fully_connected_0\) has none"),
    "unknown tensor": (lambda g: replace(g, outputs=("nowhere",)), "nowhere is not"),
    "wrong name": (lambda g: with_tensor(g, "in0", name="other"), "other stands under in0"),
    "output twice": (lambda g: replace(g, outputs=g.outputs * 2), "is listed 2 times"),
    "node twice": (lambda g: replace(g, nodes=g.nodes * 2), "is listed 2 times"),
    "read before it is made": (lambda g: replace(g, nodes=g.nodes[::-1]), "is read by"),
    "input as output": (lambda g: replace(g, outputs=("in0",)), "in0 is made by no node"),
    "unknown type": (lambda g: with_tensor(g, "in0", dtype="int16"), "in0 is int16"),
    "empty dimension": (lambda g: with_tensor(g, "in0", shape=(1, 0)), r"the shape \(1, 0\)"),
    "huge": (lambda g: with_tensor(g, "in0", shape=(2**20, 2**20)), "in0 has the shape"),
    "data of another shape": (lambda g: with_tensor(g, WEIGHTS, shape=(2, 6)), "holds int8"),
    "no scale": (lambda g: with_tensor(g, "in0", quant=None), "int8 without a scale"),
    "scale of nothing": (
        lambda g: with_tensor(g, "in0", quant=Quant.per_tensor(0.0, 0)),
        "not positive and finite",
    ),
    "scale that is no number": (
        lambda g: with_tensor(g, "in0", quant=Quant.per_tensor(float("nan"), 0)),
        "not positive and finite",
    ),
    "zero point out of range": (
        lambda g: with_tensor(g, "in0", quant=Quant.per_tensor(1.0, 128)),
        "zero point outside",
    ),
    "too few scales": (
        lambda g: with_tensor(
            g, WEIGHTS, quant=Quant(np.ones(2, np.float32), np.zeros(2, np.int32), 0)
        ),
        r"\(2,\) scales for 4 channels",
    ),
    "scales along another axis": (
        lambda g: with_tensor(
            g, WEIGHTS, quant=Quant(np.ones(3, np.float32), np.zeros(3, np.int32), 1)
        ),
        "one scale per slice of axis 1",
    ),
    "too many inputs": (lambda g: with_node(g, inputs=("in0",) * 4), "has 4 inputs"),
    "no outputs": (lambda g: with_node(g, outputs=()), "is made by no node|is read by"),
    "weights that are computed": (
        lambda g: with_node(g, inputs=("in0", "in0")),
        "its weights in0 must be constant",
    ),
    "weights absent": (lambda g: with_node(g, inputs=("in0", "")), "its weights is absent"),
    "bias of int8": (lambda g: with_node(g, inputs=("in0", WEIGHTS, WEIGHTS)), "must be int32"),
    "unknown activation": (
        lambda g: with_node(g, attributes={"activation": "TANH"}),
        "activation = 'TANH' has no code",
    ),
    "wrong shape": (
        lambda g: with_tensor(g, g.nodes[0].outputs[0], shape=(1, 5)),
        r"makes \(1, 4\)",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_rule_is_named(name: str) -> None:
    breaks, pattern = BROKEN[name]
    graph = breaks(mlp((3, 4, 2), 1))
    with pytest.raises((IllegalGraphError, UnsupportedModelError), match=pattern):
        verify(graph, after="some_pass")


def test_a_pass_that_breaks_a_rule_is_a_bug_and_a_model_is_not() -> None:
    graph = replace(mlp((3, 4, 2), 1), outputs=("nowhere",))
    with pytest.raises(IllegalGraphError, match="after some_pass: "):
        verify(graph, after="some_pass")
    with pytest.raises(UnsupportedModelError, match="a test: "):
        verify_model(graph)


def test_weights_that_do_not_fit_are_named() -> None:
    graph = mlp((3, 4, 2), 1)
    wrong = with_tensor(graph, "in0", shape=(1, 5))
    with pytest.raises(UnsupportedModelError, match=r"fully_connected_0: an input of \(1, 5\)"):
        verify(wrong, after="x")
    bias = graph.tensors[BIAS]
    scaled = replace(bias, quant=replace(bias.quantization, scale=bias.quantization.scale * 1000))
    with pytest.raises(UnsupportedModelError, match="must have scale input scale × weight scale"):
        verify(replace(graph, tensors={**graph.tensors, BIAS: scaled}), after="x")
    large = replace(bias, data=np.full(bias.shape, 2**31 - 1, np.int32))
    with pytest.raises(UnsupportedModelError, match="a sum can leave int32"):
        verify(replace(graph, tensors={**graph.tensors, BIAS: large}), after="x")


def real_graph() -> QGraph:
    """A graph with float32 outside, as a frontend reads it."""
    graph = mlp((6, 8, 3), 2)
    (inner,), (output,) = graph.inputs, graph.outputs
    outside = {
        "observation": Tensor("observation", (1, 6), "float32"),
        "scores": Tensor("scores", (1, 3), "float32"),
    }
    nodes = (
        Node("QUANTIZE", "entry", ("observation",), (inner,)),
        *graph.nodes,
        Node("DEQUANTIZE", "exit", (output,), ("scores",)),
    )
    real = replace(
        graph,
        inputs=("observation",),
        outputs=("scores",),
        tensors={**graph.tensors, **outside},
        nodes=nodes,
    )
    verify(real, after="the test")
    return real


def test_the_float_boundary_falls_and_the_names_stay() -> None:
    real = real_graph()
    lowered = lower(real, PROFILE)
    assert (lowered.inputs, lowered.outputs) == (("observation",), ("scores",))
    assert {tensor.dtype for tensor in lowered.tensors.values()} == {"int8", "int32"}
    observation = np.random.default_rng(0).uniform(-3, 3, (50, 6)).astype(np.float32)
    spec = lowered.tensors["observation"]
    quantized = np.clip(np.rint(observation / spec.scale) + spec.zero_point, -128, 127)
    scores = run(lowered, {"observation": quantized.astype(np.int8)})["scores"]
    out = lowered.tensors["scores"]
    expected = (scores.astype(np.float32) - np.float32(out.zero_point)) * out.scale
    np.testing.assert_array_equal(run(real, {"observation": observation})["scores"], expected)


def test_an_input_that_nothing_quantises_is_an_error() -> None:
    real = real_graph()
    without = replace(real, nodes=real.nodes[1:], inputs=("observation", real.nodes[0].outputs[0]))
    with pytest.raises(UnsupportedModelError, match="observation is float32 and no operator"):
        drop_float_boundary(without, PROFILE)


def test_an_input_that_is_quantised_in_two_ways_is_an_error() -> None:
    real = real_graph()
    second = Tensor("second", (1, 6), "int8", Quant.per_tensor(0.5, 0))
    node = Node("QUANTIZE", "again", ("observation",), ("second",))
    twice = replace(real, nodes=(node, *real.nodes), tensors={**real.tensors, "second": second})
    with pytest.raises(UnsupportedModelError, match="quantised in two ways"):
        drop_float_boundary(twice, PROFILE)


@pytest.mark.parametrize("op", ["RELU", "RELU6"])
def test_an_activation_is_fused_where_it_changes_nothing(op: str) -> None:
    build = builder(3)
    value = build.fully_connected(build.input(1, 9), 7, zero_point=-20)
    quant = build.tensors[value].quantization
    out = build.unary(op, value, scale=float(quant.scale[0]), zero_point=-20)
    graph = build.graph(out)
    fused = fuse_activation(graph, PROFILE)
    verify(fused, after="fuse_activation")
    assert [(n.op, n.attributes["activation"]) for n in fused.nodes] == [("FULLY_CONNECTED", op)]
    given = rows(graph, 200)
    np.testing.assert_array_equal(run(fused, given)[out], run(graph, given)[out])


def test_an_activation_with_another_scale_or_a_second_reader_stays() -> None:
    build = builder(3)
    value = build.fully_connected(build.input(1, 9), 7, zero_point=-20)
    scaled = build.unary("RELU", value, scale=0.5, zero_point=-20)
    same = build.unary("RELU", value, scale=float(build.tensors[value].scale), zero_point=-20)
    graph = build.graph(scaled, same)
    assert fuse_activation(graph, PROFILE) is graph


def test_what_no_output_needs_is_dropped() -> None:
    build = builder(3)
    source = build.input(1, 9)
    kept, dropped = build.fully_connected(source, 7), build.fully_connected(source, 5)
    graph = drop_unused_tensors(build.graph(kept, dropped).with_nodes(tuple(build.nodes)), PROFILE)
    assert len(graph.nodes) == 2
    narrowed = drop_unused_tensors(replace(graph, outputs=(kept,)), PROFILE)
    assert [node.outputs for node in narrowed.nodes] == [(kept,)]
    assert dropped not in narrowed.tensors
    verify(narrowed, after="drop_unused_tensors")


def test_every_pass_has_a_name_and_says_what_it_does() -> None:
    stages: list[str] = []
    lower(real_graph(), PROFILE, dump=lambda name, _: stages.append(name))
    assert stages == [step.__name__ for step in PIPELINE]
    assert all(step.__doc__ for step in PIPELINE)


def test_rows_of_the_wrong_kind_are_refused() -> None:
    graph = mlp((3, 4, 2), 1)
    with pytest.raises(ValueError, match="no rows for the input in0"):
        run(graph, {})
    with pytest.raises(ValueError, match="takes rows of int8"):
        run(graph, {"in0": np.zeros((5, 4), np.int8)})
    with pytest.raises(ValueError, match="takes rows of int8"):
        run(graph, {"in0": np.zeros((5, 3), np.float32)})


def test_no_rows_give_no_rows_and_chunks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = mlp((3, 4, 2), 1)
    assert run(graph, {"in0": np.zeros((0, 3), np.int8)})[graph.outputs[0]].shape == (0, 2)
    given = rows(graph, 100)
    whole = run_all(graph, given)
    monkeypatch.setattr("export.interpret.CHUNK_ELEMENTS", 24)
    for name, values in run_all(graph, given).items():
        np.testing.assert_array_equal(values, whole[name])
