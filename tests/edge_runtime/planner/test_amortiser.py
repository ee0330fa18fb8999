"""The learned guess moves flows from where the candidate has them, within their bounds."""

from __future__ import annotations

import numpy as np
import pytest

from edge_runtime.planner.amortiser import Amortiser, candidate_rows, moved_flows
from edge_runtime.planner.arithmetic import FloatArithmetic
from edge_runtime.planner.projection import Projector
from edge_runtime.planner.residuals import FEASIBLE, residuals
from edge_runtime.planner.state import split_plans, state_size
from edge_runtime.wire.tensor import TensorSpec
from tests.edge_runtime.planner.networks import random_network

pytestmark = pytest.mark.pure

NETWORK = random_network(2, 8, 14)
EDGES, NODES = len(NETWORK.sources), len(NETWORK.nodes)


def candidates(seed: int, size: float) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    random = np.random.default_rng(seed)
    return random.normal(size=(30, state_size(NETWORK)), scale=size).astype(np.float32)


def test_what_is_given_is_shares_within_limits() -> None:
    rows = candidate_rows(NETWORK, candidates(1, 10.0 * NETWORK.capacity))
    assert rows.shape == (30, EDGES + 3 * NODES)
    assert rows.dtype == np.float32
    assert (rows[:, :EDGES].min(), rows.max(), rows.min()) == (-1.0, 2.0, -2.0)
    assert set(np.unique(rows[:, EDGES + 2 * NODES :])) == {0.0, 1.0}
    full = np.zeros((1, state_size(NETWORK)), np.float32)
    full[:, :EDGES] = NETWORK.flow_max
    moves = NETWORK.flow_max > 0
    np.testing.assert_allclose(candidate_rows(NETWORK, full)[0, :EDGES][moves], 1.0, rtol=1e-6)


def test_a_guess_of_nothing_leaves_flows_where_they_are() -> None:
    given = candidates(2, NETWORK.capacity)
    still = moved_flows(NETWORK, given, np.zeros((30, EDGES), np.float32))
    np.testing.assert_array_equal(still, np.clip(given[:, :EDGES], 0, np.float32(NETWORK.flow_max)))


@pytest.mark.parametrize("seed", range(4))
def test_the_wildest_guess_is_finished_exactly(seed: int) -> None:
    specs = (
        TensorSpec("candidate", (1, EDGES + 3 * NODES), 0.02, 0),
        TensorSpec("flow_change", (1, EDGES), 0.01, 3),
    )
    random = np.random.default_rng(seed)
    wild = Amortiser(
        NETWORK, specs, lambda rows: random.integers(-128, 128, (len(rows), EDGES), np.int8)
    )
    given = candidates(seed, NETWORK.capacity)
    plans = split_plans(NETWORK, given.astype(np.float64))
    projector = Projector(NETWORK, FloatArithmetic(np.float32))
    done = projector.project(plans, near=wild.near(given).astype(np.float64))
    assert residuals(NETWORK, done.plans).largest.max() <= FEASIBLE
