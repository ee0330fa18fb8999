"""What a benchmark run says: one frozen record, with units, limits and provenance."""

from __future__ import annotations

import json
import os
from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class Measure:
    """One figure of a run.

    Args:
        name: what, with its unit at the end where it has one.
        value: best value.
        unit: SI symbol, or empty for a ratio.
        kind: `measured` (counted or timed in this run) or `modelled`.
        source: how it was obtained.
        low: lower end of its interval, same unit.
        high: upper end.
        limit: the budget or capacity it is held against, same unit; None when nothing limits it.
    """

    name: str
    value: float
    unit: str
    kind: Literal["measured", "modelled"]
    source: str
    low: float | None = None
    high: float | None = None
    limit: float | None = None


@dataclass(frozen=True, kw_only=True)
class Record(ABC):
    """A benchmark's result, of whichever kind.

    Args:
        bundle: the model's name.
        device: profile that the bundle was made for.
        target: `qemu`, `serial` or `local`.
        target_description: what stands behind the target.
        seed: of the run.
        labels: names of the decisions.
        golden_rows: rows of the bundle checked on the target; every one must be exact.
        scenarios_asked: how many scenarios the run was to have.
        measures: figures over what finished.
        missing: figure -> why it is absent.
        complete: False while the run is going on, or when it was interrupted.
        producer: name and version of this program.
    """

    bundle: str
    device: str
    target: str
    target_description: str
    seed: int
    labels: tuple[str, ...]
    golden_rows: int
    scenarios_asked: int
    measures: tuple[Measure, ...]
    missing: dict[str, str]
    complete: bool
    producer: str

    @property
    @abstractmethod
    def decisions(self) -> tuple[int, ...]:
        """All decisions, in the order in which they were taken."""

    def measure(self, name: str) -> Measure | None:
        """The figure called `name`, or None when it is absent."""
        return next((m for m in self.measures if m.name == name), None)

    def as_record(self) -> dict[str, Any]:
        """The record for JSON."""
        return asdict(self) | {"decisions": list(self.decisions)}


@dataclass(frozen=True)
class ScenarioResult:
    """One scenario: what was decided, and what an exact optimum would have decided.

    Args:
        id: the scenario's SHA-256.
        year: of the returns.
        decisions: index into the card's labels, one per return.
        exact: the same by the exact per-item optimum.
        quality: decision quality, 0..1.
        circularity: share of the mass kept in use or recovered, 0..1.
        objective: summed objective by controller: `model`, `exact`, `rule`, `random`.
        instructions: per inference, empty where the target cannot count.
        link_bytes: per inference; 0 without a wire.
        seconds: per inference; empty where the target has no latency.
    """

    id: str
    year: int
    decisions: tuple[int, ...]
    exact: tuple[int, ...]
    quality: float
    circularity: float
    objective: dict[str, float]
    instructions: tuple[int, ...]
    link_bytes: tuple[int, ...]
    seconds: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class Result(Record):
    """One benchmark run over the scenarios of the line.

    Args:
        scenarios: those that finished.
    """

    scenarios: tuple[ScenarioResult, ...]

    @property
    def decisions(self) -> tuple[int, ...]:
        """All decisions, in the order in which they were taken."""
        return tuple(d for scenario in self.scenarios for d in scenario.decisions)


def write_result(result: Record, path: Path) -> None:
    """Write a result; a reader finds the old record or the new one, never half of one."""
    partial = path.with_name(path.name + ".partial")
    try:
        with partial.open("w", encoding="utf-8") as stream:
            json.dump(result.as_record(), stream, indent=1, allow_nan=False)
            stream.flush()
            os.fsync(stream.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
