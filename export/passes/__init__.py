"""Lowering: plain functions from graph to graph, in one visible order."""

from __future__ import annotations

from typing import TYPE_CHECKING

from export.passes.drop_float_boundary import drop_float_boundary
from export.passes.drop_unused_tensors import drop_unused_tensors
from export.passes.fuse_activation import fuse_activation
from export.verify import verify

if TYPE_CHECKING:
    from collections.abc import Callable

    from device_profiles import DeviceProfile
    from export.graph import QGraph

    Pass = Callable[[QGraph, DeviceProfile], QGraph]
    Dump = Callable[[str, QGraph], None]

PIPELINE: tuple[Pass, ...] = (
    drop_float_boundary,
    fuse_activation,
    drop_unused_tensors,
)


def lower(graph: QGraph, profile: DeviceProfile, *, dump: Dump | None = None) -> QGraph:
    """Run every pass, and verify the graph after each.

    Args:
        graph: a verified graph.
        profile: the device that it is lowered for.
        dump: called with each pass's name and the graph that it made.

    Raises:
        IllegalGraphError: a pass is broken.
        UnsupportedModelError: a pass met something that the compiler has no code for.
    """
    for run in PIPELINE:
        graph = run(graph, profile)
        verify(graph, after=run.__name__)
        if dump is not None:
            dump(run.__name__, graph)
    return graph
