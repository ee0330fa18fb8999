"""The photovoltaic network is PV_ICE's, and its plans keep every constraint."""

from __future__ import annotations

import numpy as np
import pytest

from edge_runtime.planner.objectives import circularity, co2_kg, cost_usd
from edge_runtime.planner.residuals import residuals
from edge_runtime.planner.state import join_plans
from edge_runtime.planner.validation import check_network
from jouleloop.errors import ScenarioError
from train.planner.data import TOLERANCE, make_plan_data
from train.planner.metrics import correlation
from train.planner.pv_network import delivered_per_returned, pv_network
from train.planner.pv_plans import simulate_pv_plans

pytestmark = pytest.mark.pure


@pytest.mark.parametrize("year", [2025, 2050])
def test_plans_keep_every_constraint_and_follow_their_weights(year: int) -> None:
    network = pv_network(year)
    check_network(network)
    plans, weights = simulate_pv_plans(network, year, 256, 1)
    assert residuals(network, plans).largest.max() <= TOLERANCE
    assert correlation(weights[:, 0], cost_usd(network, plans)) < -0.6
    assert correlation(weights[:, 1], co2_kg(network, plans)) < -0.6
    assert correlation(weights[:, 1], circularity(plans)) > 0.4
    data = make_plan_data(network, {}, plans, weights)
    assert data.rejected == 0


def test_the_years_differ_as_the_baselines_do() -> None:
    assert delivered_per_returned(2030) > delivered_per_returned(2037) >= 1.0
    early, late = pv_network(2025), pv_network(2045)
    assert not np.array_equal(early.co2_per_kg, late.co2_per_kg)


def test_same_seed_same_plans() -> None:
    network = pv_network(2035)
    once, again, other = (
        join_plans(simulate_pv_plans(network, 2035, 8, seed)[0]) for seed in (1, 1, 2)
    )
    assert np.array_equal(once, again)
    assert not np.array_equal(once, other)


def test_a_year_beyond_the_baselines_is_an_error() -> None:
    with pytest.raises(ScenarioError, match="outside PV_ICE"):
        pv_network(2060)
