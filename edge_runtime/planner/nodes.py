"""The projection of single nodes in closed form: what an article calls a node's state.

A node by itself has inflow, outflow and storage change with `inflow - outflow - storage = 0`, and a
quality that may not exceed `(1 - loss)` times the previous one. In a network an edge belongs to two
nodes, so these projections do not keep it together; see projection.py for that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]


def knapsack(wanted: Floats, low: Floats, high: Floats, total: Floats | float) -> Floats:
    """The nearest numbers within boxes that add up to a total: a continuous quadratic knapsack.

    Each number is its wanted one less a common price, clipped. The sum falls piecewise linearly
    with the price and bends at 2 m breakpoints, so the price lies between two neighbouring ones and
    is found without iterating.

    Args:
        wanted: float64 [..., m].
        low: float64 [..., m].
        high: float64 [..., m], at least `low`.
        total: float64 [...], between the sums of `low` and of `high`.
    """
    prices = np.sort(np.concatenate([wanted - low, wanted - high], axis=-1), axis=-1)
    at = _sums(wanted, low, high, prices)
    wanted_sum = np.asarray(total, np.float64)[..., None]
    last = np.clip((at >= wanted_sum).sum(axis=-1) - 1, 0, prices.shape[-1] - 2)[..., None]
    left, right = _take(prices, last), _take(prices, last + 1)
    at_left, at_right = _take(at, last), _take(at, last + 1)
    drop = at_left - at_right
    share = (at_left - wanted_sum) / np.where(drop > 0.0, drop, 1.0)
    price = left + np.clip(share, 0.0, 1.0) * (right - left)
    nearest: Floats = np.clip(wanted - price, low, high)
    return nearest


def _sums(wanted: Floats, low: Floats, high: Floats, prices: Floats) -> Floats:
    lowered = wanted[..., None, :] - prices[..., :, None]
    sums: Floats = np.clip(lowered, low[..., None, :], high[..., None, :]).sum(axis=-1)
    return sums


def _take(values: Floats, index: NDArray[np.int64]) -> Floats:
    return np.take_along_axis(values, index, axis=-1)


def project_flows(wanted: Floats, low: Floats, high: Floats) -> Floats:
    """Inflow, outflow and storage change nearest to the wanted ones with mass balanced.

    Args:
        wanted: float64 [..., 3], kg.
        low: float64 [..., 3], kg.
        high: float64 [..., 3], kg; some balanced triple lies within.
    """
    signs = np.array([1.0, -1.0, -1.0])
    first, second = signs * low, signs * high
    signed = knapsack(
        signs * wanted, np.minimum(first, second), np.maximum(first, second), np.float64(0.0)
    )
    return signs * signed


def project_quality(wanted: Floats, loss: Floats | float) -> Floats:
    """The pair (quality, previous quality) nearest to the wanted one: a point of a triangle.

    Where the previous quality is given, as it is in a network, quality is just cut to
    [0, previous (1 - loss)].

    Args:
        wanted: float64 [..., 2].
        loss: d in [0, 1); 0 <= quality <= previous (1 - d), previous <= 1.
    """
    quality, previous = wanted[..., 0], wanted[..., 1]
    kept = np.broadcast_to(1.0 - np.asarray(loss), quality.shape)
    along = np.clip((kept * quality + previous) / (kept * kept + 1.0), 0.0, 1.0)
    is_above = quality > kept * previous
    nearest: Floats = np.stack(
        [
            np.where(is_above, kept * along, np.clip(quality, 0.0, kept)),
            np.where(is_above, along, np.clip(previous, 0.0, 1.0)),
        ],
        axis=-1,
    )
    return nearest
