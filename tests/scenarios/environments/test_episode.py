"""What holds under any action: mass, bounds, the law, and a reward that the metrics define."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scenarios.world.episode import Episode
from scenarios.world.file import seal
from scenarios.world.generate import as_record, make_scenario
from scenarios.world.node_action import ACTION_COUNT, COLUMNS
from scenarios.world.node_observation import FEATURES, LAW
from scenarios.world.products import Disposition
from scenarios.world.schema import Scenario
from scenarios.world.simulate import simulate
from scenarios.world.view import Action, View
from tests.scenarios.world.worlds import scenario

pytestmark = pytest.mark.pure

TICKS = 60
ALL_DISPOSED = np.array([1.0, 1.0, 1.0, 1.0, -0.7], np.float32)


def with_policies(*policies: dict[str, Any], seed: int = 3, **more: Any) -> Scenario:
    record = as_record(make_scenario(seed, nodes=14, ticks=TICKS))
    return seal({**record, "policies": list(policies), "disruptions": [], **more, "id": ""})


def policy(kind: str, subject: str, start: int, level: float, end: int = TICKS) -> dict[str, Any]:
    points = [{"tick": start, "level": level}]
    return {"kind": kind, "subject": subject, "start": start, "end": end, "points": points}


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 5000), spread=st.sampled_from([0.2, 1.0, 3.0]), corner=st.booleans())
def test_any_action_closes_the_ledger_and_stays_in_bounds(
    seed: int, spread: float, corner: bool
) -> None:
    """`act` itself raises where the mass of a node does not close."""
    episode = Episode((make_scenario(seed, nodes=7 + seed % 10, ticks=25),))
    random = np.random.default_rng(seed)
    first = episode.world.sum_nodes(episode.items.park_kg.sum(axis=1))
    assert first > 0
    while not episode.is_over:
        seen = episode.observe()
        assert seen.dtype == np.float32
        assert ((seen >= 0) & (seen <= 1)).all()
        values = spread * random.uniform(-1, 1, (episode.world.nodes, ACTION_COUNT))
        outcome = episode.act(np.sign(values) if corner else values)
        assert (np.abs(outcome.parts) <= 1).all()
        assert outcome.node_violations.sum() <= outcome.violations.sum()
    metrics = episode.metrics()
    assert 0 <= metrics.material_circularity <= 1
    assert 0 <= metrics.compliance <= 1


def test_a_forbidden_wish_is_executed_as_the_nearest_and_counted() -> None:
    banned = with_policies(policy("ban", "landfill", 20, 1.0))
    free = with_policies()
    episode, other = Episode((banned,)), Episode((free,))
    forbidden, items = 0.0, 0
    while not episode.is_over:
        tick, now = episode.tick, len(episode._opening.view.now)
        action = np.tile(ALL_DISPOSED, (episode.world.nodes, 1))
        outcome, lawless = episode.act(action), other.act(action)
        assert not lawless.violations.any()
        assert outcome.node_violations.sum() == (now if tick >= 20 else 0)
        assert outcome.violations[0] == outcome.node_violations.sum()
        forbidden += outcome.violations[0]
        items += now if tick >= 20 else 0
    assert forbidden == items > 10
    run = episode._recorder.run(episode._state)
    late = run.items.first_return[run.decided] >= 20
    assert set(run.executed[late]) == {Disposition.RECYCLE}
    assert Disposition.DISPOSE in run.executed[~late]
    assert episode.metrics().violations == forbidden
    assert other.metrics().waste > episode.metrics().waste


@pytest.mark.parametrize(
    ("kind", "subject", "level"),
    [
        ("tax", "carbon", 0.2),
        ("tax", "landfill", 0.5),
        ("tax", "virgin", 0.9),
        ("cap", "carbon", 40.0),
        ("ban", "landfill", 1.0),
        ("collection_target", "returns", 0.9),
        ("recycled_content", "products", 0.3),
    ],
)
def test_a_policy_of_the_future_changes_no_observation(
    kind: str, subject: str, level: float
) -> None:
    start = 30
    with_law, without = (
        Episode((with_policies(*law),)) for law in ((policy(kind, subject, start, level),), ())
    )
    random = np.random.default_rng(1)
    law_columns = [FEATURES.index(name) for name in LAW]
    while not with_law.is_over:
        seen, expected = with_law.observe(), without.observe()
        if with_law.tick < start:
            assert np.array_equal(seen, expected)
        else:
            assert not np.array_equal(seen[:, law_columns], expected[:, law_columns])
            break
        values = random.uniform(-1, 1, (with_law.world.nodes, ACTION_COUNT))
        assert with_law.act(values).reward == without.act(values).reward


def test_a_disruption_is_not_seen_before_it_begins() -> None:
    calm = with_policies()
    fails = {
        "kind": "node_failure",
        "start": 30,
        "end": 50,
        "nodes": [next(node.id for node in calm.nodes if node.kind == "collection")],
    }
    broken = Episode((with_policies(disruptions=[fails]),))
    whole = Episode((calm,))
    up = FEATURES.index("capacity")
    for tick in range(31):
        same = np.array_equal(broken.observe(), whole.observe())
        assert same == (tick < 30)
        for episode in (broken, whole):
            episode.act(np.zeros((episode.world.nodes, ACTION_COUNT)))
    assert broken.observe()[:, up].min() == 0.0


def test_the_rule_is_an_action_and_runs_as_the_controller_does() -> None:
    """Gates 0.75, 0.5, 0.15, everything runs, a day of material: that is the rule."""
    rule = 2.0 * np.array([0.75, 0.5, 0.15, 1.0, 24.0 / 168.0]) - 1.0
    assert len(rule) == len(COLUMNS)
    episode = Episode((scenario(),))
    rewards = []
    while not episode.is_over:
        outcome = episode.act(np.tile(rule, (episode.world.nodes, 1)))
        rewards.append(outcome.parts[0])

    class Rule:
        name = "rule"

        def reset(self, *_: object) -> None:
            pass

        def decide(self, view: View) -> Action:
            from scenarios.world.controllers import make_controller

            return make_controller("rule").decide(view)

    run = simulate((scenario(),), Rule())
    assert np.array_equal(episode._recorder.run(episode._state).executed, run.executed)
    assert np.allclose(episode._recorder.run(episode._state).delivered, run.delivered, rtol=1e-9)
    # The mean of the part is the metric of that name.
    assert np.mean([parts[1] for parts in rewards]) == pytest.approx(episode.metrics().service)
