"""All cases of an operator in one graph: one program to compile, one session to open."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from export.graph import Node, QGraph
from export.ops import OPERATORS
from export.verify import verify
from tests.export.operator_cases import CASES

if TYPE_CHECKING:
    from export.graph import Rounding, Tensor
    from tests.export.operator_cases import Rows

BY_OPERATOR = {
    op: [name for name in CASES if name.partition(" ")[0] == op]
    for op in OPERATORS
    if op != "DEQUANTIZE"
}


def joined(op: str, rounding: Rounding) -> tuple[QGraph, Rows]:
    """All cases of an operator side by side, and as many rows for each."""
    tensors: dict[str, Tensor] = {}
    nodes: list[Node] = []
    inputs: list[str] = []
    outputs: list[str] = []
    rows: Rows = {}
    count = max(len(values) for name in BY_OPERATOR[op] for values in CASES[name][1].values())
    for index, name in enumerate(BY_OPERATOR[op]):
        graph, given = CASES[name]
        names = {old: f"case{index}_{old}" for old in graph.tensors}
        tensors |= {names[n]: replace(t, name=names[n]) for n, t in graph.tensors.items()}
        (node,) = graph.nodes
        read = tuple(names[n] for n in node.inputs)
        made = tuple(names[n] for n in node.outputs)
        nodes.append(Node(op, name, read, made, node.attributes))
        inputs += [names[n] for n in graph.inputs]
        outputs += made
        rows |= {names[n]: np.resize(v, (count, *v.shape[1:])) for n, v in given.items()}
    graph = QGraph(op, tuple(inputs), tuple(outputs), tensors, tuple(nodes), rounding, "cases")
    verify(graph, after="joining")
    return graph, rows
