"""Operators that work element by element stay exact where their output replaces an input."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from device_profiles.core import CORES
from export.graph import Node, QGraph, Rounding
from export.interpret import run
from export.render.c import render_c
from export.verify import verify
from tests.export.bare_metal import run_module
from tests.export.host_c import run_c
from tests.export.joined_cases import joined
from tests.export.random_graphs import packed
from tests.export.test_native_module import link

if TYPE_CHECKING:
    from pathlib import Path

    from export.graph import Tensor

OPERATORS = ("ADD", "LOGISTIC", "MUL", "QUANTIZE", "RELU", "RELU6", "SOFTMAX", "SUB", "TANH")


def between_copies(graph: QGraph) -> QGraph:
    """The same operators with inputs and outputs in the arena: a RESHAPE copies each."""
    tensors: dict[str, Tensor] = dict(graph.tensors)
    nodes: list[Node] = []

    def copy(source: str, target: str) -> None:
        nodes.append(Node("RESHAPE", f"copy_{target}", (source,), (target,)))

    inner = {name: f"inner_{name}" for name in (*graph.inputs, *graph.outputs)}
    tensors |= {new: replace(tensors[old], name=new) for old, new in inner.items()}
    for node in graph.nodes:
        for name in dict.fromkeys(n for n in node.inputs if n in inner):
            copy(name, inner[name])
        inputs = tuple(inner.get(name, name) for name in node.inputs)
        nodes.append(replace(node, inputs=inputs, outputs=(inner[node.outputs[0]],)))
        copy(inner[node.outputs[0]], node.outputs[0])
    changed = replace(graph, tensors=tensors, nodes=tuple(nodes))
    verify(changed, after="copying")
    return changed


@pytest.mark.host_c
@pytest.mark.parametrize("rounding", list(Rounding))
@pytest.mark.parametrize("op", OPERATORS)
def test_an_operator_in_place_computes_what_it_does_elsewhere(
    op: str, rounding: Rounding, tmp_path: Path
) -> None:
    graph, rows = joined(op, rounding)
    inner = between_copies(graph)
    expected, got = run(graph, rows), run_c(inner, rows, tmp_path)
    for name, node in zip(graph.outputs, graph.nodes, strict=True):
        assert np.array_equal(got[name].ravel(), expected[name].ravel()), node.name
    program = render_c(inner, CORES["cortex-m3"], producer="a test", model_sha256="")
    shared = {"first": 0, "other": 0}
    for node in inner.nodes:
        if node.op != "RESHAPE":
            size = inner.tensors[node.outputs[0]].size
            place = program.plan.offsets[node.outputs[0]]
            for index, name in enumerate(node.inputs):
                is_there = name in program.plan.offsets and inner.tensors[name].size == size
                if is_there and program.plan.offsets[name] == place:
                    shared["other" if index else "first"] += 1
    assert shared["first"]
    if op in {"ADD", "MUL", "SUB"}:
        assert shared["other"], "where the first operand is broadcast, the second is replaced"


@pytest.mark.qemu
@pytest.mark.parametrize("core", ["cortex-m4f", "cortex-m55"])
@pytest.mark.parametrize("op", ["ADD", "LOGISTIC", "MUL", "RELU", "SOFTMAX"])
def test_so_it_does_on_a_core_whatever_its_compiler_vectorises(op: str, core: str) -> None:
    graph, rows = joined(op, Rounding.DOUBLE)
    answers = run(graph, rows)
    expected = packed({name: answers[name] for name in graph.outputs})
    _, module = link(between_copies(graph), core)
    given = packed({name: rows[name] for name in graph.inputs})
    np.testing.assert_array_equal(
        run_module(module.content, core, given, expected.shape[1]).outputs, expected
    )


@pytest.mark.pure
def test_a_reshape_in_place_costs_nothing() -> None:
    graph, _ = joined("RELU", Rounding.DOUBLE)
    (node, *_), name = graph.nodes, graph.nodes[0].outputs[0]
    build = replace(
        graph,
        outputs=("last",),
        inputs=node.inputs,
        tensors={
            **graph.tensors,
            "flat": replace(graph.tensors[name], name="flat", shape=(graph.tensors[name].size,)),
            "last": replace(graph.tensors[name], name="last"),
        },
        nodes=(
            node,
            Node("RESHAPE", "flatten", (name,), ("flat",)),
            Node("RESHAPE", "copy", ("flat",), ("last",)),
        ),
    )
    program = render_c(build, CORES["cortex-m4f"], producer="a test", model_sha256="")
    in_place, copied = (layer.code for layer in program.layers[1:])
    assert (in_place.instructions, in_place.note) == (0, "nothing moves")
    assert copied.instructions > 0
    assert "layer1(" not in program.files["model.c"]
    assert "layer2(" in program.files["model.c"]
