"""The C has the bits of the specification, and answers bad requests with a code."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from device_profiles.core import CORES
from edge_runtime.planner.network import Plans
from edge_runtime.planner.projection import Projector
from edge_runtime.planner.residuals import FEASIBLE, residuals
from edge_runtime.planner.state import join_plans, split_plans
from export.planner.projection import arithmetic_of, render_projection
from jouleloop.errors import NetworkError
from tests.edge_runtime.planner.networks import random_candidates, random_network, two_nodes
from tests.export.planner.host_projection import build, run

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.host_c

CORE = pytest.mark.parametrize("core", ["cortex-m4f", "cortex-m3"])
NOT_FINITE, BAD_BOUNDS, INFEASIBLE = -1, -2, -3


@CORE
def test_the_bits_are_those_of_the_specification(core: str, tmp_path: Path) -> None:
    for seed, nodes, edges in ((0, 20, 50), (1, 5, 4), (2, 2, 1)):
        network = random_network(seed, nodes, edges, fixed=seed)
        folder = tmp_path / str(seed)
        folder.mkdir()
        program = build(network, core, folder)
        projector = Projector(network, arithmetic_of(CORES[core]))
        for noise in (0.0, 0.3, 1.0, 1e4):
            rows = join_plans(random_candidates(network, 60, seed, noise=noise, off=0.2))
            rows = rows.astype(np.float32).astype(np.float64)
            answers = run(program, rows)
            done = projector.project(split_plans(network, rows))
            assert (answers.results == done.switched_on).all()
            assert (answers.plans == join_plans(done.plans)).all()


@CORE
def test_given_flows_are_finished_exactly(core: str, tmp_path: Path) -> None:
    network = random_network(7)
    program = build(network, core, tmp_path, "-DNEAR")
    projector = Projector(network, arithmetic_of(CORES[core]))
    candidate = random_candidates(network, 40, 3, off=0.2)
    rows = join_plans(candidate).astype(np.float32).astype(np.float64)
    answers = run(program, rows)
    plans = split_plans(network, rows)
    done = projector.project(plans, near=0.5 * plans.flows)
    assert done.paths.max() > 0
    assert (answers.plans == join_plans(done.plans)).all()
    assert residuals(network, done.plans).largest.max() <= FEASIBLE


@CORE
def test_bounds_of_a_request(core: str, tmp_path: Path) -> None:
    network = random_network(3)
    program = build(network, core, tmp_path)
    projector = Projector(network, arithmetic_of(CORES[core]))
    tighter = (projector.own_bounds * 0.7).astype(np.float32).astype(np.float64)
    rows = join_plans(random_candidates(network, 40, 3)).astype(np.float32).astype(np.float64)
    answers = run(program, rows, tighter)
    done = projector.project(split_plans(network, rows), tighter)
    assert (answers.plans == join_plans(done.plans)).all()


@CORE
def test_nodes_that_must_run_are_switched_on(core: str, tmp_path: Path) -> None:
    network = two_nodes(exchange_max=np.array([10.0, -5.0]))
    program = build(network, core, tmp_path)
    answers = run(program, np.zeros((1, 9), np.float32))
    assert answers.results.tolist() == [1]
    plans = split_plans(network, answers.plans.astype(np.float64))
    assert (plans.status == 1.0).all()
    assert residuals(network, plans).largest.max() <= FEASIBLE


@CORE
def test_a_bad_request_leaves_the_plan_and_says_where(core: str, tmp_path: Path) -> None:
    network = two_nodes()
    program = build(network, core, tmp_path)
    own = Projector(network).own_bounds
    plan = np.full((1, 9), 0.25, np.float32)
    for value in (np.nan, np.inf, -np.inf):
        broken = plan.copy()
        broken[0, 4] = value
        answers = run(program, broken)
        assert answers.results.tolist() == [NOT_FINITE]
        np.testing.assert_array_equal(answers.plans, broken)
    for row, node, value, result, excess in (
        (0, 1, 2.0, BAD_BOUNDS, 2.0),  # storage_min above storage_max
        (3, 1, -9.0, INFEASIBLE, 1.0),  # more than the edge carries
        (3, 1, -20.0, BAD_BOUNDS, 10.0),  # crossed
        (4, 0, 1.5, BAD_BOUNDS, 0.5),  # a quality above 1
        (4, 0, -0.5, BAD_BOUNDS, 0.5),
    ):
        bounds = own.copy()
        bounds[row, node] = value
        if result == INFEASIBLE:
            bounds[row, node] = -7.5
            bounds[3, 0] = 6.5
        answers = run(program, plan, bounds)
        assert answers.results.tolist() == [result]
        np.testing.assert_allclose(answers.excess, excess, rtol=1e-5)
        np.testing.assert_array_equal(answers.plans, plan)


def test_a_network_that_no_device_can_plan_is_refused() -> None:
    with pytest.raises(NetworkError, match="0 edges"):
        render_projection(random_network(0, 3, 0), CORES["cortex-m4f"])
    flooded = two_nodes(exchange_min=np.array([9.0, -10.0]))
    with pytest.raises(NetworkError, match="1 kg more than"):
        render_projection(flooded, CORES["cortex-m4f"])


def test_the_text_does_not_change() -> None:
    network = random_network(4)
    core = CORES["cortex-m3"]
    assert render_projection(network, core) == render_projection(replace(network), core)
    assert "float" in render_projection(network, CORES["cortex-m4f"])["jl_projection_tables.c"]
    assert isinstance(split_plans(network, np.zeros((1, 130))), Plans)
