"""The arena's plan: buffers that live together lie apart, in no more room than needed."""

from __future__ import annotations

from itertools import permutations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from export.arena_search import Block, search_offsets
from export.plan import ALIGNMENT, Lifetime, find_aliases, plan_arena, plan_layers
from tests.export.random_graphs import builder

pytestmark = pytest.mark.pure

LAYERS = 12


@st.composite
def buffers(draw: st.DrawFn) -> tuple[Lifetime, ...]:
    sizes = draw(st.lists(st.integers(1, 5000), max_size=20))
    made = []
    for index, size in enumerate(sizes):
        first = draw(st.integers(0, LAYERS - 1))
        made.append(Lifetime(f"b{index}", size, first, draw(st.integers(first, LAYERS - 1))))
    return tuple(made)


@given(buffers())
def test_buffers_that_live_together_lie_apart(every: tuple[Lifetime, ...]) -> None:
    plan = plan_arena(every, LAYERS, {})
    for one in every:
        start = plan.offsets[one.name]
        assert start % ALIGNMENT == 0
        assert 0 <= start <= plan.arena_bytes - one.bytes
        for other in every:
            lives_together = one.first <= other.last and other.first <= one.last
            if one is not other and lives_together:
                other_start = plan.offsets[other.name]
                assert start + one.bytes <= other_start or other_start + other.bytes <= start


@given(buffers())
def test_the_arena_is_at_least_the_fullest_layer_and_at_most_the_sum(
    every: tuple[Lifetime, ...],
) -> None:
    plan = plan_arena(every, LAYERS, {})
    assert plan.arena_bytes >= max(plan.layer_bytes)
    assert plan.arena_bytes <= sum(-(-b.bytes // ALIGNMENT) * ALIGNMENT for b in every)
    for layer, used in enumerate(plan.layer_bytes):
        assert used == sum(b.bytes for b in every if b.first <= layer <= b.last)


def test_a_chain_of_layers_needs_two_buffers() -> None:
    chain = [Lifetime(f"b{i}", 64, i, i + 1) for i in range(8)]
    assert plan_arena(chain, 9, {}).arena_bytes == 128


def test_a_gap_is_used_and_the_smallest_one_first() -> None:
    every = (
        Lifetime("left", 64, 0, 9),
        Lifetime("wide", 48, 0, 1),
        Lifetime("middle", 56, 0, 9),
        Lifetime("narrow", 16, 0, 1),
        Lifetime("right", 32, 0, 9),
        Lifetime("tail", 16, 0, 9),
        Lifetime("late", 16, 5, 6),
    )
    plan = plan_arena(every, 10, {})
    # The narrow buffer's place is free again when the late one is made.
    assert plan.offsets["late"] == plan.offsets["narrow"]


def test_a_place_is_free_before_and_after_its_buffer_lives() -> None:
    late, early = Lifetime("late", 64, 5, 6), Lifetime("early", 32, 0, 1)
    assert plan_arena((late, early), 9, {}).arena_bytes == 64


def test_nothing_needs_no_arena() -> None:
    plan = plan_arena((), 3, {})
    assert (plan.arena_bytes, plan.layer_bytes) == (0, (0, 0, 0))


def _smallest(blocks: list[Block]) -> int:
    """The lowest top of all orders in which blocks are dropped from above."""
    tops = []
    for order in permutations(blocks):
        heights = [0] * LAYERS
        for block in order:
            span = slice(block.first, block.last + 1)
            top = max(heights[span]) + block.size
            heights[span] = [top] * (block.last - block.first + 1)
        tops.append(max(heights))
    return min(tops)


@given(buffers())
def test_few_buffers_get_the_smallest_arena(every: tuple[Lifetime, ...]) -> None:
    few = every[:6]
    plan = plan_arena(few, LAYERS, {})
    blocks = [Block(-(-b.bytes // ALIGNMENT), b.first, b.last) for b in few]
    assert plan.is_smallest
    assert plan.arena_bytes == ALIGNMENT * _smallest(blocks)
    assert plan.lower_bound_bytes <= plan.arena_bytes


@given(buffers())
def test_a_search_that_ends_without_a_find_proves_the_limit(every: tuple[Lifetime, ...]) -> None:
    blocks = [Block(b.bytes, b.first, b.last) for b in every[:6]]
    assume(blocks)
    smallest = _smallest(blocks)
    assert search_offsets(blocks, LAYERS, 0, smallest).offsets is None
    found = search_offsets(blocks, LAYERS, 0, smallest + 1)
    assert found.is_complete
    assert found.offsets is not None
    tops = [offset + b.size for offset, b in zip(found.offsets, blocks, strict=True)]
    assert max(tops, default=0) == smallest


def test_a_search_finds_what_best_fit_misses() -> None:
    # Best fit takes 144 bytes, whatever goes first.
    every = (
        Lifetime("a", 48, 2, 4),
        Lifetime("b", 64, 4, 4),
        Lifetime("c", 64, 0, 0),
        Lifetime("d", 32, 2, 3),
        Lifetime("e", 48, 0, 2),
    )
    plan = plan_arena(every, 5, {})
    assert plan.is_smallest
    assert plan.arena_bytes == plan.lower_bound_bytes == 128


def test_two_plans_of_the_same_buffers_are_the_same() -> None:
    every = [Lifetime(f"b{i}", 16 + 7 * i % 90, i // 2, i // 2 + 3) for i in range(30)]
    assert plan_arena(every, 20, {}) == plan_arena(reversed(every), 20, {})


def test_a_sum_takes_the_place_of_whichever_input_dies() -> None:
    build = builder(3)
    left = build.fully_connected(build.input(1, 8), 40)
    right = build.fully_connected(left, 40)
    total = build.add(left, right)
    other = build.add(total, left)
    graph = build.graph(build.fully_connected(other, 4))
    # `left` is still needed after the first sum, so that takes the place of `right`; the second
    # one's first input dies with it.
    assert find_aliases(graph, [False, False, True, True, False]) == {total: right, other: right}


def test_a_small_tensor_does_not_hold_the_place_of_a_large_one() -> None:
    build = builder(4)
    large = build.fully_connected(build.input(1, 8), 256)
    small = build.fully_connected(large, 16)
    again = build.fully_connected(small, 240)
    graph = build.graph(build.fully_connected(again, 4))
    in_place = [False, True, False, False]
    assert find_aliases(graph, in_place) == {small: large}
    plan = plan_layers(graph, [0, 0, 0, 0], in_place)
    assert plan.arena_bytes == 256 + 16
    assert plan.offsets[small] != plan.offsets[large]
