"""The learned projector: a small int8 network that guesses how far a candidate's flows are off.

What it guesses keeps no constraint; every plan is finished exactly all the same, by settling and
completion (`Projector.project(near=...)`, `jl_project_near` on a device). float32 in a fixed order,
so that a module gives the same bits.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from edge_runtime.planner.projection import ON

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from edge_runtime.planner.network import Network, Plans
    from edge_runtime.wire.tensor import TensorSpec

    Singles = NDArray[np.float32]

# What a row is cut to: flows over their largest; storage and exchange over the capacity.
FLOW_LOW, FLOW_HIGH, BOX_LIMIT = -1.0, 2.0, 2.0


def row_size(network: Network) -> int:
    """Values of a candidate's row: E + 3 N."""
    return len(network.sources) + 3 * len(network.nodes)


def row_factors(network: Network) -> Singles:
    """What flows, storage and exchange are multiplied by, float32 [E + 2 N]."""
    most = np.where(network.flow_max > 0.0, network.flow_max, 1.0)
    boxes = np.full(2 * len(network.nodes), 1.0 / network.capacity)
    return np.concatenate([1.0 / most, boxes]).astype(np.float32)


def candidate_rows(network: Network, candidate: Plans) -> Singles:
    """Flows over their largest, storage and exchange over capacity, status; [n, E + 3 N]."""
    edges = len(network.sources)
    moved = (candidate.flows, candidate.storage, candidate.exchange)
    rows = np.concatenate(moved, axis=1).astype(np.float32) * row_factors(network)
    rows[:, :edges] = np.clip(rows[:, :edges], FLOW_LOW, FLOW_HIGH)
    rows[:, edges:] = np.clip(rows[:, edges:], -BOX_LIMIT, BOX_LIMIT)
    return np.concatenate([rows, candidate.status >= ON], axis=1, dtype=np.float32)


@dataclass(frozen=True, eq=False)
class Amortiser:
    """A learned projector as a device runs it.

    Args:
        network: that it was trained for.
        specs: of the network's input, [1, E + 3 N], and output, [1, E].
        infer: runs it, int8 [n, E + 3 N] to [n, E].
    """

    network: Network
    specs: tuple[TensorSpec, TensorSpec]
    infer: Callable[[NDArray[np.int8]], NDArray[np.int8]]

    def guess(self, candidate: Plans) -> Singles:
        """Flows near the nearest plans', kg [n, E]; some may be below 0 or above the largest."""
        before, after = self.specs
        rows = before.quantize(candidate_rows(self.network, candidate))
        moved: Singles = after.dequantize(self.infer(rows)) * np.float32(self.network.capacity)
        return candidate.flows.astype(np.float32) + moved
