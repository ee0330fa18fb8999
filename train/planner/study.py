"""One seed of the planner's report: every figure, of every sampler and baseline, in one record."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from edge_runtime.planner.arithmetic import FloatArithmetic
from edge_runtime.planner.projection import Projector
from edge_runtime.planner.residuals import FEASIBLE, residuals
from edge_runtime.planner.state import join_plans
from train.planner.evaluate import draw, score
from train.planner.fit import THREADS, fit_denoiser
from train.planner.quantised import QuantisedDenoiser, load_denoiser
from train.planner.schedule import make_schedule
from train.planner.train import plan_data, train_planner

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from edge_runtime.planner.network import Plans
    from train.planner.data import PlanData
    from train.planner.settings import Fit, Settings

    States = np.ndarray[tuple[int, ...], np.dtype[np.float32]]

# Steps, and whether they are distilled.
FLOAT = ((50, False), (10, False), (4, False), (4, True), (2, False), (2, True))
INT8 = ((10, False), (4, True), (2, True))
BASELINE_STEPS = (50, 10, 4)
PHYSICS_WEIGHT = 0.1


def study_seed(folder: Path, settings: Settings, show: Callable[[str, int, int], None]) -> Any:
    """Train a planner, draw from it in every way, and say what each is worth.

    Args:
        folder: for the checkpoint, `seed-N`, and the plans.
        settings: of this seed.
        show: called with (what is done, done, in all).

    Returns:
        `seed`, `network`, `held_out_plans`, `floor`, `intervals`, and `samplers`: by name the
        figures of `evaluate.score` and `projected`: the same after projection at the end, with
        `feasible` (share of plans with a residual within 1e-5 of the capacity) and
        `largest_residual`.
    """
    data = plan_data(settings, folder / f"plans-{settings.seed}.npz", show)
    place = folder / f"seed-{settings.seed}"
    card = train_planner(place, settings, show, data=data)
    model, quantised = load_denoiser(place), QuantisedDenoiser(place)
    ways = _Ways(data, settings.seed)
    torch.set_num_threads(THREADS)
    for steps, distilled in FLOAT:
        ways.add(_name("x0", steps, distilled), model, steps, distilled=distilled)
    for steps, distilled in INT8:
        ways.add(_name("INT8", steps, distilled), quantised, steps, distilled=distilled)
    ways.add("x0, 10 steps, each projected", model, 10, each=True)
    for name, fit in _baselines(settings.fit).items():
        other = fit_denoiser(data, fit, settings.seed)
        for steps in BASELINE_STEPS:
            label = f"{name}, {steps} steps"
            ways.add(label, other, steps, predicts_noise=fit.predicts_noise)
    return {
        "seed": settings.seed,
        "network": card.details["source"] | {"edges": len(data.network.sources)},
        "held_out_plans": len(data.held_out),
        "floor": card.metrics["sliced_wasserstein_floor"],
        "intervals": card.metrics["intervals"],
        "parameters": card.details["parameters"],
        "samplers": ways.records,
    }


def _name(kind: str, steps: int, distilled: bool) -> str:
    return f"{kind}, {steps} steps{', distilled' if distilled else ''}"


def _baselines(fit: Fit) -> dict[str, Fit]:
    plain = replace(fit, distillation_steps=0)
    return {
        "noise prediction": replace(plain, predicts_noise=True),
        "hybrid physics loss": replace(plain, physics_weight=PHYSICS_WEIGHT),
    }


class _Ways:
    """Draws from models in many ways and keeps what each is worth."""

    def __init__(self, data: PlanData, seed: int) -> None:
        self.records: dict[str, dict[str, Any]] = {}
        self._data, self._seed = data, seed
        # float32: as on a device.
        self._projector = Projector(data.network, FloatArithmetic(np.float32))

    def add(
        self,
        name: str,
        model: torch.nn.Module,
        steps: int,
        *,
        distilled: bool = False,
        each: bool = False,
        predicts_noise: bool = False,
    ) -> None:
        """Draw one plan per held-out condition, without projection and with it at the end."""
        table = make_schedule(steps, distilled=distilled)
        states = draw(
            model,
            self._data,
            table,
            self._seed,
            predicts_noise=predicts_noise,
            project_each=self._project_states if each else None,
        )
        plans = self._project(states)
        worst = residuals(self._data.network, plans).largest
        projected = score(self._data, self._normalise(plans))
        self.records[name] = score(self._data, states) | {
            "projected": projected
            | {
                "feasible": float((worst <= FEASIBLE).mean()),
                "largest_residual": float(worst.max()),
            }
        }

    def _project(self, states: States) -> Plans:
        return self._projector.project(self._data.plans(states)).plans

    def _normalise(self, plans: Plans) -> States:
        return self._data.normalisation.normalise(join_plans(plans)).astype(np.float32)

    def _project_states(self, states: torch.Tensor) -> torch.Tensor:
        return torch.from_numpy(self._normalise(self._project(states.numpy())))
