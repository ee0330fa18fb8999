"""A planner ready to draw: its network, its calibration, and whatever computes the samples."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from edge_runtime.planner.intervals import intervals, outcomes
from edge_runtime.planner.network import Plans
from jouleloop.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from edge_runtime.planner.network import Network

    Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Planner:
    """Draws plans of one network.

    Args:
        network: that it plans.
        served: nodes that the network is there for, int64 [k]; what flows into them is delivered.
        offsets: by level as text (`"0.9"`), what moves the quantiles of drawn plans outwards, [3].
        draw: feasible plans, one per row of weights of cost and CO2, [n, 2], from a seed.
    """

    network: Network
    served: NDArray[np.int64]
    offsets: Mapping[str, Floats]
    draw: Callable[[Floats, int], Plans]

    def draw_alike(self, condition: tuple[float, float], count: int, seed: int) -> Plans:
        """`count` plans under the same weights.

        Raises:
            InputError: a weight outside 0..1, or no plan asked for.
        """
        if not all(0.0 <= weight <= 1.0 for weight in condition):
            raise InputError(
                f"the weights {condition[0]:g},{condition[1]:g} are not within 0 to 1",
                hint="the first weighs cost, the second CO2",
            )
        if count < 1:
            raise InputError(f"{count} plans were asked for", hint="ask for at least 1")
        return self.draw(np.tile(np.asarray(condition, np.float64), (count, 1)), seed)

    def delivered_kg(self, plans: Plans) -> Floats:
        """Mass that flows into the nodes that the network is there for, [n]."""
        delivered: Floats = plans.flows @ np.isin(self.network.targets, self.served)
        return delivered

    def interval(self, plans: Plans, level: str) -> tuple[Floats, Floats]:
        """The calibrated interval of cost, CO2 and circularity, [3] each, from plans drawn alike.

        Raises:
            InputError: the planner was not calibrated at this level.
        """
        if level not in self.offsets:
            raise InputError(
                f"the planner has no interval of level {level}",
                hint=f"it has {', '.join(self.offsets)}",
            )
        drawn = outcomes(self.network, plans)
        low, high = intervals(drawn, float(level), np.asarray(self.offsets[level], np.float64))
        return np.maximum(low, 0.0), high


def pick(plans: Plans, rows: NDArray[np.int64] | int) -> Plans:
    """Some of the plans, in the order of `rows`."""
    chosen = np.atleast_1d(rows)
    return Plans(**{name: values[chosen] for name, values in vars(plans).items()})


def virgin_kg(plans: Plans) -> Floats:
    """Mass that enters each plan over the border, [n]."""
    entered: Floats = np.maximum(plans.exchange, 0.0).sum(axis=1)
    return entered
