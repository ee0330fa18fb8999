"""Forget tensors and operators that no output depends on."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from device_profiles import DeviceProfile
    from export.graph import QGraph


def drop_unused_tensors(graph: QGraph, _: DeviceProfile) -> QGraph:
    """Keep what the outputs need, and every input."""
    needed = set(graph.outputs)
    nodes = []
    for node in reversed(graph.nodes):
        if needed.intersection(node.outputs):
            needed.update(node.inputs, node.outputs)
            nodes.append(node)
    needed.update(graph.inputs)
    tensors = {name: tensor for name, tensor in graph.tensors.items() if name in needed}
    return replace(graph, nodes=tuple(reversed(nodes)), tensors=tensors)
