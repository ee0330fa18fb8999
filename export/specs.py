"""The edge of a lowered graph as both ends of a link see it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge_runtime.wire.tensor import TensorSpec

if TYPE_CHECKING:
    from export.graph import QGraph

Specs = tuple[TensorSpec, ...]


def tensor_specs(graph: QGraph) -> tuple[Specs, Specs]:
    """Inputs and outputs of a lowered graph, int8 with one scale each."""

    def specs(names: tuple[str, ...]) -> Specs:
        tensors = (graph.tensors[name] for name in names)
        return tuple(TensorSpec(t.name, t.shape, float(t.scale), t.zero_point) for t in tensors)

    return specs(graph.inputs), specs(graph.outputs)
