"""How near drawn plans are to simulated ones: distances, spread, and whether the weights steer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from edge_runtime.planner.objectives import co2_kg, cost_usd

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edge_runtime.planner.network import Plans
    from train.planner.data import PlanData

    Floats = NDArray[Any]

DIRECTIONS = 256
ENERGY_ROWS = 1000  # the energy distance is quadratic in rows


@dataclass(frozen=True)
class Distribution:
    """Drawn state vectors against held-out ones, both normalised.

    Args:
        sliced_wasserstein: root mean square distance of sorted projections, mean over directions.
        energy_distance: squared, 2 E|X - Y| - E|X - X'| - E|Y - Y'|, per square root of D.
        std_ratio: of drawn over held-out, mean over the coordinates that move.
        cost_correlation: of realised cost with its weight.
        co2_correlation: of realised CO2 with its weight.
    """

    sliced_wasserstein: float
    energy_distance: float
    std_ratio: float
    cost_correlation: float
    co2_correlation: float


def compare(data: PlanData, states: Floats, conditions: Floats, plans: Plans) -> Distribution:
    """What a set of drawn plans is worth as a distribution.

    Args:
        data: whose held-out plans it is compared with.
        states: drawn, float [n, D].
        conditions: that they were drawn under, [n, 2].
        plans: the same states in kg and shares.
    """
    return Distribution(
        sliced_wasserstein=sliced_wasserstein(states, data.held_out),
        energy_distance=energy_distance(states, data.held_out),
        std_ratio=std_ratio(states, data.held_out, data.moving),
        cost_correlation=correlation(conditions[:, 0], cost_usd(data.network, plans)),
        co2_correlation=correlation(conditions[:, 1], co2_kg(data.network, plans)),
    )


def sliced_wasserstein(a: Floats, b: Floats, *, seed: int = 7) -> float:
    """2-Wasserstein distance of one-dimensional projections, mean over 256 directions.

    Args:
        a: [n, D].
        b: [m, D]; of unequal sets the larger is read at the quantiles of the smaller.
        seed: of the directions.

    >>> points = np.random.default_rng(0).standard_normal((500, 3))
    >>> sliced_wasserstein(points, points)
    0.0
    """
    directions = np.random.default_rng(seed).standard_normal((a.shape[1], DIRECTIONS))
    directions /= np.linalg.norm(directions, axis=0)
    one, other = np.sort(a @ directions, axis=0), np.sort(b @ directions, axis=0)
    rows = min(len(one), len(other))
    one, other = (_quantiles(values, rows) for values in (one, other))
    return float(np.sqrt(np.mean((one - other) ** 2, axis=0)).mean())


def _quantiles(sorted_rows: Floats, rows: int) -> Floats:
    if len(sorted_rows) == rows:
        return sorted_rows
    place = (np.arange(rows) + 0.5) / rows * len(sorted_rows) - 0.5
    low = np.clip(np.floor(place).astype(int), 0, len(sorted_rows) - 2)
    part = np.clip(place - low, 0.0, 1.0)[:, None]
    values: Floats = sorted_rows[low] * (1.0 - part) + sorted_rows[low + 1] * part
    return values


def energy_distance(a: Floats, b: Floats) -> float:
    """Squared energy distance of the first 1000 rows of each, per square root of D."""
    one, other = a[:ENERGY_ROWS].astype(np.float64), b[:ENERGY_ROWS].astype(np.float64)
    across = _distances(one, other).mean()
    within = sum(
        _distances(rows, rows).sum() / (len(rows) * (len(rows) - 1)) for rows in (one, other)
    )
    return float(2.0 * across - within) / float(np.sqrt(a.shape[1]))


def _distances(a: Floats, b: Floats) -> Floats:
    squares = (a**2).sum(axis=1)[:, None] + (b**2).sum(axis=1) - 2.0 * (a @ b.T)
    distances: Floats = np.sqrt(np.maximum(squares, 0.0))
    return distances


def std_ratio(a: Floats, b: Floats, moving: NDArray[np.bool_]) -> float:
    """Standard deviation of `a` over that of `b`, mean over the coordinates that move."""
    return float((a[:, moving].std(axis=0) / b[:, moving].std(axis=0)).mean())


def correlation(a: Floats, b: Floats) -> float:
    """Pearson's; 0 where one of the two does not vary."""
    if a.std() == 0.0 or b.std() == 0.0:
        return 0.0
    return float(np.corrcoef(a, b)[0, 1])
