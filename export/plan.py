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


def find_aliases(graph: QGraph, runs_in_place: Sequence[bool]) -> dict[str, str]:
    """Tensors that take the place of another one, which their layer reads for the last time.

    Args:
        graph: the graph.
        runs_in_place: per layer, whether its output may be its first input.

    Returns:
        Name of a tensor -> name of the tensor whose buffer it shares.
    """
    last = _last_uses(graph)
    made = {name for node in graph.nodes for name in node.outputs} - {*graph.outputs}
    aliases: dict[str, str] = {}
    for index, node in enumerate(graph.nodes):
        source, output = node.inputs[0], node.outputs[0]
        fits = source in made and graph.tensors[output].size <= graph.tensors[source].size
        if runs_in_place[index] and fits and output in made and last[source] == index:
            aliases[output] = aliases.get(source, source)
    return aliases


def _last_uses(graph: QGraph) -> dict[str, int]:
    return {name: index for index, node in enumerate(graph.nodes) for name in node.inputs}


def lifetimes(
    graph: QGraph, scratch_bytes: Sequence[int], aliases: Mapping[str, str]
) -> tuple[Lifetime, ...]:
    """Buffers of the arena: every tensor between two layers, and every layer's scratch.

    The graph's inputs and outputs are the caller's buffers.

    Args:
        graph: the graph.
        scratch_bytes: per layer.
        aliases: from `find_aliases`.
    """
    made = {name: index for index, node in enumerate(graph.nodes) for name in node.outputs}
    last = _last_uses(graph)
    ends = {name: last.get(name, first) for name, first in made.items()}
    for name, owner in aliases.items():
        ends[owner] = max(ends[owner], ends[name])
    tensors = [
        Lifetime(name, graph.tensors[name].size, first, ends[name])
        for name, first in made.items()
        if name not in graph.outputs and name not in aliases
    ]
    scratches = [
        Lifetime(scratch_name(index), size, index, index)
        for index, size in enumerate(scratch_bytes)
        if size
    ]
    return (*tensors, *scratches)


def plan_arena(buffers: Iterable[Lifetime], layers: int, aliases: Mapping[str, str]) -> Plan:
    """Best fit, largest first: each buffer goes into the smallest gap that holds it.

    Args:
        buffers: what the arena holds.
        layers: how many layers run.
        aliases: tensor -> the tensor whose buffer it shares.
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
    offsets = {buffer.name: offset for buffer, offset in placed}
    shared = {name: offsets[owner] for name, owner in aliases.items()}
    return Plan(offsets | shared, _aligned(end), in_use)


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
