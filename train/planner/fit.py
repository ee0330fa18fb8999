"""Fit the denoiser to plans, then teach it to take long steps; goes on after a kill.

First every noisy state is denoised to its plan (x0-prediction, min-SNR weights, averaged weights).
Then the same network learns, besides, where 50 short steps lead: from states on its own paths, told
the length of the step, to the x0 that makes one long step end where the short ones do.
"""

from __future__ import annotations

import copy
import math
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn.functional import mse_loss

from train.planner.denoiser import Denoiser
from train.planner.physics import physics_penalty
from train.planner.resume import Progress, Snapshot
from train.planner.sampler import ddim_step
from train.planner.schedule import DISTILLED, X0_LIMIT, alpha_bar, embed, make_schedule

if TYPE_CHECKING:
    from train.planner.data import PlanData
    from train.planner.schedule import Schedule
    from train.planner.settings import Fit

THREADS = 1  # a second one gains nothing on layers this small
TIMES = 1000  # at which states are made noisy


class _Learner:
    """A model, its optimiser and its generator: all that a snapshot has to hold."""

    def __init__(self, model: Denoiser, fit: Fit, steps: int, seed: int, device: str) -> None:
        self.model, self.average = model.to(device), copy.deepcopy(model).to(device)
        self.steps, self.step, self.device = steps, 0, device
        self._rate, self._keep = fit.learning_rate, fit.average
        self._optimiser = torch.optim.Adam(self.model.parameters(), lr=fit.learning_rate)
        self.generator = torch.Generator(device).manual_seed(seed)

    def learn(self, loss: torch.Tensor) -> None:
        """One step of Adam, then of the average."""
        warm = min(1.0, (self.step + 1) / 100)
        cooled = 0.5 + 0.5 * math.cos(math.pi * self.step / self.steps)
        for group in self._optimiser.param_groups:
            group["lr"] = self._rate * warm * cooled
        self._optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        self._optimiser.step()
        keep = min(self._keep, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            mean: list[torch.Tensor] = list(self.average.parameters())
            now: list[torch.Tensor] = list(self.model.parameters())
            torch._foreach_mul_(mean, keep)
            torch._foreach_add_(mean, now, alpha=1.0 - keep)
        self.step += 1

    def snapshot(self) -> Snapshot:
        """Everything that the next step depends on."""
        return {
            "step": self.step,
            "model": self.model.state_dict(),
            "average": self.average.state_dict(),
            "optimiser": self._optimiser.state_dict(),
            "generator": self.generator.get_state(),
        }

    def restore(self, snapshot: Snapshot) -> None:
        """Go on from a snapshot."""
        self.step = snapshot["step"]
        self.model.load_state_dict(snapshot["model"])
        self.average.load_state_dict(snapshot["average"])
        self._optimiser.load_state_dict(snapshot["optimiser"])
        self.generator.set_state(snapshot["generator"])


def fit_denoiser(data: PlanData, fit: Fit, seed: int, progress: Progress | None = None) -> Denoiser:
    """Fit a denoiser; both parts.

    Args:
        data: plans.
        fit: how.
        seed: of weights, noise and order; the same seed gives the same network on the same machine,
            whether or not the run was killed and taken up again.
        progress: keeps snapshots and shows how far it is; nothing is kept when left out.

    Returns:
        The averaged network in evaluation mode, on the CPU.
    """
    device = "cuda" if torch.cuda.is_available() else "cpu"
    threads = torch.get_num_threads()
    keeper = progress or Progress()
    torch.set_num_threads(THREADS)
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            model = Denoiser(data.states.shape[1], fit.hidden)
        model = _learn_plans(data, fit, model, seed, device, keeper)
        if fit.distillation_steps:
            model = _learn_long_steps(data, fit, model, seed + 1, device, keeper)
    finally:
        torch.set_num_threads(threads)
    return model.cpu().eval()


def _learn_plans(
    data: PlanData, fit: Fit, model: Denoiser, seed: int, device: str, keeper: Progress
) -> Denoiser:
    learner = _Learner(model, fit, fit.steps, seed, device)
    loss = _PlanLoss(data, fit, device)
    keeper.run("learn plans", learner, lambda: loss(learner.model, fit.batch, learner.generator))
    return learner.average


class _PlanLoss:
    """Mean weighted square error of x0 (or the noise) at random times."""

    def __init__(self, data: PlanData, fit: Fit, device: str) -> None:
        self._states = torch.from_numpy(data.states).to(device)
        self._conditions = torch.from_numpy(data.conditions).to(device)
        self._fit = fit
        times = np.arange(1, TIMES + 1) / TIMES
        self._alpha_bar = torch.tensor(alpha_bar(times), dtype=torch.float32, device=device)
        self._embedding = torch.tensor(embed(times), dtype=torch.float32, device=device)
        self._penalty = physics_penalty(data, device) if fit.physics_weight else None

    def __call__(self, model: Denoiser, batch: int, generator: torch.Generator) -> torch.Tensor:
        device = self._states.device
        rows = torch.randint(len(self._states), (batch,), generator=generator, device=device)
        time = torch.randint(TIMES, (batch,), generator=generator, device=device)
        x0 = self._states[rows]
        noise = torch.randn(x0.shape, generator=generator, device=device)
        kept = self._alpha_bar[time][:, None]
        state = kept.sqrt() * x0 + (1.0 - kept).sqrt() * noise
        told = self._embedding[time]
        guess = model(torch.cat([state, self._conditions[rows], told], dim=1))
        if self._fit.predicts_noise:
            return mse_loss(guess, noise)
        ratio = kept / (1.0 - kept).clamp(min=1e-5)
        weight = ratio.clamp(self._fit.least_snr, self._fit.most_snr)
        loss: torch.Tensor = (weight * (guess - x0) ** 2).mean()
        if self._penalty is not None:
            loss = loss + self._fit.physics_weight * (kept[:, 0] * self._penalty(guess)).mean()
        return loss


def _learn_long_steps(
    data: PlanData, fit: Fit, teacher: Denoiser, seed: int, device: str, keeper: Progress
) -> Denoiser:
    learner = _Learner(copy.deepcopy(teacher), fit, fit.distillation_steps, seed, device)
    inputs, targets, weights = long_steps(teacher, fit.distillation_rows, seed)
    plan_loss = _PlanLoss(data, fit, device)

    def loss() -> torch.Tensor:
        rows = torch.randint(
            len(inputs), (fit.distillation_batch,), generator=learner.generator, device=device
        )
        error = (learner.model(inputs[rows]) - targets[rows]) ** 2
        far: torch.Tensor = (weights[rows, None] * error).mean()
        # Plans go on being learned, so that the short steps stay what they are.
        near = plan_loss(learner.model, fit.distillation_batch // 4, learner.generator)
        return far + 0.25 * near

    keeper.run("learn long steps", learner, loss)
    return learner.average


@torch.no_grad()
def long_steps(
    teacher: Denoiser, rows: int, seed: int
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Where long steps should lead, along paths of the teacher.

    Args:
        teacher: takes short steps.
        rows: paths, from noise of their own, under uniform weights.
        seed: of noise and weights.

    Returns:
        Inputs of the student, float32 [k, D + 2 + 16]; the x0 with which one long step ends where
        the short ones do, [k, D]; and how much an error in it moves that end, [k], 1 on average.
    """
    device = next(teacher.parameters()).device
    random = torch.Generator(device).manual_seed(seed)
    size = teacher.last.out_features
    noise = torch.randn(rows, size, generator=random, device=device)
    conditions = torch.rand(rows, 2, generator=random, device=device)
    inputs, targets, weights = [], [], []
    for steps, parts in DISTILLED.items():
        fine = make_schedule(steps * parts, distilled=False)
        coarse = make_schedule(steps, distilled=True)
        told = torch.tensor(coarse.embedding, dtype=torch.float32, device=device)
        state = noise
        for number in range(steps):
            short = slice(number * parts, (number + 1) * parts)
            end = _walk(teacher, fine, short, state, conditions)
            kept, kept_next = coarse.alpha_bar[number], coarse.alpha_bar_next[number]
            ratio = ((1.0 - kept_next) / (1.0 - kept)) ** 0.5
            reach = float(kept_next**0.5 - ratio * kept**0.5)
            inputs.append(torch.cat([state, conditions, told[number].expand(rows, -1)], dim=1))
            targets.append((end - ratio * state) / reach)
            weights.append(torch.full((rows,), reach**2 * steps, device=device))
            state = end
    weight = torch.cat(weights)
    return torch.cat(inputs), torch.cat(targets), (weight / weight.mean()).clamp(min=0.1)


def _walk(
    teacher: Denoiser,
    schedule: Schedule,
    part: slice,
    state: torch.Tensor,
    conditions: torch.Tensor,
) -> torch.Tensor:
    """Take the steps of a part of a schedule."""
    embedding = torch.tensor(schedule.embedding[part], dtype=torch.float32, device=state.device)
    for row, kept, kept_next in zip(
        embedding, schedule.alpha_bar[part], schedule.alpha_bar_next[part], strict=True
    ):
        x0 = teacher(torch.cat([state, conditions, row.expand(len(state), -1)], dim=1))
        x0 = x0.clamp(-X0_LIMIT, X0_LIMIT)
        state = ddim_step(state, x0, float(kept), float(kept_next))
    return state
