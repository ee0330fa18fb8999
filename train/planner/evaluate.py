"""What a trained planner is worth on held-out plans, for each of its schedules."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from edge_runtime.planner.projection import ON
from edge_runtime.planner.residuals import FEASIBLE, residuals
from train.planner.metrics import compare, sliced_wasserstein
from train.planner.sampler import sample

if TYPE_CHECKING:
    from train.planner.data import PlanData
    from train.planner.sampler import Project
    from train.planner.schedule import Schedule

LOOSE = 1e-3  # of the capacity: what some call feasible where nothing is projected


def draw(
    model: torch.nn.Module,
    data: PlanData,
    table: Schedule,
    seed: int,
    *,
    predicts_noise: bool = False,
    project_each: Project | None = None,
) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """State vectors under the held-out conditions, one each, float32 [m, D].

    They are as the last step leaves them; `sample` says what the options mean.
    """
    random = torch.Generator().manual_seed(seed)
    noise = torch.randn(data.held_out.shape, generator=random)
    conditions = torch.from_numpy(data.held_out_conditions)
    drawn = sample(
        model,
        table,
        noise,
        conditions,
        predicts_noise=predicts_noise,
        project_each=project_each,
    )
    return drawn.numpy()


def evaluate(
    model: torch.nn.Module, data: PlanData, tables: dict[int, Schedule], seed: int
) -> dict[str, Any]:
    """By number of steps: distances, spread, correlations, and what is feasible unprojected.

    Returns:
        `training_plans`, `held_out_plans`, `rejected_plans`, `sliced_wasserstein_floor` (between
        halves of the held-out plans), `data` (the held-out plans' own correlations) and `steps`,
        by number of steps the fields of `Distribution` and `feasible_loose` and `feasible_strict`.
    """
    half = len(data.held_out) // 2
    truth = data.plans(data.held_out)
    own = asdict(compare(data, data.held_out, data.held_out_conditions, truth))
    return {
        "training_plans": len(data.states),
        "held_out_plans": len(data.held_out),
        "rejected_plans": data.rejected,
        "sliced_wasserstein_floor": sliced_wasserstein(data.held_out[:half], data.held_out[half:]),
        "data": {name: own[name] for name in ("cost_correlation", "co2_correlation")},
        "steps": {
            str(steps): score(data, draw(model, data, table, seed))
            for steps, table in tables.items()
        },
    }


def score(data: PlanData, states: np.ndarray[Any, np.dtype[np.float32]]) -> dict[str, float]:
    """The figures of one set of drawn states, as they are."""
    plans = data.plans(states)
    decided = replace(plans, status=(plans.status >= ON).astype(np.float64))
    worst = residuals(data.network, decided).largest
    return asdict(compare(data, states, data.held_out_conditions, plans)) | {
        "feasible_loose": float((worst <= LOOSE).mean()),
        "feasible_strict": float((worst <= FEASIBLE).mean()),
    }
