"""Fuse a RELU or RELU6 into the operator before it, where that changes no value."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from export.ops import OPERATORS

if TYPE_CHECKING:
    from device_profiles import DeviceProfile
    from export.graph import Node, QGraph


def fuse_activation(graph: QGraph, _: DeviceProfile) -> QGraph:
    """A clamp that keeps the scale, of a value that nothing else reads, becomes an attribute."""
    while (found := _find(graph)) is not None:
        producer, activation = found
        fused = replace(
            producer,
            outputs=activation.outputs,
            attributes={**producer.attributes, "activation": activation.op},
        )
        graph = graph.with_nodes(
            tuple(fused if n is producer else n for n in graph.nodes if n is not activation)
        )
    return graph


def _find(graph: QGraph) -> tuple[Node, Node] | None:
    makers = {name: node for node in graph.nodes for name in node.outputs}
    for node in graph.nodes:
        if node.op in {"RELU", "RELU6"}:
            producer = makers.get(node.inputs[0])
            if producer is not None and _can_fuse(graph, producer, node):
                return producer, node
    return None


def _can_fuse(graph: QGraph, producer: Node, activation: Node) -> bool:
    name = activation.inputs[0]
    before, after = graph.tensors[name], graph.tensors[activation.outputs[0]]
    readers = [node for node in graph.nodes if name in node.inputs]
    return (
        activation.op in OPERATORS[producer.op].SIGNATURE.attributes.get("activation", ())
        and producer.attributes.get("activation", "NONE") == "NONE"
        and (before.scale, before.zero_point) == (after.scale, after.zero_point)
        and before.shape == after.shape
        and readers == [activation]
        and name not in graph.outputs
    )
