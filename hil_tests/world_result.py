"""What a benchmark in worlds says: one frozen record, a cell for each scenario and seed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from hil_tests.result import Record

if TYPE_CHECKING:
    from scenarios.world.metrics import Metrics

MODEL = "model"


@dataclass(frozen=True)
class ControllerRun:
    """A world under one controller.

    Args:
        score: composite without the device's parts, 0..1; 0 after a catastrophe.
        robustness: mean share of the score kept under the perturbations, 0..1.
        metrics: of the world.
        catastrophe_tick: at which the run ended early, or None.
    """

    score: float
    robustness: float
    metrics: Metrics
    catastrophe_tick: int | None


@dataclass(frozen=True)
class WorldCell:
    """One scenario × seed: the same by itself, and on every target.

    Args:
        file: name of the scenario's file.
        id: the scenario's SHA-256.
        scenario_seed: fixes all that is random in its run.
        seed: of the random controller.
        nodes: of the scenario.
        ticks: of its run.
        decisions: what the model wished for, index into the labels, one per item in order.
        runs: by controller: `model` and those it is compared with.
        instructions: per inference, empty where the target cannot count.
        link_bytes: per inference.
        seconds: per inference; empty where the target has no latency.
        differences: inferences whose output was another one on this machine.
    """

    file: str
    id: str
    scenario_seed: int
    seed: int
    nodes: int
    ticks: int
    decisions: tuple[int, ...]
    runs: dict[str, ControllerRun]
    instructions: tuple[int, ...]
    link_bytes: tuple[int, ...]
    seconds: tuple[float, ...]
    differences: int

    @property
    def model(self) -> ControllerRun:
        """The world under the model."""
        return self.runs[MODEL]


@dataclass(frozen=True)
class Pareto:
    """Controllers in the objectives of `scenarios.world.sweep_report`, before any score.

    Args:
        objectives: names; more is better in each.
        points: by controller, the mean of each objective over the cells.
        front: controllers that no other beats in all objectives.
        hypervolume: by controller, above zero.
    """

    objectives: tuple[str, ...]
    points: dict[str, tuple[float, ...]]
    front: tuple[str, ...]
    hypervolume: dict[str, float]


@dataclass(frozen=True, kw_only=True)
class WorldsResult(Record):
    """One benchmark run in worlds.

    Args:
        observation: what the model was shown.
        scenarios_left_out: files that a limit left out.
        catastrophe_line: metric and level below which a run ends.
        cells: those that finished.
        pareto: over the finished cells; None before the first.
        over_budget: budgets that were exceeded, in words.
    """

    observation: str
    scenarios_left_out: int
    catastrophe_line: str
    cells: tuple[WorldCell, ...]
    pareto: Pareto | None
    over_budget: tuple[str, ...]

    @property
    def decisions(self) -> tuple[int, ...]:
        """All decisions, in the order in which they were taken."""
        return tuple(d for cell in self.cells for d in cell.decisions)
