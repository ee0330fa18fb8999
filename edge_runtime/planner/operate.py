"""An operational plan: the best of many drawn under the same weights, and what to expect of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from edge_runtime.planner.intervals import outcomes
from edge_runtime.planner.planner import pick

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edge_runtime.planner.network import Plans
    from edge_runtime.planner.planner import Planner

    Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Operation:
    """What to run next.

    Args:
        plan: the chosen one; one row.
        worth: its cost (USD), CO2 (kg) and circularity, [3].
        low: of the interval that such plans come to, [3].
        high: likewise.
        drawn: how many it was chosen from.
        better_than: share of them that it beats by the weights.
    """

    plan: Plans
    worth: Floats
    low: Floats
    high: Floats
    drawn: int
    better_than: float


def operate(
    planner: Planner, condition: tuple[float, float], *, count: int, level: str, seed: int
) -> Operation:
    """Draw plans and choose the one with the least weighted cost and CO2.

    Each counts in standard deviations of the drawn plans, so that weights compare like with like;
    without any weight the plan nearest to the mean is chosen.

    Args:
        planner: draws feasible plans.
        condition: weights of cost and CO2, 0..1.
        count: how many to draw.
        level: of the interval, as the planner has it.
        seed: of the draw.

    Raises:
        InputError: weights, count or level out of range.
    """
    plans = planner.draw_alike(condition, count, seed)
    worth = outcomes(planner.network, plans)
    spread = np.maximum(worth.std(axis=0), 1e-12)
    scores = (worth - worth.mean(axis=0))[:, :2] / spread[:2]
    weighted = scores @ np.asarray(condition) if any(condition) else np.abs(scores).sum(axis=1)
    best = int(weighted.argmin())
    low, high = planner.interval(plans, level)
    better = float((weighted > weighted[best]).mean())
    return Operation(pick(plans, best), worth[best], low, high, count, better)
