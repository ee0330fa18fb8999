"""What a benchmark in worlds says: one frozen record, a cell for each scenario and seed."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hil_tests.result import Measure
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


@dataclass(frozen=True)
class WorldsResult:
    """One benchmark run in worlds.

    Args:
        bundle: the model's name.
        device: profile that the bundle was made for.
        target: `qemu`, `serial` or `local`.
        target_description: what stands behind the target.
        observation: what the model was shown.
        seed: of the random controller.
        labels: names of the decisions.
        golden_rows: rows of the bundle checked on the target; every one must be exact.
        scenarios_asked: how many worlds the run was to have.
        scenarios_left_out: files that a limit left out.
        catastrophe_line: metric and level below which a run ends.
        cells: those that finished.
        pareto: over the finished cells; None before the first.
        measures: figures over the finished cells.
        missing: figure -> why it is absent.
        over_budget: budgets that were exceeded, in words.
        complete: False while the run is going on, or when it was interrupted.
        producer: name and version of this program.
    """

    bundle: str
    device: str
    target: str
    target_description: str
    observation: str
    seed: int
    labels: tuple[str, ...]
    golden_rows: int
    scenarios_asked: int
    scenarios_left_out: int
    catastrophe_line: str
    cells: tuple[WorldCell, ...]
    pareto: Pareto | None
    measures: tuple[Measure, ...]
    missing: dict[str, str]
    over_budget: tuple[str, ...]
    complete: bool
    producer: str

    @property
    def decisions(self) -> tuple[int, ...]:
        """All decisions, in the order in which they were taken."""
        return tuple(d for cell in self.cells for d in cell.decisions)

    def measure(self, name: str) -> Measure | None:
        """The figure called `name`, or None when it is absent."""
        return next((m for m in self.measures if m.name == name), None)

    def as_record(self) -> dict[str, Any]:
        """The record for JSON."""
        return asdict(self) | {"decisions": list(self.decisions)}
