"""Where every tensor and scratch buffer lies in the arena, so that it is as small as can be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from export.arena_search import Block, search_offsets

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

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
        lower_bound_bytes: no plan of these buffers is smaller: the fullest layer, aligned.
        is_smallest: no plan is smaller than this one, as was proven.
    """

    offsets: Mapping[str, int]
    arena_bytes: int
    layer_bytes: tuple[int, ...]
    lower_bound_bytes: int
    is_smallest: bool

    def is_shared(self, one: str, other: str) -> bool:
        """Whether two tensors, one of which is made from the other, have one place."""
        return one in self.offsets and self.offsets[one] == self.offsets.get(other)


def scratch_name(layer: int) -> str:
    """The name under which a layer's scratch is planned; no tensor can have it."""
    return f"\0scratch{layer}"


def plan_layers(graph: QGraph, scratch_bytes: Sequence[int], runs_in_place: Sequence[bool]) -> Plan:
    """The arena of a graph whose layers run one after the other.

    Args:
        graph: the graph.
        scratch_bytes: per layer.
        runs_in_place: per layer, see `find_aliases`.
    """

    def plan(apart: frozenset[str]) -> tuple[Plan, dict[str, str]]:
        aliases = find_aliases(graph, runs_in_place, apart)
        buffers = lifetimes(graph, scratch_bytes, aliases)
        return plan_arena(buffers, len(graph.nodes), aliases), aliases

    apart: frozenset[str] = frozenset()
    best, aliases = plan(apart)
    # A small tensor in the place of a large one keeps all of it, which may cost more than it saves.
    sizes = {name: graph.tensors[name].size for name in (*aliases, *aliases.values())}
    for name in [name for name, owner in aliases.items() if sizes[name] < sizes[owner]]:
        other, _ = plan(apart | {name})
        if other.arena_bytes < best.arena_bytes:
            best, apart = other, apart | {name}
    return best


def find_aliases(
    graph: QGraph, runs_in_place: Sequence[bool], apart: frozenset[str] = frozenset()
) -> dict[str, str]:
    """Tensors that take the place of another one, which their layer reads for the last time.

    Args:
        graph: the graph.
        runs_in_place: per layer, whether its output may lie where an input does: the first, if it
            is at least as large, or any other of just its size.
        apart: outputs that stay where they are made.

    Returns:
        Name of a tensor -> name of the tensor whose buffer it shares.
    """
    last = _last_uses(graph)
    made = {name for node in graph.nodes for name in node.outputs} - {*graph.outputs}
    aliases: dict[str, str] = {}
    for index, node in enumerate(graph.nodes):
        output = node.outputs[0]
        if not runs_in_place[index] or output not in made - apart:
            continue
        size = graph.tensors[output].size
        for place, source in enumerate(node.inputs):
            if source not in made or last[source] != index:
                continue
            source_size = graph.tensors[source].size
            if source_size == size or (place == 0 and source_size > size):
                aliases[output] = aliases.get(source, source)
                break
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
    """Best fit in several orders; where that leaves a gap and the buffers are few, a search.

    Args:
        buffers: what the arena holds.
        layers: how many layers run.
        aliases: tensor -> the tensor whose buffer it shares.
    """
    buffers = tuple(sorted(buffers, key=_ORDERS[0]))
    live = [[b for b in buffers if b.first <= layer <= b.last] for layer in range(layers)]
    bound = max((sum(_aligned(b.bytes) for b in layer) for layer in live), default=0)
    tried = [_best_fit(buffers, order) for order in _ORDERS]
    offsets = min(tried, key=lambda offsets: _end(buffers, offsets))
    is_smallest = _end(buffers, offsets) == bound
    if not is_smallest and len(buffers) <= _MOST_SEARCHED:
        offsets, is_smallest = _search(buffers, layers, bound, offsets)
    shared = {name: offsets[owner] for name, owner in aliases.items()}
    in_use = tuple(sum(b.bytes for b in layer) for layer in live)
    return Plan(offsets | shared, _end(buffers, offsets), in_use, bound, is_smallest)


# Which buffer goes first: the largest, the one that takes most room over time, the earliest. Ties
# by name: the same model always gives the same plan.
_ORDERS: tuple[Callable[[Lifetime], tuple[int, int, str]], ...] = (
    lambda b: (-b.bytes, b.first, b.name),
    lambda b: (-b.bytes * (b.last - b.first + 1), b.first, b.name),
    lambda b: (b.first, -b.bytes, b.name),
)
_MOST_SEARCHED = 48


def _best_fit(
    buffers: tuple[Lifetime, ...], order: Callable[[Lifetime], tuple[int, int, str]]
) -> dict[str, int]:
    """Each buffer goes into the smallest gap that holds it."""
    placed: list[tuple[Lifetime, int]] = []
    for buffer in sorted(buffers, key=order):
        placed.append((buffer, _best_offset(buffer, placed)))
    return {buffer.name: offset for buffer, offset in placed}


def _search(
    buffers: tuple[Lifetime, ...], layers: int, bound: int, known: dict[str, int]
) -> tuple[dict[str, int], bool]:
    """Better offsets than known ones, and whether none are better still."""
    blocks = [Block(_aligned(b.bytes) // ALIGNMENT, b.first, b.last) for b in buffers]
    limit = _end(buffers, known) // ALIGNMENT
    found = search_offsets(blocks, layers, bound // ALIGNMENT, limit)
    if found.offsets is None:
        return known, found.is_complete
    units = zip(buffers, found.offsets, strict=True)
    return {b.name: offset * ALIGNMENT for b, offset in units}, found.is_complete


def _end(buffers: Iterable[Lifetime], offsets: Mapping[str, int]) -> int:
    return _aligned(max((offsets[b.name] + b.bytes for b in buffers), default=0))


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
