"""The whole sampler in C, under sanitizers: the bits of the specification, whatever is asked."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from edge_runtime.planner.request import REFUSALS
from edge_runtime.planner.residuals import FEASIBLE, residuals
from edge_runtime.planner.state import join_plans, split_plans
from jouleloop.errors import NetworkError
from tests.edge_runtime.planner.networks import random_network, two_nodes
from tests.export.planner.host_sampler import Scales, build_sampler

if TYPE_CHECKING:
    from pathlib import Path

    from edge_runtime.planner.network import Network

pytestmark = pytest.mark.host_c

CORE = pytest.mark.parametrize("core", ["cortex-m4f", "cortex-m3"])
NOT_FINITE, BAD_BOUNDS, INFEASIBLE = -1, -2, -3
CONDITIONS = ((0.2, 0.8), (0.0, 0.0), (-3.0, 40.0), (1e30, -1e30), (np.inf, -np.inf))
SAMPLES = (0, 1, 2**32 - 1)


def _without_capacity() -> Network:
    network = random_network(3, 4, 6)
    return replace(network, flow_max=np.zeros(6))


def _all_equal() -> Network:
    """Every box is one point, and one plan alone keeps them."""
    stored, given = np.array([0.0, 2.0]), np.array([5.0, -3.0])
    return two_nodes(storage_min=stored, storage_max=stored, exchange_min=given, exchange_max=given)


NETWORKS = {
    "20 nodes": random_network(0, 20, 50),
    "one edge": two_nodes(),
    "no capacity": _without_capacity(),
    "boxes of one point": _all_equal(),
    "no energy": replace(random_network(2, 6, 9), energy_max=np.zeros(6)),
}


@CORE
@pytest.mark.parametrize("name", NETWORKS)
def test_a_sample_has_the_bits_of_the_specification(name: str, core: str, tmp_path: Path) -> None:
    network = NETWORKS[name]
    sampler = build_sampler(network, core, tmp_path)
    for condition in CONDITIONS:
        candidates = split_plans(
            network, sampler.coordinates(condition, SAMPLES).astype(np.float64)
        )
        wanted = sampler.planner.projector.project(candidates)
        drawn = sampler.run([sampler.request(condition, sample) for sample in SAMPLES])
        for row, (plan, residual, status) in enumerate(drawn):
            assert (join_plans(plan)[0] == join_plans(wanted.plans)[row]).all(), condition
            assert status == wanted.switched_on[row]
            assert residual <= FEASIBLE
            assert residuals(network, plan).largest.max() <= FEASIBLE


@CORE
@pytest.mark.parametrize(
    "scales",
    [
        Scales(input=1e-4),  # every number of the noise saturates
        Scales(mean=-1e30, std=1e30),
    ],
    ids=str,
)
def test_extreme_scales(scales: Scales, core: str, tmp_path: Path) -> None:
    network = random_network(1, 5, 4)
    sampler = build_sampler(network, core, tmp_path, scales)
    coordinates = sampler.coordinates((0.2, 0.8), SAMPLES).astype(np.float64)
    wanted = sampler.planner.projector.project(split_plans(network, coordinates))
    drawn = sampler.run([sampler.request((0.2, 0.8), sample) for sample in SAMPLES])
    plans = np.concatenate([join_plans(plan) for plan, _, _ in drawn])
    np.testing.assert_array_equal(plans, join_plans(wanted.plans))


@CORE
def test_what_is_no_number_gets_a_status(core: str, tmp_path: Path) -> None:
    network = random_network(1, 5, 4)
    sampler = build_sampler(network, core, tmp_path)
    own = sampler.planner.projector.own_bounds
    asked = [sampler.request((np.nan, np.nan), 0)]
    for value, row in ((np.nan, 0), (np.inf, 1), (3e38, 0), (-3e38, 3), (1.5, 4)):
        bounds = own.copy()
        bounds[row, 2] = value
        asked.append(sampler.request((0.5, 0.5), 0, bounds))
    asked.append(sampler.request((0.5, 0.5), 0, np.where(np.abs(own) > 0, own * 1e20, own)))
    drawn = sampler.run(asked)
    statuses = [status for _, _, status in drawn]
    assert statuses[1:6] == [NOT_FINITE, NOT_FINITE, BAD_BOUNDS, BAD_BOUNDS, BAD_BOUNDS]
    # A weight that is no number steers somewhere; the plan keeps the constraints all the same.
    assert statuses[0] >= 0
    assert residuals(network, drawn[0][0]).largest.max() <= FEASIBLE


@CORE
def test_bounds_that_no_plan_keeps_get_a_status(core: str, tmp_path: Path) -> None:
    sampler = build_sampler(NETWORKS["one edge"], core, tmp_path)
    bounds = sampler.planner.projector.own_bounds.copy()
    bounds[3] = (6.5, -7.5)  # the plant must give 7.5 kg away, of which the mine fetches 6.5 kg
    drawn = sampler.run([sampler.request((0.5, 0.5), sample, bounds) for sample in SAMPLES])
    assert [status for _, _, status in drawn] == [INFEASIBLE] * len(SAMPLES)
    with pytest.raises(NetworkError, match="at least 1 kg less than"):
        sampler.planner.projector.check_feasible(bounds)
    assert set(REFUSALS) == {NOT_FINITE, BAD_BOUNDS, INFEASIBLE}


@CORE
def test_an_overflow_is_told(core: str, tmp_path: Path) -> None:
    sampler = build_sampler(NETWORKS["one edge"], core, tmp_path, Scales(mean=3e38, std=3e38))
    drawn = sampler.run([sampler.request((0.5, 0.5), sample) for sample in range(20)])
    assert {status for _, _, status in drawn} == {NOT_FINITE}
