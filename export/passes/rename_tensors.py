"""Give tensors other names throughout a graph; shared by passes."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from export.graph import QGraph


def rename_tensors(graph: QGraph, names: Mapping[str, str]) -> QGraph:
    """The same graph with tensors renamed; a tensor that already has a new name is replaced.

    Args:
        graph: the graph.
        names: old name -> new name.
    """

    def renamed(listed: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(names.get(name, name) for name in listed)

    kept = {name: t for name, t in graph.tensors.items() if name not in set(names.values())}
    tensors = {
        names.get(name, name): replace(tensor, name=names.get(name, name))
        for name, tensor in kept.items()
    }
    nodes = tuple(
        replace(node, inputs=renamed(node.inputs), outputs=renamed(node.outputs))
        for node in graph.nodes
    )
    return replace(
        graph,
        inputs=renamed(graph.inputs),
        outputs=renamed(graph.outputs),
        tensors=tensors,
        nodes=nodes,
    )
