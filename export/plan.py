"""Where every tensor and scratch buffer lies in the arena, so that it is as small as can be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from export.graph import QGraph

# Kernels load words and vectors: what they read and write starts on such a boundary.
ALIGNMENT = 16


@dataclass(frozen=True)
class Lifetime:
    """A buffer and when it is in use.

    Args:
        name: the tensor's, or the scratch's.
        bytes: its size.
        first: index of the first layer that uses it.
        last: index of the last.
    """

    name: str
    bytes: int
    first: int
    last: int


@dataclass(frozen=True)
class Plan:
    """The arena.

    Args:
        offsets: first byte of each buffer.
        arena_bytes: its size.
        layer_bytes: bytes in use in each layer, the alignment's gaps left out.
    """

    offsets: Mapping[str, int]
    arena_bytes: int
    layer_bytes: tuple[int, ...]


def scratch_name(layer: int) -> str:
    """The name under which a layer's scratch is planned; no tensor can have it."""
    return f"\0scratch{layer}"


def lifetimes(graph: QGraph, scratch_bytes: Sequence[int]) -> tuple[Lifetime, ...]:
    """Buffers of the arena: every tensor between two layers, and every layer's scratch.

    The graph's inputs and outputs are the caller's buffers.
    """
    made = {name: index for index, node in enumerate(graph.nodes) for name in node.outputs}
    last = {name: index for index, node in enumerate(graph.nodes) for name in node.inputs}
    tensors = [
        Lifetime(name, graph.tensors[name].size, first, last.get(name, first))
        for name, first in made.items()
        if name not in graph.outputs
    ]
    scratches = [
        Lifetime(scratch_name(index), size, index, index)
        for index, size in enumerate(scratch_bytes)
        if size
    ]
    return (*tensors, *scratches)


def plan_arena(buffers: Iterable[Lifetime], layers: int) -> Plan:
    """Best fit, largest first: each buffer goes into the smallest gap that holds it.

    Args:
        buffers: what the arena holds.
        layers: how many layers run.
    """
    buffers = tuple(buffers)
    placed: list[tuple[Lifetime, int]] = []
    # Ties by name: the same model always gives the same plan.
    for buffer in sorted(buffers, key=lambda b: (-b.bytes, b.first, b.name)):
        placed.append((buffer, _best_offset(buffer, placed)))
    end = max((offset + buffer.bytes for buffer, offset in placed), default=0)
    in_use = tuple(
        sum(b.bytes for b in buffers if b.first <= layer <= b.last) for layer in range(layers)
    )
    return Plan({b.name: offset for b, offset in placed}, _aligned(end), in_use)


def _best_offset(buffer: Lifetime, placed: list[tuple[Lifetime, int]]) -> int:
    """The start of the smallest gap between buffers that live at the same time."""
    neighbours = sorted(
        (offset, offset + other.bytes)
        for other, offset in placed
        if other.first <= buffer.last and buffer.first <= other.last
    )
    best, best_gap, at = None, 0, 0
    for start, end in neighbours:
        gap = start - at
        if gap >= buffer.bytes and (best is None or gap < best_gap):
            best, best_gap = at, gap
        at = max(at, _aligned(end))
    return at if best is None else best


def _aligned(offset: int) -> int:
    return -(-offset // ALIGNMENT) * ALIGNMENT
