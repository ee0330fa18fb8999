"""The state vector that a planner works on: a plan's coordinates side by side, normalised.

x = [flows E, storage N, exchange N, quality N, status N], each (value - mean) / std.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from edge_runtime.planner.network import Plans

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edge_runtime.planner.network import Network

    Floats = NDArray[np.float64]

BLOCKS = ("flows", "storage", "exchange", "quality", "status")


def state_size(network: Network) -> int:
    """D = E + 4 N."""
    return len(network.sources) + 4 * len(network.nodes)


def join_plans(plans: Plans) -> Floats:
    """The coordinates of n plans side by side, in kg and shares, [n, D]."""
    return np.concatenate([getattr(plans, block) for block in BLOCKS], axis=1)


def split_plans(network: Network, coordinates: Floats) -> Plans:
    """Plans of coordinates in kg and shares, [n, D]; nothing is rounded or projected."""
    edges, nodes = len(network.sources), len(network.nodes)
    ends = np.cumsum([edges, nodes, nodes, nodes])
    return Plans(*np.split(coordinates, ends, axis=1))


@dataclass(frozen=True, eq=False)
class Normalisation:
    """What makes the coordinates alike in size.

    Args:
        mean: of each coordinate over the training plans, float64 [D].
        std: of the same, float64 [D], above 0: floored where a coordinate hardly moves.
    """

    mean: Floats
    std: Floats

    def normalise(self, coordinates: Floats) -> Floats:
        """Coordinates in kg and shares as state vectors, [n, D]."""
        return (coordinates - self.mean) / self.std

    def restore(self, states: Floats) -> Floats:
        """State vectors as coordinates in kg and shares, [n, D]."""
        return states * self.std + self.mean
