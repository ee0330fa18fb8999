"""Calibrate the intervals of a planner on one half of the held-out plans; measure on the other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from edge_runtime.planner.intervals import calibrate, outcomes, quantiles
from edge_runtime.planner.objectives import OBJECTIVES
from train.planner.sampler import sample

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from train.planner.data import PlanData
    from train.planner.schedule import Schedule

    Floats = NDArray[np.float64]

LEVELS = (0.8, 0.9, 0.95)
DRAWN = 48  # plans per held-out condition
CONDITIONS_AT_ONCE = 128


def calibrate_intervals(
    model: torch.nn.Module, data: PlanData, table: Schedule, seed: int
) -> dict[str, Any]:
    """Offsets by level, and how often intervals cover plans that calibration did not see.

    Returns:
        By level as text: `offsets`, `coverage`, `coverage_uncalibrated` and `mean_width`, each with
        a number per objective; for the card.
    """
    happened = outcomes(data.network, data.plans(data.held_out))
    drawn = draw_outcomes(model, data, table, data.held_out_conditions, seed)
    # Halves: no run of the simulator is in both.
    half = len(happened) // 2
    fit, test = slice(0, half), slice(half, None)
    records = {}
    for level in LEVELS:
        low, high = quantiles(drawn, level)
        offsets = calibrate(low[fit], high[fit], happened[fit], level)
        records[str(level)] = {
            name: _named(values)
            for name, values in {
                "offsets": offsets,
                "coverage": _covered(low[test] - offsets, high[test] + offsets, happened[test]),
                "coverage_uncalibrated": _covered(low[test], high[test], happened[test]),
                "mean_width": (high - low).mean(axis=0) + 2.0 * offsets,
            }.items()
        }
    return records


def draw_outcomes(
    model: torch.nn.Module,
    data: PlanData,
    table: Schedule,
    conditions: NDArray[np.float32],
    seed: int,
) -> Floats:
    """Outcomes of plans drawn under each condition, [n, DRAWN, 3]; not projected.

    Projection moves them by far less than an interval is wide.
    """
    random = torch.Generator().manual_seed(seed)
    size = data.states.shape[1]
    parts = []
    for start in range(0, len(conditions), CONDITIONS_AT_ONCE):
        chosen = torch.from_numpy(conditions[start : start + CONDITIONS_AT_ONCE])
        rows = chosen.repeat_interleave(DRAWN, dim=0)
        noise = torch.randn(len(rows), size, generator=random)
        plans = data.plans(sample(model, table, noise, rows).numpy())
        parts.append(outcomes(data.network, plans).reshape(len(chosen), DRAWN, -1))
    return np.concatenate(parts)


def _covered(low: Floats, high: Floats, happened: Floats) -> Floats:
    inside: Floats = ((happened >= low) & (happened <= high)).mean(axis=0)
    return inside


def _named(values: Floats) -> dict[str, float]:
    return dict(zip(OBJECTIVES, map(float, values), strict=True))
