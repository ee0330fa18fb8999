"""A run ends where decisions are about as bad as they can be, and nowhere else."""

from __future__ import annotations

import numpy as np
import pytest

from scenarios.world.catastrophe import FEWEST_DECISIONS, LEVEL
from scenarios.world.controllers import COVER_TICKS, make_controller
from scenarios.world.score import evaluate
from scenarios.world.view import Action, View
from tests.scenarios.world.worlds import scenario

pytestmark = pytest.mark.pure


class Worst:
    """Takes the disposition that is worth least."""

    name = "worst"

    def reset(self, *_: object) -> None:
        pass

    def decide(self, view: View) -> Action:
        nodes = view.world.nodes
        chosen = view.values.argmin(axis=1).astype(np.int64)
        return Action(chosen, np.ones(nodes), np.full(nodes, COVER_TICKS))


def test_the_worst_decisions_end_a_run_as_soon_as_there_are_enough() -> None:
    whole = evaluate(scenario(), Worst())
    ended = evaluate(scenario(), Worst(), ends_at_catastrophe=True)
    assert whole.catastrophe_tick is None
    assert ended.catastrophe_tick is not None
    assert len(ended.run.delivered) == ended.catastrophe_tick + 1 < len(whole.run.delivered)
    mine = ended.run.items.scenario[ended.run.decided] == 0
    assert FEWEST_DECISIONS <= mine.sum() == ended.metrics.decisions
    # Up to there both runs are the same.
    ticks = ended.catastrophe_tick + 1
    assert np.array_equal(ended.run.delivered, whole.run.delivered[:ticks])
    assert ended.metrics.decision_quality < LEVEL


@pytest.mark.parametrize("name", ["random", "rule", "greedy"])
@pytest.mark.parametrize("seed", [3, 4, 5])
def test_no_ordinary_controller_comes_near_it(name: str, seed: int) -> None:
    watched = evaluate(scenario(seed), make_controller(name), ends_at_catastrophe=True)
    assert watched.catastrophe_tick is None
    assert watched.metrics == evaluate(scenario(seed), make_controller(name)).metrics
