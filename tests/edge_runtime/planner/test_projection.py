"""Projected plans keep every constraint, and are the nearest that do."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import TYPE_CHECKING

import numpy as np
import osqp
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from edge_runtime.planner.arithmetic import FixedArithmetic, FloatArithmetic
from edge_runtime.planner.network import Network, Plans
from edge_runtime.planner.projection import BOUNDS, Effort, Projector
from edge_runtime.planner.residuals import FEASIBLE, residuals
from jouleloop.errors import NetworkError, PlanError
from tests.edge_runtime.planner.networks import (
    networks,
    random_candidates,
    random_network,
    two_nodes,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

pytestmark = pytest.mark.pure

CONVERGED = Effort(20_000, 0.0, 1e-13)
DOUBLE, SINGLE, FIXED = FloatArithmetic(), FloatArithmetic(np.float32), FixedArithmetic()
EVERY = pytest.mark.parametrize("arithmetic", [DOUBLE, SINGLE, FIXED], ids=["f64", "f32", "fixed"])


def nearest_by_osqp(network: Network, candidate: Plans, plan: int) -> NDArray[np.float64]:
    """Flows of the nearest plan of one candidate whose nodes are all on."""
    nodes, edges = len(network.nodes), len(network.sources)
    size = edges + 2 * nodes
    eye = sp.eye(nodes)
    rows = sp.vstack(
        [
            sp.hstack([sp.csc_matrix(network.incidence), -eye, eye]),
            sp.eye(size),
            sp.hstack([sp.csc_matrix(network.inflow), sp.csc_matrix((nodes, 2 * nodes))]),
        ]
    ).tocsc()
    low = np.concatenate(
        [np.zeros(nodes + edges), network.storage_min, network.exchange_min, np.full(nodes, -1e30)]
    )
    high = np.concatenate(
        [
            *(np.zeros(nodes), network.flow_max, network.storage_max, network.exchange_max),
            network.inflow_max,
        ]
    )
    wanted = np.concatenate(
        [candidate.flows[plan], candidate.storage[plan], candidate.exchange[plan]]
    )
    solver = osqp.OSQP()
    solver.setup(
        *(sp.eye(size, format="csc"), -wanted, rows, low, high),
        **{"verbose": False, "eps_abs": 1e-11, "eps_rel": 1e-11, "max_iter": 100_000},
        polishing=True,
    )
    flows: NDArray[np.float64] = solver.solve(raise_error=True).x[:edges]
    return flows


@pytest.mark.parametrize("seed", range(4))
def test_converged_projection_is_osqps(seed: int) -> None:
    network = random_network(seed)
    candidate = random_candidates(network, 4, seed, off=0.0)
    done = Projector(network).project(candidate, effort=CONVERGED)
    assert not done.switched_on.any()
    for plan in range(4):
        by_osqp = nearest_by_osqp(network, candidate, plan)
        assert np.abs(done.plans.flows[plan] - by_osqp).max() <= 1e-9 * network.capacity


@EVERY
def test_every_plan_keeps_every_constraint(arithmetic: FloatArithmetic | FixedArithmetic) -> None:
    network = random_network(5)
    projector = Projector(network, arithmetic)
    for noise in (0.0, 0.3, 1.0, 30.0):
        candidate = random_candidates(network, 200, 7, noise=noise, off=0.2)
        done = projector.project(candidate)
        found = residuals(network, done.plans)
        assert (found.mass == 0.0).all()
        assert found.largest.max() <= FEASIBLE
        wide = Plans(*(getattr(done.plans, f.name).astype(np.float32) for f in fields(Plans)))
        assert residuals(network, wide).largest.max() <= FEASIBLE


@given(network=networks(), seed=st.integers(0, 2**32 - 1), noise=st.sampled_from([0.0, 1.0, 1e6]))
@settings(max_examples=60, deadline=None)
@EVERY
def test_any_network(
    arithmetic: FloatArithmetic | FixedArithmetic, network: Network, seed: int, noise: float
) -> None:
    candidate = random_candidates(network, 3, seed, noise=noise, off=0.5)
    done = Projector(network, arithmetic).project(candidate)
    found = residuals(network, done.plans)
    assert found.mass.max(initial=0.0) == 0.0
    assert found.largest.max(initial=0.0) <= FEASIBLE


@pytest.mark.parametrize("arithmetic", [SINGLE, FIXED], ids=["f32", "fixed"])
def test_a_device_comes_as_near_as_float64(arithmetic: FloatArithmetic | FixedArithmetic) -> None:
    network = random_network(11)
    candidate = random_candidates(network, 100, 3)
    there = Projector(network, arithmetic).project(candidate).plans
    here = Projector(network).project(candidate).plans
    assert (there.status == here.status).all()
    assert np.abs(there.flows - here.flows).max() <= 2e-5 * network.capacity


def test_twenty_iterations_come_near_the_nearest() -> None:
    network = random_network(2)
    candidate = random_candidates(network, 200, 3)
    projector = Projector(network)
    nearest = projector.project(candidate, effort=CONVERGED).plans.flows
    quick = projector.project(candidate).plans.flows
    assert np.sqrt(np.mean((quick - nearest) ** 2)) <= 0.01 * network.capacity


def test_a_plan_does_not_depend_on_its_neighbours() -> None:
    network = random_network(1)
    candidate = random_candidates(network, 20, 9)
    projector = Projector(network, SINGLE)
    together = projector.project(candidate).plans
    for plan in (0, 19):
        one = Plans(*(getattr(candidate, f.name)[plan : plan + 1] for f in fields(Plans)))
        alone = projector.project(one).plans
        for field in fields(Plans):
            assert (getattr(alone, field.name)[0] == getattr(together, field.name)[plan]).all()


def test_a_feasible_plan_stays() -> None:
    network = random_network(6)
    projector = Projector(network)
    once = projector.project(random_candidates(network, 20, 1, off=0.0)).plans
    again = projector.project(once, effort=CONVERGED).plans
    assert np.abs(again.flows - once.flows).max() <= 1e-9 * network.capacity


def test_off_nodes_carry_nothing() -> None:
    network = random_network(8)
    candidate = replace(random_candidates(network, 5, 2), status=np.zeros((5, 20)))
    done = Projector(network).project(candidate)
    assert not done.switched_on.any()
    assert (done.plans.flows == 0.0).all()
    assert (done.plans.status == 0.0).all()


@EVERY
def test_needed_nodes_are_switched_on(arithmetic: FloatArithmetic | FixedArithmetic) -> None:
    demand = two_nodes(exchange_max=np.array([10.0, -5.0]))
    off = Plans(*(np.zeros((1, n)) for n in (1, 2, 2, 2, 2)))
    done = Projector(demand, arithmetic).project(off)
    assert done.switched_on.all()
    assert (done.plans.status == 1.0).all()
    assert done.plans.flows[0, 0] == pytest.approx(5.0, rel=1e-3)


def test_bounds_of_a_request_replace_the_networks() -> None:
    network = random_network(3)
    projector = Projector(network, SINGLE)
    tighter = projector.own_bounds * 0.5
    done = projector.project(random_candidates(network, 30, 4), tighter)
    asked = replace(network, **dict(zip(BOUNDS, tighter, strict=True)))
    assert residuals(asked, done.plans).largest.max() <= FEASIBLE


def test_bounds_that_no_plan_keeps_are_named_with_their_amount() -> None:
    network = two_nodes()
    bounds = Projector(network).own_bounds.copy()
    bounds[3, 1] = -7.5  # the plant hands over 7.5 kg at least, and the mine gives 5 at most
    bounds[3, 0] = 5.0
    with pytest.raises(NetworkError, match=r"mine and plant get at least 2.5 kg less than"):
        Projector(network).check_feasible(bounds)
    bounds[3, 1] = -9.0
    with pytest.raises(NetworkError, match=r"exchange of plant is asked to be 1 kg beyond the 8 "):
        Projector(network).check_feasible(bounds)
    flooded = two_nodes(exchange_min=np.array([9.0, -10.0]))
    with pytest.raises(NetworkError, match=r"mine gets at least 1 kg more than"):
        Projector(flooded).check_feasible()


@given(seed=st.integers(0, 2**32 - 1), shift=st.floats(-60, 60))
@settings(max_examples=60, deadline=None)
def test_infeasibility_is_what_a_linear_program_finds(seed: int, shift: float) -> None:
    network = random_network(seed, 6, 9, fixed=2)
    moved = network.storage_max[-1] + shift
    network = replace(
        network,
        storage_min=np.append(network.storage_min[:-1], moved),
        storage_max=np.append(network.storage_max[:-1], moved),
    )
    rows = np.hstack([network.incidence, np.eye(6), -np.eye(6)])
    lows = (np.zeros(9), network.exchange_min, network.storage_min)
    highs = (network.flow_max, network.exchange_max, network.storage_max)
    box = np.stack([np.concatenate(lows), np.concatenate(highs)], axis=1)
    energy = np.hstack([network.inflow, np.zeros((6, 12))])
    program = linprog(
        np.zeros(21), energy, network.inflow_max, rows, np.zeros(6), bounds=box, method="highs"
    )
    try:
        Projector(network).check_feasible()
    except NetworkError:
        assert program.status == 2
    else:
        assert program.status == 0


def test_a_candidate_that_is_no_number_is_refused() -> None:
    network = random_network(0)
    candidate = random_candidates(network, 2, 0)
    candidate.storage[1, 3] = np.nan
    with pytest.raises(PlanError, match="storage of plan 1 hold nan at 3"):
        Projector(network).project(candidate)


def test_an_arithmetic_that_is_too_coarse_is_refused() -> None:
    open_both = two_nodes(storage_max=np.array([1e9, 0.0]), exchange_max=np.array([1e9, 0.0]))
    Projector(open_both)
    with pytest.raises(NetworkError, match=r"largest bound, 1e\+09 kg"):
        Projector(open_both, SINGLE)
    Projector(two_nodes(exchange_max=np.array([1e9, 0.0])), SINGLE)
