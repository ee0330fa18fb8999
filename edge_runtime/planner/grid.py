"""Boxes and completed plans in whole units of a projection's grid."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from edge_runtime.planner.arithmetic import nearest
from jouleloop.errors import NetworkError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edge_runtime.planner.arithmetic import Arithmetic
    from edge_runtime.planner.network import Network
    from edge_runtime.planner.tables import Tables

    Floats = NDArray[np.float64]
    Integers = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class GridBoxes:
    """Boxes of storage and exchange in units, int64 [N]."""

    storage_min: Integers
    storage_max: Integers
    exchange_min: Integers
    exchange_max: Integers


def boxes_on_grid(
    network: Network, tables: Tables, arithmetic: Arithmetic, bounds: Floats
) -> GridBoxes:
    """Boxes rounded inwards; a box without a grid point inside gets the nearest.

    Args:
        network: names the nodes in errors.
        tables: of the network.
        arithmetic: of the tables.
        bounds: kg, [5, N] in the order of BOUNDS, each least at most its largest.

    Raises:
        NetworkError: a box that lies beyond everything that the network can move.
    """
    units = bounds[:4] / tables.unit_kg
    outside = np.maximum(units[0::2] - tables.span, -units[1::2] - tables.span)
    for box, node in np.argwhere(outside > 0.0)[:1].tolist():
        raise NetworkError(
            f"{('storage', 'exchange')[box]} of {network.nodes[node]} is asked to be "
            f"{outside[box, node] * tables.unit_kg:.6g} kg beyond the "
            f"{tables.span * tables.unit_kg:.6g} kg that this network can move"
        )
    units = np.clip(units, -tables.span, tables.span).astype(arithmetic.dtype)
    low, high = np.ceil(units[0::2]), np.floor(units[1::2])
    is_empty = low > high
    middle = nearest(units[0::2])
    lows = np.where(is_empty, middle, low.astype(np.int64))
    highs = np.where(is_empty, middle, high.astype(np.int64))
    return GridBoxes(lows[0], highs[0], lows[1], highs[1])


def complete(
    net: Integers, wanted: tuple[Integers, Integers], boxes: GridBoxes
) -> tuple[Integers, Integers]:
    """Storage and exchange nearest to the wanted ones with storage = net + exchange.

    A knapsack of two: without boxes both move by half of what is missing.

    Args:
        net: what flows in, [n, N].
        wanted: storage and exchange, [n, N] each.
        boxes: of both.
    """
    storage, exchange = wanted
    low = np.maximum(boxes.exchange_min, boxes.storage_min - net)
    high = np.minimum(boxes.exchange_max, boxes.storage_max - net)
    completed = np.maximum(np.minimum((exchange + storage - net) >> 1, high), low)
    return net + completed, completed
