"""The deterministic sampler (DDIM) in torch: many states at once, for training and evaluation."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from train.planner.schedule import X0_LIMIT

if TYPE_CHECKING:
    from collections.abc import Callable

    from train.planner.schedule import Schedule

    Project = Callable[[torch.Tensor], torch.Tensor]


@torch.no_grad()
def sample(
    model: torch.nn.Module,
    schedule: Schedule,
    noise: torch.Tensor,
    conditions: torch.Tensor,
    *,
    predicts_noise: bool = False,
    project_each: Project | None = None,
    watch: Callable[[torch.Tensor], None] | None = None,
) -> torch.Tensor:
    """State vectors from noise.

    Args:
        model: predicts x0 from [x_t, condition, embedding row].
        schedule: K steps.
        noise: standard normal, float32 [n, D].
        conditions: weights of cost and CO2, float32 [n, 2].
        predicts_noise: the model gives the noise instead, and x0 is worked out from it.
        project_each: applied to every x0 before the noise is worked out again from it; the other
            order, x0 projected beside the old noise, leaves the distribution.
        watch: called with every input of the model, [n, D + 2 + 16].
    """
    x = noise
    rows = torch.tensor(schedule.embedding, dtype=noise.dtype, device=noise.device)
    for row, kept, kept_next in zip(
        rows, schedule.alpha_bar.tolist(), schedule.alpha_bar_next.tolist(), strict=True
    ):
        inputs = torch.cat([x, conditions, row.expand(len(x), -1)], dim=1)
        if watch is not None:
            watch(inputs)
        x0 = model(inputs)
        if predicts_noise:
            x0 = (x - (1.0 - kept) ** 0.5 * x0) / kept**0.5
        # No plan to learn from lies beyond: without it a path in a hundred runs away.
        x0 = x0.clamp(-X0_LIMIT, X0_LIMIT)
        if project_each is not None:
            x0 = project_each(x0)
        x = ddim_step(x, x0, kept, kept_next)
    return x


def ddim_step(state: torch.Tensor, x0: torch.Tensor, kept: float, kept_next: float) -> torch.Tensor:
    """From a state with ᾱ = `kept` to one with `kept_next`, given what the data are."""
    noise = (state - kept**0.5 * x0) / (1.0 - kept) ** 0.5
    left: torch.Tensor = kept_next**0.5 * x0 + (1.0 - kept_next) ** 0.5 * noise
    return left
