"""Mass by state in continuous time: it closes, it stays, and it knows nothing of what comes."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from jouleloop.errors import ScenarioError
from scenarios.world.chain_rates import (
    FEATURES,
    INPUT,
    INPUTS,
    NO_CAP,
    HandRates,
    NetworkRates,
    Weights,
    chain_of,
    schedule_of,
)
from scenarios.world.controllers import make_controller
from scenarios.world.dynamics import (
    OUTSIDE,
    REACTION,
    REACTIONS,
    STOCK,
    STOCKS,
    Schedule,
    integrate,
    stoichiometry,
)
from scenarios.world.events import simulate_events, trace_events
from scenarios.world.file import parse
from scenarios.world.generate import make_scenario, with_schedule
from scenarios.world.graph import Floats
from scenarios.world.schema import Scenario
from tests.scenarios.world.worlds import changed, scenario

pytestmark = pytest.mark.pure

SEEDS = st.integers(0, 2**40)
CONSTANT = Schedule(np.zeros(1), np.zeros((1, len(INPUTS))), np.zeros((1, len(INPUTS))))


def random_network(seed: int) -> Weights:
    """Weights so large that gains go from end to end."""
    random = np.random.default_rng(seed)
    sizes = (FEATURES, 16, len(REACTIONS))
    return Weights(
        tuple((random.normal(size=(b, a)), random.normal(size=b)) for a, b in pairwise(sizes))
    )


def begin(made: Scenario) -> Floats:
    chain = chain_of(made)
    stocks = np.zeros(len(STOCKS))
    stocks[STOCK["in_use"]], stocks[STOCK["virgin"]] = chain.park_kg, chain.cover_kg
    return stocks


@given(st.floats(0, 1))
def test_no_reaction_makes_or_loses_mass(recycling_yield: float) -> None:
    matrix = stoichiometry(recycling_yield)
    assert np.abs(matrix.sum(axis=0)).max() <= np.finfo(float).eps
    assert (matrix[STOCK["disposed"]] >= 0).all(), "disposed is absorbing"
    assert (matrix[STOCK[OUTSIDE]] <= 0).all(), "nothing goes back into the earth"


@settings(max_examples=12)
@given(SEEDS, st.booleans(), st.booleans(), st.floats(0, 3000))
def test_mass_closes_and_no_stock_is_negative(
    seed: int, ramps: bool, learned: bool, returned: float
) -> None:
    made = make_scenario(seed, nodes=12, ticks=60)
    chain = chain_of(made)
    rates = NetworkRates(chain, random_network(seed)) if learned else HandRates(chain)
    stocks = begin(made)
    stocks[STOCK["returned"]] = returned
    found = integrate(
        rates,
        stoichiometry(chain.recycling_yield),
        stocks,
        schedule_of(made, ramps=ramps),
        range(61),
        step_ticks=2.0,
    )
    total = found.sum(axis=1)
    assert np.abs(total - total[0]).max() <= 1e-12 * np.abs(found).max()
    assert (np.delete(found, STOCK[OUTSIDE], axis=1) >= 0).all()
    assert (np.diff(found[:, STOCK["disposed"]]) >= 0).all()
    assert (np.diff(found[:, STOCK[OUTSIDE]]) <= 0).all()


def test_what_takes_more_than_there_is_gets_what_there_is() -> None:
    def greedy(stocks: Floats, inputs: Floats) -> Floats:
        return np.full(len(REACTIONS), 1e6)

    stocks = np.array([3.0, 5.0, 7.0, 1.0, 2.0, 0.0, 0.0])
    found = integrate(greedy, stoichiometry(0.8), stocks, CONSTANT, [0, 1, 2], step_ticks=1.0)
    assert (found[:, : STOCK[OUTSIDE]] >= 0).all()
    np.testing.assert_allclose(found.sum(axis=1), 18.0, atol=1e-8)
    assert found[-1, STOCK["disposed"]] > 2.0


def test_the_order_of_the_solver_is_four() -> None:
    def decay(stocks: Floats, inputs: Floats) -> Floats:
        rates = np.zeros(len(REACTIONS))
        rates[REACTION["discard"]] = 0.4 * stocks[STOCK["in_use"]]
        return rates

    stocks = np.zeros(len(STOCKS))
    stocks[STOCK["in_use"]] = 100.0
    errors = []
    for step in (1.0, 0.5, 0.25):
        found = integrate(decay, stoichiometry(1.0), stocks, CONSTANT, [0, 8], step_ticks=step)
        errors.append(abs(found[-1, STOCK["in_use"]] - 100.0 * np.exp(-3.2)))
    assert 13 < errors[0] / errors[1] < 20
    assert 13 < errors[1] / errors[2] < 20


def test_the_solver_stops_at_every_jump() -> None:
    """With a jump in the middle of a step the result is exact, and each step sees one piece."""
    seen = []

    def follow(stocks: Floats, inputs: Floats) -> Floats:
        seen.append(float(inputs[0]))
        rates = np.zeros(len(REACTIONS))
        rates[REACTION["extract"]] = inputs[0]
        return rates

    values = np.array([[1.0], [10.0], [2.0]])
    slopes = np.array([[0.0], [0.0], [4.0]])
    schedule = Schedule(np.array([0.0, 0.3, 0.7]), values, slopes)
    found = integrate(follow, stoichiometry(1.0), np.zeros(len(STOCKS)), schedule, [0, 1, 2])
    assert found[1, STOCK["virgin"]] == pytest.approx(0.3 + 4.0 + 0.3 * 2.0 + 2.0 * 0.3**2)
    assert seen[:4] == [1.0] * 4
    assert seen[4:8] == [10.0] * 4
    assert found[2, STOCK["virgin"]] == pytest.approx(0.3 + 4.0 + 1.3 * 2.0 + 2.0 * 1.3**2)


def policy(start: int, level: float, later: float, end: int = 100) -> dict[str, object]:
    points = [{"tick": start, "level": level}, {"tick": end - 1, "level": later}]
    kind = {"kind": "recycled_content", "subject": "products"}
    return kind | {"start": start, "end": end, "points": points}


def under(*policies: dict[str, object]) -> Scenario:
    return parse(changed(lambda new: new.update(policies=list(policies))))


@pytest.mark.parametrize("ramps", [True, False])
def test_the_future_never_changes_the_past(ramps: bool) -> None:
    free, bound = under(), under(policy(50, 0.7, 0.9))
    chain = chain_of(free)
    matrix = stoichiometry(chain.recycling_yield)
    runs = [
        integrate(HandRates(chain), matrix, begin(free), schedule_of(made, ramps=ramps), range(101))
        for made in (free, bound)
    ]
    np.testing.assert_array_equal(runs[0][:51], runs[1][:51])
    assert (runs[0][52] != runs[1][52]).any()


@settings(max_examples=12)
@example(0, 1.0000000000000002, 0.0)  # a stretch shorter than any step
@given(SEEDS, st.floats(1.0, 20.0), st.floats(0.0, 2.0))
def test_knots_to_come_change_nothing_before_them(seed: int, when: float, factor: float) -> None:
    """Jumps at any time, not only at whole ticks."""
    random = np.random.default_rng(seed)
    chain = chain_of(scenario())
    knots = np.array([0.0, when])
    values = np.tile(schedule_of(scenario()).values[0], (2, 1))
    plain = Schedule(knots[:1], values[:1], np.zeros((1, len(INPUTS))))
    values[1] *= factor
    slopes = np.stack([np.zeros(len(INPUTS)), random.uniform(0, 0.01, len(INPUTS))])
    times = range(25)
    matrix = stoichiometry(chain.recycling_yield)
    first, second = (
        integrate(HandRates(chain), matrix, begin(scenario()), schedule, times)
        for schedule in (plain, Schedule(knots, values, slopes))
    )
    before = np.arange(25) <= when
    np.testing.assert_array_equal(first[before], second[before])


def test_levels_ramp_as_announced_or_hold_for_a_tick() -> None:
    made = under(policy(10, 0.2, 0.8, end=41))
    content = INPUT["recycled_content"]
    for ramps, expected in ((True, 0.2 + 0.02 * 10.5), (False, 0.2 + 0.02 * 10)):
        schedule = schedule_of(made, ramps=ramps)
        inputs = schedule.at(schedule.piece(20.5), 20.5)
        assert inputs[content] == pytest.approx(expected)
        assert schedule.at(schedule.piece(9.9), 9.9)[content] == 0.0
        assert schedule.at(schedule.piece(41.0), 41.0)[content] == 0.0
        assert inputs[INPUT["carbon_cap"]] == NO_CAP


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"stocks": -np.ones(len(STOCKS))}, "negative"),
        ({"stocks": np.full(len(STOCKS), np.nan)}, "no number"),
        ({"stocks": np.zeros(3)}, "shape"),
        ({"times": [1, 0]}, "increase"),
        ({"times": []}, "increase"),
        ({"times": [-1, 0]}, "begins at"),
        ({"step_ticks": 0.0}, "step"),
        ({"rates": lambda stocks, inputs: -np.ones(len(REACTIONS))}, "a rate is negative"),
        ({"rates": lambda stocks, inputs: np.full(len(REACTIONS), np.nan)}, "a rate is negative"),
    ],
)
def test_what_cannot_be_solved_is_refused(change: dict[str, object], message: str) -> None:
    arguments = {
        "rates": lambda stocks, inputs: np.zeros(len(REACTIONS)),
        "matrix": stoichiometry(1.0),
        "stocks": np.zeros(len(STOCKS)),
        "schedule": CONSTANT,
        "times": [0, 1],
    }
    with pytest.raises(ScenarioError, match=message):
        integrate(**(arguments | change))  # type: ignore[arg-type]  # that is the test


def test_a_schedule_that_does_not_go_on_is_refused() -> None:
    row = np.zeros((2, 1))
    with pytest.raises(ScenarioError, match="do not increase"):
        Schedule(np.array([1.0, 1.0]), row, row)
    with pytest.raises(ScenarioError, match="no number"):
        Schedule(np.array([0.0, 1.0]), row * np.nan, row)


@settings(max_examples=8)
@given(SEEDS, st.sampled_from(["rule", "greedy", "random"]))
def test_the_events_say_where_their_mass_went(seed: int, name: str) -> None:
    made = make_scenario(seed, nodes=15, ticks=60)
    seen = trace_events(made, make_controller(name))
    totals = simulate_events(made, make_controller(name))
    assert seen.totals == totals
    last = dict(zip(STOCKS, seen.stocks[-1].tolist(), strict=True))
    assert last["disposed"] == pytest.approx(totals.disposed_kg)
    assert -last[OUTSIDE] == pytest.approx(totals.virgin_kg)
    np.testing.assert_allclose(seen.stocks.sum(axis=1), seen.stocks[0].sum())
    assert (np.delete(seen.stocks, STOCK[OUTSIDE], axis=1) >= 0).all()
    moved = dict(zip(REACTIONS, seen.extents.sum(axis=0).tolist(), strict=True))
    assert moved["recycle"] == pytest.approx(totals.recycled_kg)
    assert moved["resell"] == pytest.approx(totals.remanufactured_kg)
    assert 0.97 * (moved["make"] + moved["make_again"]) == pytest.approx(totals.made_kg)


def test_hand_written_rates_foretell_the_events() -> None:
    """Within a fifth of how far stocks go in a run, on schedules of several kinds."""
    made = make_scenario(3, nodes=50)
    chain = chain_of(made)
    matrix = stoichiometry(chain.recycling_yield)
    for seed in range(3):
        variant = with_schedule(made, seed)
        seen = trace_events(variant, make_controller("rule")).stocks
        schedule = schedule_of(variant)
        found = integrate(HandRates(chain), matrix, seen[0], schedule, [0, len(seen) - 1])[-1]
        went = seen[-1] - seen[0]
        for name in ("in_use", "disposed", OUTSIDE):
            missed = abs(found[STOCK[name]] - seen[-1, STOCK[name]])
            assert missed < 0.25 * abs(went[STOCK[name]]), name


def test_a_schedule_keeps_the_chain_and_changes_the_rest() -> None:
    first, second = with_schedule(scenario(), 1), with_schedule(scenario(), 2)
    assert first.nodes == second.nodes == scenario().nodes
    assert first.edges == scenario().edges
    assert len({first.id, second.id, scenario().id}) == 3
    assert len({first.seed, second.seed}) == 2
    assert first == with_schedule(scenario(), 1)
