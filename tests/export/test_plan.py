"""The arena's plan: buffers that live together lie apart, in no more room than needed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from export.plan import ALIGNMENT, Lifetime, plan_arena

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
