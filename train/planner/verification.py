"""How well inverse simulation tells this world's plans from corrupted ones."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from edge_runtime.planner.planner import pick
from edge_runtime.planner.projection import ON
from train.inverse import InverseSimulation
from train.verify import area_under_roc, corrupted_plans

if TYPE_CHECKING:
    from train.planner.data import PlanData

PLANS = 100  # good ones, and as many corrupted


def area_under_curve(data: PlanData, seed: int) -> float:
    """The chance that a corrupted held-out plan has a larger residual than a sound one, 0..1."""
    plans = pick(data.plans(data.held_out), np.arange(min(PLANS, len(data.held_out))))
    sound = replace(plans, status=(plans.status >= ON).astype(np.float64))
    inversion = InverseSimulation(data.network, seed=seed)
    good = inversion.invert(sound).residual
    bad = inversion.invert(corrupted_plans(data.network, sound, seed)).residual
    return area_under_roc(good, bad)
