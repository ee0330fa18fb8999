"""Plans to learn from keep every constraint, follow their weights, and are checked first."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from edge_runtime.planner.network import Network, Plans
from edge_runtime.planner.objectives import co2_kg, cost_usd
from edge_runtime.planner.residuals import residuals
from edge_runtime.planner.state import join_plans, split_plans
from jouleloop.errors import InputError
from scenarios.world.generate import make_scenario
from scenarios.world.schema import Scenario
from train.planner.data import TOLERANCE, make_plan_data
from train.planner.metrics import correlation
from train.planner.scenario_network import network_of
from train.planner.scenario_plans import simulate_plans
from train.planner.schedule import X0_LIMIT

pytestmark = pytest.mark.pure

Simulated = tuple[Plans, NDArray[np.float64]]
SOURCE = {"kind": "scenario", "id": "0", "seed": 5, "period_hours": 168.0}


@pytest.fixture(scope="module")
def scenario() -> Scenario:
    return make_scenario(5, nodes=20)


@pytest.fixture(scope="module")
def network(scenario: Scenario) -> Network:
    return network_of(scenario)


@pytest.fixture(scope="module")
def simulated(scenario: Scenario, network: Network) -> Simulated:
    return simulate_plans(scenario, network, 256, 3)


def test_every_kept_plan_keeps_every_constraint(network: Network, simulated: Simulated) -> None:
    data = make_plan_data(network, SOURCE, *simulated)
    assert data.rejected < 0.05 * len(simulated[1])
    broken = residuals(network, simulated[0]).largest
    assert (broken <= TOLERANCE).sum() >= len(data.states) + len(data.held_out)
    # In float32, which a denoiser learns, they still hold to what float32 can say.
    assert residuals(network, data.plans(data.states)).mass.max() < 1e-6
    assert np.abs(data.states).max() <= X0_LIMIT


def test_what_is_off_moves_nothing(network: Network, simulated: Simulated) -> None:
    plans = simulated[0]
    off = plans.status == 0.0
    assert off.any()
    moved = (plans.flows @ network.inflow.T)[off], (plans.flows @ (network.incidence < 0).T)[off]
    assert max(values.max() for values in moved) == 0.0


def test_weights_bend_what_they_weigh(network: Network, simulated: Simulated) -> None:
    plans, weights = simulated
    assert correlation(weights[:, 0], cost_usd(network, plans)) < -0.6
    assert correlation(weights[:, 1], co2_kg(network, plans)) < -0.6


def test_same_seed_same_plans_and_another_other(scenario: Scenario, network: Network) -> None:
    once, again, other = (
        join_plans(simulate_plans(scenario, network, 8, seed, period_ticks=24)[0])
        for seed in (1, 1, 2)
    )
    assert np.array_equal(once, again)
    assert not np.array_equal(once, other)


def test_plans_come_apart_as_they_were_joined(network: Network, simulated: Simulated) -> None:
    joined = join_plans(simulated[0])
    apart = split_plans(network, joined)
    for name in vars(apart):
        assert np.array_equal(getattr(apart, name), getattr(simulated[0], name))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_no_number_is_one_error(
    network: Network, simulated: Simulated, value: float
) -> None:
    plans, weights = simulated
    flows = plans.flows.copy()
    flows[7, 3] = value
    with pytest.raises(InputError, match="1 values that are NaN or infinite, the first in row 7"):
        make_plan_data(network, SOURCE, replace(plans, flows=flows), weights)


def test_plans_of_no_such_network_are_an_error(network: Network, simulated: Simulated) -> None:
    plans, weights = simulated
    with pytest.raises(InputError, match="the worst breaks mass by"):
        make_plan_data(network, SOURCE, replace(plans, storage=plans.storage + 1.0), weights)
