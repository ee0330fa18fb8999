"""What a policy sees of an item: bounded, of today, and the same in both layouts' order."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scenarios import pv
from scenarios.pv_likeness import like_modules
from scenarios.world.arrays import build_world
from scenarios.world.controllers import make_controller
from scenarios.world.generate import make_scenario
from scenarios.world.observation import FEATURES, SeenItems, observe, seen_at_return, seen_now
from scenarios.world.products import BILL_KG, PRODUCTS
from scenarios.world.returns import sample_items
from scenarios.world.simulate import simulate
from scenarios.world.view import Action, View
from tests.scenarios.world.worlds import scenario

pytestmark = pytest.mark.pure


def seen_items(seed: int) -> SeenItems:
    world = build_world((make_scenario(seed, nodes=12, ticks=40),))
    return seen_at_return(world, sample_items(world))


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000))
def test_both_observations_are_finite_and_normalised(seed: int) -> None:
    seen = seen_items(seed)
    for rows in (observe(seen), pv.observe(like_modules(seen))):
        assert rows.dtype == np.float32
        assert len(rows) == len(seen)
        assert (np.abs(rows) <= 1).all()


def test_every_product_is_told_from_the_others() -> None:
    kg = np.log(BILL_KG)
    lows = np.array([f.low for f in FEATURES if f.unit == "kg"])
    highs = np.array([f.high for f in FEATURES if f.unit == "kg"])
    assert (kg >= np.log(lows)).all()
    assert (kg <= np.log(highs)).all()
    assert len(np.unique(kg, axis=0)) == len(PRODUCTS)


def test_a_view_shows_the_item_as_it_is_at_its_return() -> None:
    rows: dict[int, np.ndarray] = {}

    class Watching:
        name = "watching"

        def __init__(self) -> None:
            self.rule = make_controller("rule")

        def reset(self, *_: object) -> None:
            pass

        def decide(self, view: View) -> Action:
            first = view.state.lives[view.now] == 0
            seen = observe(seen_now(view))
            rows.update(zip(view.now[first].tolist(), seen[first], strict=True))
            return self.rule.decide(view)

    run = simulate((scenario(),), Watching())
    expected = observe(seen_at_return(run.world, run.items))
    assert rows
    on_time = 0
    for item, row in rows.items():
        # An item whose mass came late is seen under a later law; its own features are the same.
        assert np.array_equal(row[:13], expected[item][:13])
        on_time += np.array_equal(row, expected[item])
    assert on_time > 0.8 * len(rows)


def test_a_worse_item_is_a_worse_module() -> None:
    seen = seen_items(5)
    modules = like_modules(seen)
    order = np.argsort(seen.quality)
    assert (np.diff(modules.power_share[order]) >= 0).all()
    assert modules.has_failed[order[0]]
    assert not modules.has_failed[order[-1]]
    assert np.allclose(modules.mass_kg, modules.mass_kg[0])
