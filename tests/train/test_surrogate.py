"""The surrogate of the discrete-event simulator says more than the mean of other scenarios."""

from __future__ import annotations

import numpy as np
import pytest

from jouleloop.errors import ScenarioError
from scenarios.world.generate import make_scenarios
from train.surrogate import TOTALS, train_surrogate

pytestmark = pytest.mark.train


def test_it_beats_the_mean_on_scenarios_that_it_never_saw() -> None:
    seen: list[tuple[int, int]] = []
    surrogate, errors = train_surrogate(64, ticks=60, progress=lambda *at: seen.append(at))
    assert tuple(errors) == TOTALS
    assert seen[-1] == (64, 64)
    relative = np.mean([error.relative for error in errors.values()])
    of_mean = np.mean([error.relative_of_mean for error in errors.values()])
    assert relative < 0.9 * of_mean
    totals = surrogate.totals(list(make_scenarios(3, seed=99, nodes=20)))
    assert totals.shape == (3, len(TOTALS))
    assert (totals >= 0.0).all()


def test_too_few_scenarios_are_refused() -> None:
    with pytest.raises(ScenarioError, match="3 scenarios are too few"):
        train_surrogate(3)
