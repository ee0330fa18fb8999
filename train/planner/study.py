"""One seed of the planner's report: every figure, of every sampler and baseline, in one record."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from edge_runtime.planner.arithmetic import FloatArithmetic
from edge_runtime.planner.intervals import outcomes
from edge_runtime.planner.projection import Projector
from edge_runtime.planner.residuals import FEASIBLE, residuals
from edge_runtime.planner.state import join_plans
from train.checkpoint import CARD
from train.planner.evaluate import draw, score
from train.planner.fit import THREADS, fit_denoiser
from train.planner.quantised import QuantisedDenoiser, load_denoiser
from train.planner.resume import Progress
from train.planner.schedule import make_schedule
from train.planner.train import plan_data, train_planner
from train.planner.verification import area_under_curve

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from edge_runtime.planner.network import Plans
    from train.planner.data import PlanData
    from train.planner.settings import Fit, Settings

    Record = dict[str, Any]
    Show = Callable[[str, int, int], None]
    States = np.ndarray[tuple[int, ...], np.dtype[np.float32]]

# Steps, and whether they are distilled.
FLOAT = ((50, False), (10, False), (4, False), (4, True), (2, False), (2, True))
INT8 = ((10, False), (4, True), (2, True))
BASELINE_STEPS = (50, 10, 4)
PHYSICS_WEIGHT = 0.1
WAYS = len(FLOAT) + len(INT8) + 1
SHOWN = 400  # plans in a picture


def study_seed(folder: Path, settings: Settings, show: Show, *, baselines: bool) -> Record:
    """Train a planner, draw from it in every way, and say what each is worth.

    Args:
        folder: for the checkpoint, `seed-N`, and the plans; what is there is not made again.
        settings: of this seed.
        show: called with (what is done, done, in all).
        baselines: whether to train those too.

    Returns:
        `seed`, `network`, `held_out_plans`, `floor`, `intervals`, `parameters`, `verification`,
        `steering` (weights and outcomes of some plans), and `samplers`: by name the figures of
        `evaluate.score`, and `projected`: the same after projection at the end, with `feasible`
        (share of plans with a residual within 1e-5 of the capacity) and `largest_residual`.
    """
    data = plan_data(settings, folder / f"plans-{settings.seed}.npz", show)
    place = folder / f"seed-{settings.seed}"
    card = _card(place) or train_planner(place, settings, show, data=data).as_record()
    model, quantised = load_denoiser(place), QuantisedDenoiser(place)
    ways = _Ways(data, settings.seed, show)
    torch.set_num_threads(THREADS)
    for steps, distilled in FLOAT:
        ways.add(_name("x0", steps, distilled), model, steps, distilled=distilled)
    for steps, distilled in INT8:
        ways.add(_name("INT8", steps, distilled), quantised, steps, distilled=distilled)
    ways.add("x0, 10 steps, each projected", model, 10, each=True)
    for name, fit in _baselines(settings.fit).items() if baselines else ():
        other = fit_denoiser(data, fit, settings.seed, Progress(show=show))
        for steps in BASELINE_STEPS:
            label = f"{name}, {steps} steps"
            ways.add(label, other, steps, predicts_noise=fit.predicts_noise)
    return {
        "seed": settings.seed,
        "network": card["planner"]["source"] | {"edges": len(data.network.sources)},
        "held_out_plans": len(data.held_out),
        "floor": card["metrics"]["sliced_wasserstein_floor"],
        "intervals": card["metrics"]["intervals"],
        "parameters": card["planner"]["parameters"],
        "verification": {"auc": area_under_curve(data, settings.seed)},
        "steering": ways.steering(model),
        "samplers": ways.records,
    }


def _card(place: Path) -> Record | None:
    """The card of a checkpoint that an interrupted study left."""
    try:
        record: Record = json.loads((place / CARD).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    return record


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

    def __init__(self, data: PlanData, seed: int, show: Show) -> None:
        self.records: dict[str, Record] = {}
        self._data, self._seed, self._show = data, seed, show
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
        self._show("draw plans", len(self.records), WAYS)
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

    def steering(self, model: torch.nn.Module) -> list[list[float]]:
        """Weights of cost and CO2, and realised cost, CO2 and circularity of some plans."""
        states = draw(model, self._data, make_schedule(10, distilled=False), self._seed)
        worth = outcomes(self._data.network, self._project(states))
        rows = np.concatenate([self._data.held_out_conditions, worth], axis=1)[:SHOWN]
        table: list[list[float]] = rows.tolist()
        return table

    def _project(self, states: States) -> Plans:
        return self._projector.project(self._data.plans(states)).plans

    def _normalise(self, plans: Plans) -> States:
        return self._data.normalisation.normalise(join_plans(plans)).astype(np.float32)

    def _project_states(self, states: torch.Tensor) -> torch.Tensor:
        return torch.from_numpy(self._normalise(self._project(states.numpy())))
