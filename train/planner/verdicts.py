"""What the planner must reach, what it reached in each seed, and whether that is enough."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from edge_runtime.planner.residuals import FEASIBLE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

# Student's t, 97.5 %, by degrees of freedom: the interval of a mean over seeds.
_T = {1: 12.71, 2: 4.30, 3: 3.18, 4: 2.78, 5: 2.57, 6: 2.45, 7: 2.36, 8: 2.31, 9: 2.26}
_T_MANY = 2.2

Record = dict[str, Any]


@dataclass(frozen=True)
class Line:
    """One thing that must be reached.

    Args:
        what: in words.
        target: in words.
        value: of one seed's record; None where it was not measured.
        is_reached: of a value.
        form: how a value is written.
    """

    what: str
    target: str
    value: Callable[[Record], float | None]
    is_reached: Callable[[float], bool]
    form: str = "{:.3f}"


@dataclass(frozen=True)
class Verdict:
    """A line and what the seeds say to it.

    Args:
        line: what must be reached.
        values: one per seed that measured it.
        mean: of the values; None without any.
        low: end of the 95 % interval of the mean.
        high: the other end.
        reached: by the mean; None where nothing was measured.
        seeds_reached: how many of the values alone would do.
    """

    line: Line
    values: tuple[float, ...]
    mean: float | None
    low: float | None
    high: float | None
    reached: bool | None
    seeds_reached: int

    @property
    def measured(self) -> str:
        """Mean and interval, as the line writes them."""
        if self.mean is None:
            return "not measured"
        form = self.line.form.format
        if self.low is None or self.high is None or self.low == self.high:
            return form(self.mean)
        return f"{form(self.mean)} ({form(self.low)} to {form(self.high)})"

    @property
    def word(self) -> str:
        """Reached, missed or not measured, and in how many seeds."""
        if self.reached is None:
            return "not measured"
        word = "reached" if self.reached else "missed"
        return f"{word} ({self.seeds_reached} of {len(self.values)} seeds)"


def judge(line: Line, records: Sequence[Record]) -> Verdict:
    """The verdict on a line."""
    found = [line.value(record) for record in records]
    values = tuple(value for value in found if value is not None)
    if not values:
        return Verdict(line, (), None, None, None, None, 0)
    mean, low, high = interval(values)
    alone = sum(line.is_reached(value) for value in values)
    return Verdict(line, values, mean, low, high, line.is_reached(mean), alone)


def interval(values: Sequence[float]) -> tuple[float, float | None, float | None]:
    """Mean, and the ends of its 95 % interval where there are two values or more.

    >>> interval([1.0])
    (1.0, None, None)
    """
    mean = float(np.mean(values))
    if len(values) < 2:
        return mean, None, None
    freedom = len(values) - 1
    half = _T.get(freedom, _T_MANY) * float(np.std(values, ddof=1)) / float(np.sqrt(len(values)))
    return mean, mean - half, mean + half


def _sampler(name: str, figure: str, *, projected: bool = True) -> Callable[[Record], float]:
    def value(record: Record) -> float:
        row = record["samplers"][name]
        return float((row["projected"] if projected else row)[figure])

    return value


def _ratio(one: str, other: str) -> Callable[[Record], float]:
    first, second = (_sampler(name, "sliced_wasserstein") for name in (one, other))
    return lambda record: first(record) / second(record)


def _optional(group: str, figure: str) -> Callable[[Record], float | None]:
    def value(record: Record) -> float | None:
        found: float | None = record.get(group, {}).get(figure)
        return found

    return value


def _worst_coverage_error(record: Record) -> float:
    worst: float = max(
        abs(covered - float(level))
        for level, row in record["intervals"].items()
        for covered in row["coverage"].values()
    )
    return worst


TEN, TEN_EACH, TEN_INT8 = "x0, 10 steps", "x0, 10 steps, each projected", "INT8, 10 steps"
FOUR, TWO = "x0, 4 steps, distilled", "x0, 2 steps, distilled"


def _feasible(name: str, how: str) -> tuple[Line, Line]:
    share = Line(
        f"feasible plans, {how}", "100 %", _sampler(name, "feasible"), lambda v: v == 1.0, "{:.1%}"
    )
    residual = Line(
        f"largest residual, {how}",
        f"at most {FEASIBLE:g} of capacity",
        _sampler(name, "largest_residual"),
        lambda v: v <= FEASIBLE,
        "{:.1e}",
    )
    return share, residual


LINES = (
    *_feasible(TEN, "projected at the end, 10 steps, float32"),
    *_feasible(FOUR, "projected at the end, 4 steps"),
    *_feasible(TEN_EACH, "each x0 projected, 10 steps"),
    *_feasible(TEN_INT8, "INT8 denoiser, projected at the end"),
    Line(
        "feasible plans, INT8 on the emulated Cortex-M4F",
        "100 %",
        _optional("device", "feasible"),
        lambda v: v == 1.0,
        "{:.1%}",
    ),
    Line(
        "INT8 distance over float, 10 steps",
        "at most 1.05",
        _ratio(TEN_INT8, TEN),
        lambda v: v <= 1.05,
    ),
    Line("std ratio, 10 steps", "at least 0.9", _sampler(TEN, "std_ratio"), lambda v: v >= 0.9),
    Line(
        "correlation of realised CO2 with its weight",
        "at most -0.6",
        _sampler(TEN, "co2_correlation"),
        lambda v: v <= -0.6,
    ),
    Line(
        "correlation of realised cost with its weight",
        "at most -0.6",
        _sampler(TEN, "cost_correlation"),
        lambda v: v <= -0.6,
    ),
    Line(
        "distance of 4 distilled steps over 10 steps",
        "at most 1.1",
        _ratio(FOUR, TEN),
        lambda v: v <= 1.1,
    ),
    Line(
        "speed of exact projection over L-BFGS",
        "at least 8",
        _optional("projection", "speed_up"),
        lambda v: v >= 8.0,
        "{:.1f}",
    ),
    Line(
        "residual of L-BFGS over that of exact projection",
        "at least 1e5",
        _optional("projection", "residual_ratio"),
        lambda v: v >= 1e5,
        "{:.1e}",
    ),
    Line(
        "inverse verification, area under the curve",
        "at least 0.95",
        _optional("verification", "auc"),
        lambda v: v >= 0.95,
    ),
    Line(
        "coverage of intervals, largest distance from nominal",
        "at most 0.03",
        _worst_coverage_error,
        lambda v: v <= 0.03,
    ),
)
