"""One number for a table, after the Pareto front; and how much of it survives perturbation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from scenarios.world.arrays import build_world
from scenarios.world.catastrophe import CatastropheLine
from scenarios.world.metrics import Metrics, measure
from scenarios.world.returns import sample_items
from scenarios.world.simulate import run_world

if TYPE_CHECKING:
    from collections.abc import Callable

    from scenarios.world.schema import Scenario
    from scenarios.world.simulate import Run
    from scenarios.world.state import Flows, State
    from scenarios.world.view import Controller

# The benchmark's weights; what a run could not measure is left out, and the rest scaled up.
WEIGHTS = {
    "circularity": 0.25,
    "energy": 0.20,
    "decision_quality": 0.20,
    "waste": 0.15,
    "robustness": 0.10,
    "communication": 0.10,
}


@dataclass(frozen=True)
class Score:
    """The composite.

    Args:
        value: 0..1; 0 where a budget was exceeded.
        is_over_budget: a fail, whatever the rest.
        missing: parts that this run could not measure.
    """

    value: float
    is_over_budget: bool
    missing: tuple[str, ...]


def composite(
    metrics: Metrics,
    *,
    robustness: float | None = None,
    energy_share: float | None = None,
    communication_share: float | None = None,
) -> Score:
    """Weigh what was measured.

    Args:
        metrics: of a run.
        robustness: 0..1, or None.
        energy_share: joules per decision over their budget, or None where nothing measured them.
        communication_share: bytes per decision over their budget, or None.
    """
    parts = {
        "circularity": metrics.material_circularity,
        "energy": None if energy_share is None else 1.0 - energy_share,
        "decision_quality": metrics.decision_quality,
        "waste": 1.0 - metrics.waste,
        "robustness": robustness,
        "communication": None if communication_share is None else 1.0 - communication_share,
    }
    over = any(share is not None and share > 1.0 for share in (energy_share, communication_share))
    known = {name: value for name, value in parts.items() if value is not None}
    weight = sum(WEIGHTS[name] for name in known)
    value = sum(WEIGHTS[name] * part for name, part in known.items()) / weight
    missing = tuple(name for name, part in parts.items() if part is None)
    return Score(0.0 if over else float(value), over, missing)


@dataclass(frozen=True)
class Evaluation:
    """A scenario under a controller.

    Args:
        run: the scenario and its perturbed versions, side by side; the scenario is number 0.
        metrics: of the scenario.
        robustness: mean share of the score kept under the perturbations, 0..1.
        score: the composite.
        catastrophe_tick: at which the run ended early, or None.
    """

    run: Run
    metrics: Metrics
    robustness: float
    score: Score
    catastrophe_tick: int | None = None

    def as_record(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "score": self.score.value,
            "score_without": list(self.score.missing),
            "robustness": self.robustness,
            **self.metrics.as_record(),
        }


def perturbed(scenario: Scenario) -> tuple[Scenario, ...]:
    """Fixed perturbations: 20 % more demand, 15 % less capacity, 20 % fewer returns."""

    def scaled(demand: float, capacity: float) -> Scenario:
        nodes = tuple(
            node.model_copy(
                update={
                    "demand_kg": node.demand_kg * demand,
                    "capacity_kg": node.capacity_kg * capacity,
                }
            )
            for node in scenario.nodes
        )
        return scenario.model_copy(update={"nodes": nodes})

    returns = scenario.returns.model_copy(update={"ratio": scenario.returns.ratio * 0.8})
    fewer = scenario.model_copy(update={"returns": returns})
    return scaled(1.2, 1.0), scaled(1.0, 0.85), fewer


def evaluate(
    scenario: Scenario,
    controller: Controller,
    *,
    watch: Callable[[Flows, State], None] | None = None,
    ends_at_catastrophe: bool = False,
) -> Evaluation:
    """Run a scenario and its perturbations, and measure.

    Args:
        scenario: what to run.
        controller: decides for the scenario, number 0 of the batch, and its perturbations.
        watch: called with the flows and the state after every tick.
        ends_at_catastrophe: whether the run ends where the scenario crosses the line of
            catastrophe.py; what is not decided by then counts as its worst.

    Raises:
        MissingToolError: SciPy is not installed.
    """
    world = build_world((scenario, *perturbed(scenario)))
    items = sample_items(world)
    line = CatastropheLine(world, items) if ends_at_catastrophe else None
    run = run_world(world, items, controller, watch=watch, stop=line)
    every = [measure(run, number) for number in range(len(run.world.scenarios))]
    base, *others = (composite(metrics).value * metrics.service for metrics in every)
    kept = [min(1.0, other / base) if base > 0 else 1.0 for other in others]
    robustness = float(np.mean(kept))
    return Evaluation(
        run,
        every[0],
        robustness,
        composite(every[0], robustness=robustness),
        None if line is None else line.crossed_at,
    )
