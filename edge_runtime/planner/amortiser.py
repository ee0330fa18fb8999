"""A learned first guess of the flows that the projection looks for; int8, in a device's arithmetic.

It says how to move a candidate's flows, in the place of the projection's iterations, and keeps no
constraint by itself: where it leads is settled and completed exactly (`near` of
`Projector.project`). export/planner/jl_sampler.c mirrors this file.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from edge_runtime.planner.projection import ON

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from edge_runtime.planner.network import Network
    from edge_runtime.wire.tensor import TensorSpec

    Singles = NDArray[np.float32]

FAMILY = "amortiser"
FLOW_SHARES, NODE_SHARES = (-1.0, 2.0), (-2.0, 2.0)  # what shares are cut to


@dataclass(frozen=True, eq=False)
class Amortiser:
    """A trained guess, ready to run.

    Args:
        network: that it was trained for.
        specs: of its input [1, E + 3 N] and output [1, E], int8.
        infer: runs it, int8 [n, E + 3 N] -> [n, E].
    """

    network: Network
    specs: tuple[TensorSpec, TensorSpec]
    infer: Callable[[NDArray[np.int8]], NDArray[np.int8]]

    def near(self, coordinates: Singles) -> Singles:
        """Flows near the nearest plans', kg, float32 [n, E].

        Args:
            coordinates: candidates in kg and shares, float32 [n, D].
        """
        before, after = self.specs
        given = before.quantize(candidate_rows(self.network, coordinates))
        return moved_flows(self.network, coordinates, after.dequantize(self.infer(given)))


def moved_flows(network: Network, coordinates: NDArray[Any], shares: NDArray[Any]) -> NDArray[Any]:
    """Flows within their bounds, moved by shares of the largest; kg [n, E]."""
    most = network.flow_max.astype(shares.dtype)
    within = np.clip(coordinates[:, : len(most)], 0.0, most)
    flows: NDArray[Any] = within + shares * most
    return flows


def share_factors(network: Network) -> Singles:
    """What makes flows shares of their largest, storage and exchange of capacity; [E + 2 N]."""
    most = np.where(network.flow_max > 0.0, network.flow_max, 1.0)
    capacity = np.full(2 * len(network.nodes), network.capacity)
    factors: Singles = (1.0 / np.concatenate([most, capacity])).astype(np.float32)
    return factors


def candidate_rows(network: Network, coordinates: NDArray[Any]) -> Singles:
    """What the guess is given: shares of flows, storage and exchange, and what is on.

    Args:
        network: of the candidates.
        coordinates: candidates in kg and shares, [n, D].

    Returns:
        float32 [n, E + 3 N].
    """
    edges, nodes = len(network.sources), len(network.nodes)
    moved = edges + 2 * nodes
    shares = np.asarray(coordinates[:, :moved], np.float32) * share_factors(network)
    on = coordinates[:, moved + nodes :] >= np.float32(ON)
    parts = (np.clip(shares[:, :edges], *FLOW_SHARES), np.clip(shares[:, edges:], *NODE_SHARES), on)
    return np.concatenate(parts, axis=1).astype(np.float32)
