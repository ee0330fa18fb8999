"""A supply chain in continuous time: dm/dt = S r(m, u), mass by state under a law that changes.

m is the mass in each state, u what the law and the conditions are now, r what every reaction takes
from its source per tick, and a column of S says where a kilogram of it goes; every column adds up
to zero, so no rates can make or lose mass. `chain_rates.py` has the rates.

u is held between knots (zero-order hold), or ramps between them where a policy announces it. The
solver is told the knots: no step spans one, so a step knows nothing of what comes after it.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Protocol

import numpy as np

from jouleloop.errors import ScenarioError
from scenarios.world.graph import MANUFACTURING_YIELD, REMANUFACTURING_YIELD, Floats

if TYPE_CHECKING:
    from collections.abc import Sequence

# What a kilogram can be; outside is the earth, from which mass is drawn, and alone falls below 0.
STOCKS = ("virgin", "in_use", "returned", "remanufactured", "recycled", "disposed", "outside")
STOCK = {name: number for number, name in enumerate(STOCKS)}
OUTSIDE = "outside"
# Where each reaction takes mass from, and where the greater part of it goes.
REACTIONS = {
    "extract": (OUTSIDE, "virgin"),
    "make": ("virgin", "in_use"),
    "make_again": ("recycled", "in_use"),
    "collect": ("in_use", "returned"),
    "discard": ("in_use", "disposed"),
    "reuse": ("returned", "in_use"),
    "lose": ("returned", "disposed"),  # in disassembly
    "remanufacture": ("returned", "remanufactured"),
    "resell": ("remanufactured", "in_use"),
    "recycle": ("returned", "recycled"),
}
REACTION = {name: number for number, name in enumerate(REACTIONS)}
SOURCES = np.array([STOCK[source] for source, _ in REACTIONS.values()])
STEP_TICKS = 0.5


def stoichiometry(recycling_yield: float) -> Floats:
    """S, [STOCKS, REACTIONS]: what a kilogram of each reaction does to each stock.

    Args:
        recycling_yield: of the chain's mix of materials, 0..1.

    >>> stoichiometry(0.9)[:, REACTION["recycle"]].round(3).tolist()
    [0.0, 0.0, -1.0, 0.0, 0.9, 0.1, 0.0]
    """
    kept = {
        "make": MANUFACTURING_YIELD,
        "make_again": MANUFACTURING_YIELD,
        "resell": REMANUFACTURING_YIELD,
        "recycle": recycling_yield,
    }
    matrix = np.zeros((len(STOCKS), len(REACTIONS)))
    for number, (name, (source, target)) in enumerate(REACTIONS.items()):
        matrix[STOCK[source], number] -= 1.0
        matrix[STOCK[target], number] += kept.get(name, 1.0)
        matrix[STOCK["disposed"], number] += 1.0 - kept.get(name, 1.0)
    return matrix


class Rates(Protocol):
    """What every reaction takes from its source."""

    def __call__(self, stocks: Floats, inputs: Floats) -> Floats:
        """Rates, kg per tick, [..., REACTIONS], all >= 0.

        Args:
            stocks: kg, [..., STOCKS].
            inputs: a row of a schedule, [..., d].
        """
        ...


@dataclass(frozen=True, eq=False)
class Schedule:
    """u(t): linear on each [knots[i], knots[i + 1]), with a jump at every knot where it likes.

    Args:
        knots: ticks, increasing; the last piece goes on for ever, [k].
        values: at the beginning of each piece, [k, d].
        slopes: per tick within it, [k, d]; 0 is a zero-order hold.
    """

    knots: Floats
    values: Floats
    slopes: Floats

    def __post_init__(self) -> None:
        if not len(self.knots) or not (np.diff(self.knots) > 0).all():
            raise ScenarioError("the knots of a schedule do not increase", hint="sort them")
        if not (np.isfinite(self.values).all() and np.isfinite(self.slopes).all()):
            raise ScenarioError("a schedule has a level that is no number", hint="mend it")

    def piece(self, time: float) -> int:
        """Number of the piece that holds from `time` on."""
        number = int(np.searchsorted(self.knots, time, side="right")) - 1
        if number < 0:
            first = f"the schedule begins at tick {self.knots[0]:g}"
            raise ScenarioError(f"{first}, not at {time:g}", hint="begin there")
        return number

    def at(self, piece: int, time: float) -> Floats:
        """Inputs at a time, as this piece has them, [d]."""
        inputs: Floats = self.values[piece] + self.slopes[piece] * (time - self.knots[piece])
        return inputs


def integrate(
    rates: Rates,
    matrix: Floats,
    stocks: Floats,
    schedule: Schedule,
    times: Sequence[float],
    *,
    step_ticks: float = STEP_TICKS,
) -> Floats:
    """Solve dm/dt = S r(m, u) by Runge and Kutta's fourth order, from knot to knot.

    A step moves mass by the extents of the reactions alone. Where those would take more than a
    stock holds, all that take from it are cut alike: no stock falls below zero (the outside apart),
    and mass still adds up, since each reaction has one source.

    Args:
        rates: of every reaction.
        matrix: S, of `stoichiometry`.
        stocks: kg at times[0], [STOCKS].
        schedule: u(t).
        times: ticks at which to report, increasing.
        step_ticks: longest step.

    Returns:
        Stocks at `times`, [len(times), STOCKS].

    Raises:
        ScenarioError: times or stocks out of range, or rates that are no numbers or negative.
    """
    _check(stocks, times, step_ticks)
    rows = [np.asarray(stocks, np.float64)]
    for begin, end in pairwise(times):
        inner = schedule.knots[(schedule.knots > begin) & (schedule.knots < end)].tolist()
        now = rows[-1]
        for start, stop in pairwise([begin, *inner, end]):
            now = _stretch(rates, matrix, now, schedule, (start, stop), step_ticks)
        rows.append(now)
    return np.array(rows)


def _check(stocks: Floats, times: Sequence[float], step_ticks: float) -> None:
    if np.shape(stocks) != (len(STOCKS),):
        raise ScenarioError(
            f"stocks have shape {np.shape(stocks)}", hint=f"give one of {', '.join(STOCKS)} each"
        )
    held = np.delete(stocks, STOCK[OUTSIDE])
    if not (np.isfinite(stocks).all() and (held >= 0).all()):
        raise ScenarioError("a stock is negative or no number", hint="give kilograms")
    if not len(times) or not (np.diff(times) > 0).all():
        raise ScenarioError("the times to report do not increase", hint="sort them")
    if not step_ticks > 0:
        raise ScenarioError(f"a step of {step_ticks:g} ticks", hint="take one above 0")


def _stretch(
    rates: Rates,
    matrix: Floats,
    stocks: Floats,
    schedule: Schedule,
    span: tuple[float, float],
    step_ticks: float,
) -> Floats:
    """Within one piece of the schedule."""
    start, stop = span
    piece = schedule.piece(start)
    count = max(1, int(np.ceil((stop - start) / step_ticks - 1e-9)))
    step = (stop - start) / count

    def slope(held: Floats, time: float) -> Floats:
        found = rates(_floored(held), schedule.at(piece, time))
        if not (found >= 0).all() or not np.isfinite(found).all():
            raise ScenarioError(
                f"tick {time:g}: a rate is negative or no number", hint="mend the rates"
            )
        return found

    for number in range(count):
        time = start + number * step
        first = slope(stocks, time)
        second = slope(stocks + matrix @ first * (step / 2), time + step / 2)
        third = slope(stocks + matrix @ second * (step / 2), time + step / 2)
        fourth = slope(stocks + matrix @ third * step, time + step)
        extents = (first + 2 * second + 2 * third + fourth) * (step / 6)
        stocks = stocks + matrix @ limit_extents(extents, stocks)
    return stocks


def limit_extents(extents: Floats, stocks: Floats) -> Floats:
    """Cut all reactions alike that together would take more than their source holds, [REACTIONS].

    >>> extents = np.zeros(len(REACTIONS))
    >>> extents[[REACTION["reuse"], REACTION["recycle"]]] = 3.0, 1.0
    >>> stocks = np.zeros(len(STOCKS))
    >>> stocks[STOCK["returned"]] = 2.0
    >>> limit_extents(extents, stocks)[[REACTION["reuse"], REACTION["recycle"]]].round(9).tolist()
    [1.5, 0.5]
    """
    taken = np.bincount(SOURCES, extents, len(STOCKS))
    over = taken > stocks
    over[STOCK[OUTSIDE]] = False
    if not over.any():
        return extents
    # A little less than all: rounding must not take the last bit twice.
    allowed = np.where(over, stocks * (1.0 - 1e-12) / np.where(over, taken, 1.0), 1.0)
    limited: Floats = extents * allowed[SOURCES]
    return limited


def _floored(stocks: Floats) -> Floats:
    """Stocks as a rate may see them: the inner points of a step may lie a little below zero."""
    floored = np.maximum(stocks, 0.0)
    floored[STOCK[OUTSIDE]] = stocks[STOCK[OUTSIDE]]
    return floored
