"""Intervals of cost, CO2 and circularity from drawn plans, widened until they cover what happens.

Conformalised quantiles (Romano, Patterson and Candès 2019): the quantiles of the drawn plans, moved
outwards by an offset that was calibrated on simulated plans that no training saw.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edge_runtime.planner.objectives import circularity, co2_kg, cost_usd

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edge_runtime.planner.network import Network, Plans

    Floats = NDArray[np.float64]


def outcomes(network: Network, plans: Plans) -> Floats:
    """What each plan is worth in the order of OBJECTIVES: US dollars, kg CO2e, a share; [n, 3]."""
    return np.stack([cost_usd(network, plans), co2_kg(network, plans), circularity(plans)], axis=-1)


def quantiles(drawn: Floats, level: float) -> tuple[Floats, Floats]:
    """Lower and upper quantile of drawn outcomes [..., n, 3] that hold `level` between them."""
    low, high = np.quantile(drawn, [(1.0 - level) / 2.0, (1.0 + level) / 2.0], axis=-2)
    return low, high


def calibrate(low: Floats, high: Floats, happened: Floats, level: float) -> Floats:
    """Offsets that make quantiles cover what happened as often as they say, [3].

    Args:
        low: quantiles for each calibration plan, [n, 3].
        high: likewise.
        happened: what the simulated plan was worth, [n, 3].
        level: to be covered, 0..1.

    >>> rows = np.arange(1000.0)[:, None].repeat(3, axis=1)
    >>> calibrate(np.zeros((1000, 3)), np.zeros((1000, 3)), rows, 0.9).tolist()
    [900.0, 900.0, 900.0]
    """
    beyond = np.sort(np.maximum(low - happened, happened - high), axis=0)
    rank = int(np.ceil((len(beyond) + 1) * level)) - 1
    offsets: Floats = beyond[min(rank, len(beyond) - 1)]
    return offsets


def intervals(drawn: Floats, level: float, offsets: Floats) -> tuple[Floats, Floats]:
    """The interval of each outcome, [..., 3] each: quantiles of the drawn, moved by the offsets."""
    low, high = quantiles(drawn, level)
    return low - offsets, high + offsets
