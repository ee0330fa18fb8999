"""The smallest arena, by branch and bound over the order of the buffers from the bottom up.

Every placement can be pushed down until each buffer stands on the arena's floor or on another
buffer. Placed in the order of their offsets, buffers then stand on the heights that the ones
before have left, so the orders with offsets that never fall hold an optimal placement.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

# Buffers that are looked at before the search gives up; about a second.
LARGEST_EFFORT = 200_000


@dataclass(frozen=True)
class Block:
    """A buffer: its size, and the first and last layer that it is in use."""

    size: int
    first: int
    last: int


@dataclass(frozen=True)
class Found:
    """The outcome of a search.

    Args:
        offsets: of every block, or None where none better than asked for was found.
        is_complete: nothing is smaller than what was found, or asked for; else the search gave up.
    """

    offsets: tuple[int, ...] | None
    is_complete: bool


def search_offsets(blocks: Sequence[Block], layers: int, lowest: int, below: int) -> Found:
    """Offsets with a top below a limit, as low as can be.

    Args:
        blocks: what to place.
        layers: how many there are.
        lowest: no placement is lower than this.
        below: the limit, e.g. the height of a placement that is known.
    """
    search = _Search(blocks, layers, lowest, below)
    search.descend(list(range(len(blocks))), 0)
    return Found(search.found, search.effort <= LARGEST_EFFORT)


class _Search:
    """The state of a depth-first search."""

    def __init__(self, blocks: Sequence[Block], layers: int, lowest: int, below: int) -> None:
        self._blocks = blocks
        self._lowest, self._below = lowest, below
        self._heights = [0] * layers
        self._waiting = [
            sum(b.size for b in blocks if b.first <= layer <= b.last) for layer in range(layers)
        ]
        self._offsets = [0] * len(blocks)
        self.found: tuple[int, ...] | None = None
        self.effort = 0

    @property
    def _is_over(self) -> bool:
        return self._below <= self._lowest or self.effort > LARGEST_EFFORT

    def descend(self, waiting: list[int], floor: int) -> None:
        """Place the waiting blocks at or above a floor in every order that may be better."""
        if not waiting:
            self._below, self.found = max(self._heights, default=0), tuple(self._offsets)
            return
        self.effort += len(waiting)
        if self._is_over or self._is_hopeless(floor):
            return
        starts = {index: self._start(index, floor) for index in waiting}
        # Whatever starts above a block's end may as well let that block go first.
        lowest_end = min(start + self._blocks[index].size for index, start in starts.items())
        order = sorted(waiting, key=lambda index: (starts[index], -self._blocks[index].size, index))
        tried: set[Block] = set()
        for index in order:
            if starts[index] >= lowest_end:
                break
            if self._blocks[index] not in tried:
                tried.add(self._blocks[index])
                self._place(index, starts[index], waiting)

    def _is_hopeless(self, floor: int) -> bool:
        return any(
            waiting and max(height, floor) + waiting >= self._below
            for height, waiting in zip(self._heights, self._waiting, strict=True)
        )

    def _start(self, index: int, floor: int) -> int:
        block = self._blocks[index]
        return max(floor, *self._heights[block.first : block.last + 1])

    def _place(self, index: int, start: int, waiting: list[int]) -> None:
        block = self._blocks[index]
        span = slice(block.first, block.last + 1)
        heights, count = self._heights[span], block.last - block.first + 1
        self._heights[span] = [start + block.size] * count
        self._waiting[span] = [bytes_ - block.size for bytes_ in self._waiting[span]]
        self._offsets[index] = start
        self.descend([other for other in waiting if other != index], start)
        self._waiting[span] = [bytes_ + block.size for bytes_ in self._waiting[span]]
        self._heights[span] = heights
