"""Bounds that no plan keeps: torch, NumPy and C refuse the same ones, for the same reason."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from device_profiles.core import CORES
from edge_runtime.planner.projection import BOUNDS, Projector
from edge_runtime.planner.state import join_plans, split_plans
from export.planner.projection import arithmetic_of, render_projection
from jouleloop.errors import NetworkError
from tests.edge_runtime.planner.networks import random_candidates, random_network
from tests.export.planner.host_projection import build, run
from train.projection import TensorPlans, TensorProjector

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from edge_runtime.planner.network import Network, Plans

    Floats = NDArray[np.float64]

pytestmark = pytest.mark.train

REQUESTS = 40
NETWORK = random_network(9, 8, 14, fixed=2)
INFEASIBLE = -3
KILOGRAMS = re.compile(r"at least ([0-9.e+-]+) kg")


def _requests() -> list[Floats]:
    """The network's bounds, each time with a floor under what a few nodes give or take."""
    random = np.random.default_rng(4)
    own = Projector(NETWORK).own_bounds
    requests = []
    for _ in range(REQUESTS):
        bounds = own.copy()
        moved = random.random(own.shape[1]) < 0.4
        by = random.uniform(-60.0, 60.0, own.shape[1]) * moved
        bounds[2] += by
        bounds[3] += by
        requests.append(bounds.astype(np.float32).astype(np.float64))
    return requests


def _candidate() -> Plans:
    rows = join_plans(random_candidates(NETWORK, 1, 5)).astype(np.float32)
    return split_plans(NETWORK, rows.astype(np.float64))


def _with(bounds: Floats) -> Network:
    return replace(NETWORK, **dict(zip(BOUNDS, bounds, strict=True)))


def _refusal_in_torch(bounds: Floats) -> str:
    """What the trainer's projector says; nothing where it finds a plan."""
    tensors = TensorPlans(*(torch.tensor(part) for part in vars(_candidate()).values()))
    try:
        TensorProjector(_with(bounds), dtype=torch.float64)(tensors)
    except NetworkError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("core", ["cortex-m4f", "cortex-m3"])
def test_all_three_refuse_the_same_requests(core: str, tmp_path: Path) -> None:
    program = build(NETWORK, core, tmp_path)
    projector, candidate = Projector(NETWORK, arithmetic_of(CORES[core])), _candidate()
    refused = 0
    for bounds in _requests():
        answer = run(program, join_plans(candidate), bounds)
        try:
            projector.project(candidate, bounds)
            said = ""
        except NetworkError as error:
            said = str(error)
        in_torch = _refusal_in_torch(bounds)
        assert bool(said) == (answer.results[0] == INFEASIBLE) == bool(in_torch)
        if said:
            refused += 1
            kilograms = float(KILOGRAMS.findall(said)[0])
            np.testing.assert_allclose(answer.excess[0], kilograms, rtol=1e-5)
            np.testing.assert_allclose(float(KILOGRAMS.findall(in_torch)[0]), kilograms, rtol=1e-3)
            assert NETWORK.nodes[answer.nodes[0]] in said
            assert in_torch.partition("at least")[0] == said.partition("at least")[0]
    assert 5 <= refused <= REQUESTS - 5


@pytest.mark.parametrize(
    ("row", "value", "says"),
    [
        (0, 1e4, "storage_min of n5 is 10000 kg, .* kg above its storage_max"),
        (2, 1e4, "exchange_min of n5 is 10000 kg, .* kg above its exchange_max"),
        (4, 1.5, "quality_previous of n5 is 1.5; it must be 0 to 1"),
        (4, -0.5, "quality_previous of n5 is -0.5, below 0"),
        (1, np.nan, "storage_max of n5 is nan; it must be a number"),
        (3, np.inf, "exchange_max of n5 is inf; it must be a number"),
    ],
)
def test_bounds_that_are_none_are_named(row: int, value: float, says: str) -> None:
    bounds = Projector(NETWORK).own_bounds.copy()
    bounds[row, 5] = value
    with pytest.raises(NetworkError, match=says):
        Projector(NETWORK).project(_candidate(), bounds)
    assert re.search(says, _refusal_in_torch(bounds))


def test_capacities_that_are_too_small_are_refused_before_any_export() -> None:
    """Capacities are the network's, not a request's: the exporter says it as the projectors do."""
    fetched = NETWORK.exchange_min.copy()
    fetched[0] = 5.0  # kg that must leave a node that can store nothing
    cut_off = replace(
        NETWORK,
        exchange_min=fetched,
        exchange_max=np.maximum(NETWORK.exchange_max, fetched),
        flow_max=np.zeros(len(NETWORK.flow_max)),
    )
    says = "no plan keeps the constraints: n0 gets at least 5 kg more than edges"
    with pytest.raises(NetworkError, match=says):
        Projector(cut_off).check_feasible()
    with pytest.raises(NetworkError, match=says):
        render_projection(cut_off, CORES["cortex-m3"])
    tensors = TensorPlans(*(torch.tensor(part) for part in vars(_candidate()).values()))
    with pytest.raises(NetworkError, match=says):
        TensorProjector(cut_off)(tensors)
