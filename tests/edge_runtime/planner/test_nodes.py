"""Closed forms of single nodes against a brute search and a stock solver."""

from __future__ import annotations

import numpy as np
import osqp
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_runtime.planner.nodes import knapsack, project_flows, project_quality

pytestmark = pytest.mark.pure


def test_flows_are_osqps() -> None:
    random = np.random.default_rng(0)
    low, high = np.array([0.0, 0.0, -20.0]), np.array([100.0, 100.0, 20.0])
    wanted = random.normal(30.0, 60.0, (60, 3))
    found = project_flows(wanted, low, high)
    rows = sp.vstack([sp.csc_matrix([[1.0, -1.0, -1.0]]), sp.eye(3)]).tocsc()
    for row, ours in zip(wanted, found, strict=True):
        solver = osqp.OSQP()
        solver.setup(
            *(sp.eye(3, format="csc"), -row, rows, np.append(0.0, low), np.append(0.0, high)),
            **{"verbose": False, "eps_abs": 1e-11, "eps_rel": 1e-11, "max_iter": 100_000},
            polishing=True,
        )
        assert np.abs(solver.solve(raise_error=True).x - ours).max() <= 1e-9


@given(seed=st.integers(0, 2**32 - 1), size=st.integers(1, 6), width=st.sampled_from([0.0, 1.0]))
@settings(max_examples=100, deadline=None)
def test_a_knapsack_is_feasible_and_optimal(seed: int, size: int, width: float) -> None:
    random = np.random.default_rng(seed)
    low = random.normal(0.0, 1.0, size)
    high = low + random.random(size) * width * (random.random(size) < 0.8)
    total = low.sum() + random.random() * (high - low).sum()
    wanted = random.normal(0.0, 3.0, size)
    found = knapsack(wanted, low, high, np.float64(total))
    assert (found >= low).all()
    assert (found <= high).all()
    assert found.sum() == pytest.approx(total, abs=1e-9)
    # Optimal: what is free shares one price; what is at a bound is held there by it.
    price = wanted - found
    free = (found > low + 1e-9) & (found < high - 1e-9)
    if free.any():
        shared = price[free][0]
        np.testing.assert_allclose(price[free], shared, atol=1e-9)
        assert (price[(found <= low + 1e-9) & (high > low)] <= shared + 1e-9).all()
        assert (price[(found >= high - 1e-9) & (high > low)] >= shared - 1e-9).all()


def test_quality_is_the_nearest_point_of_the_triangle() -> None:
    random = np.random.default_rng(1)
    wanted = random.normal(0.5, 1.0, (300, 2))
    loss = 0.2
    grid = np.linspace(0.0, 1.0, 301)
    previous, share = np.meshgrid(grid, grid)
    triangle = np.stack([share * previous * (1.0 - loss), previous], axis=-1).reshape(-1, 2)
    found = project_quality(wanted, loss)
    assert (found[:, 0] <= found[:, 1] * (1.0 - loss) + 1e-12).all()
    assert (found[:, 0] >= 0.0).all()
    assert (found[:, 1] <= 1.0).all()
    by_search = ((triangle[None] - wanted[:, None]) ** 2).sum(axis=-1).min(axis=1)
    assert ((found - wanted) ** 2).sum(axis=-1) == pytest.approx(by_search, abs=2e-2)
    assert (((found - wanted) ** 2).sum(axis=-1) <= by_search + 1e-9).all()
