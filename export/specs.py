"""The edge of a lowered graph as both ends of a link see it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge_runtime.wire.module import MAX_RANK
from edge_runtime.wire.tensor import TensorSpec
from jouleloop.errors import UnsupportedModelError

if TYPE_CHECKING:
    from export.graph import QGraph

Specs = tuple[TensorSpec, ...]


def tensor_specs(graph: QGraph) -> tuple[Specs, Specs]:
    """Inputs and outputs of a lowered graph, int8 with one scale each."""

    def specs(names: tuple[str, ...]) -> Specs:
        tensors = (graph.tensors[name] for name in names)
        return tuple(TensorSpec(t.name, t.shape, float(t.scale), t.zero_point) for t in tensors)

    return specs(graph.inputs), specs(graph.outputs)


def module_specs(graph: QGraph) -> tuple[Specs, Specs]:
    """As `tensor_specs`, for a native module.

    Raises:
        UnsupportedModelError: an input or output has more dimensions than a module can say.
    """
    inputs, outputs = tensor_specs(graph)
    for spec in (*inputs, *outputs):
        if len(spec.shape) > MAX_RANK:
            raise UnsupportedModelError(
                f"{graph.source}: the input or output {spec.name} {spec.shape} has "
                f"{len(spec.shape)} dimensions; a native module takes at most {MAX_RANK}",
                hint="reshape it in the model, or export with --no-native",
            )
    return inputs, outputs
