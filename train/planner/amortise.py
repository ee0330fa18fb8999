"""The amortiser of a planner: learned from what its own sampler leaves to the projection."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from train.amortiser import train_amortiser
from train.planner.checkpoint import DEFAULT_STEPS
from train.planner.denoiser import CONDITION_SIZE
from train.planner.sampler import sample

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from train.planner.data import PlanData
    from train.planner.schedule import Schedule
    from train.planner.settings import Settings


def learn_projections(
    model: torch.nn.Module,
    data: PlanData,
    tables: dict[int, Schedule],
    settings: Settings,
    out: Path,
    show: Callable[[str, int, int], None] | None = None,
) -> None:
    """Train the amortiser on plans that the model draws, and write its checkpoint.

    Args:
        model: the denoiser.
        data: whose network it plans.
        tables: by number of steps; the default's is drawn with.
        settings: how many plans, and the seed.
        out: folder for the checkpoint.
        show: called with (what is done, done, in all).
    """
    fit = settings.fit
    random = torch.Generator().manual_seed(settings.seed)
    noise = torch.randn(fit.amortiser_rows, data.states.shape[1], generator=random)
    conditions = torch.rand(fit.amortiser_rows, CONDITION_SIZE, generator=random)
    states = sample(model, tables[DEFAULT_STEPS], noise, conditions).numpy()
    tell = None if show is None else lambda done, total: show("learn projections", done, total)
    train_amortiser(
        data.network,
        data.plans(states),
        out,
        seed=settings.seed,
        steps=fit.amortiser_steps,
        progress=tell,
    )
