"""What a projection knows of its network beforehand; also the constant tables of the C."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from jouleloop.errors import NetworkError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edge_runtime.planner.arithmetic import Arithmetic
    from edge_runtime.planner.network import Network

    Floats = NDArray[np.float64]
    Integers = NDArray[np.int64]

RELAXATION = 1.6  # over-relaxation; 1.5 to 1.8 is the usual range (Eckstein 1994)
COARSEST = 1e-6  # of capacity: a coarser grid could not keep 1e-5 of it


@dataclass(frozen=True, eq=False)
class Tables:
    """Constants of a network's projection, in units of its grid.

    Args:
        unit_kg: the grid, a power of two.
        span: units of the largest bound, a power of two; requests are cut to it.
        flow_max: int64 [E], units.
        inflow_max: int64 [N], units.
        inverse: (A A^T + 2)^-1 [N, N] as the arithmetic holds factors.
        pull: weight of the candidate in a step, a factor.
        relaxation: a factor.
        in_edges: int64 [N, most edges into a node], E where a node has fewer.
        out_edges: int64 [N, most edges out of a node], E where a node has fewer.
    """

    unit_kg: float
    span: int
    flow_max: Integers
    inflow_max: Integers
    inverse: NDArray[Any]
    pull: NDArray[Any]
    relaxation: NDArray[Any]
    in_edges: Integers
    out_edges: Integers


def make_tables(network: Network, arithmetic: Arithmetic) -> Tables:
    """Tables of a validated network.

    Raises:
        NetworkError: its bounds are so far apart that the arithmetic cannot keep 1e-5 of capacity.
    """
    coupling = network.incidence @ network.incidence.T
    matrix = coupling + 2.0 * np.eye(len(coupling))
    largest = _largest_bound(network) or network.capacity
    span_kg = 2.0 ** math.ceil(math.log2(largest))
    unit_kg = span_kg / 2.0**arithmetic.grid_bits
    if unit_kg > COARSEST * network.capacity:
        raise NetworkError(
            f"the largest bound, {largest:.6g} kg, is {largest / network.capacity:.3g} times the "
            f"largest flow; {arithmetic.grid_bits} bits keep 1e-5 of capacity up to "
            f"{COARSEST * 2.0**arithmetic.grid_bits:.3g} times",
            hint="bound storage or exchange by what the edges can carry",
        )
    return Tables(
        unit_kg=unit_kg,
        span=1 << arithmetic.grid_bits,
        flow_max=np.floor(network.flow_max / unit_kg).astype(np.int64),
        inflow_max=np.floor(network.inflow_max / unit_kg).astype(np.int64),
        inverse=arithmetic.constant(_symmetric_inverse(matrix)),
        pull=arithmetic.constant(1.0 / (1.0 + penalty_of(network))),
        relaxation=arithmetic.constant(RELAXATION),
        in_edges=_adjacent(network.targets, len(network.nodes)),
        out_edges=_adjacent(network.sources, len(network.nodes)),
    )


def penalty_of(network: Network) -> float:
    """How strongly a step of the splitting holds on to the last one.

    In proportion to the root of the largest eigenvalue of A A^T + 2. Over networks of 8 and 20
    nodes and candidates near and far, 0.8 of it left less after 20 steps than 0.5 and 1 did where
    much is left, and little more where little is.
    """
    matrix = network.incidence @ network.incidence.T + 2.0 * np.eye(len(network.nodes))
    return 0.8 * math.sqrt(float(np.linalg.eigvalsh(matrix).max(initial=2.0)))


def _largest_bound(network: Network) -> float:
    """Kg: what any flow, sum of flows, storage or exchange can come to.

    What storage and exchange can be follows from each other and from the edges, so an open bound
    of one does not count.
    """
    taken, given = network.inflow_max, np.maximum(-network.incidence, 0.0) @ network.flow_max
    into = network.inflow @ network.flow_max
    storage = (
        np.maximum(network.storage_min, network.exchange_min - given),
        np.minimum(network.storage_max, network.exchange_max + taken),
    )
    exchange = (
        np.maximum(network.exchange_min, network.storage_min - taken),
        np.minimum(network.exchange_max, network.storage_max + given),
    )
    every = (into, given, *storage, *exchange)
    return max(float(np.abs(values).max(initial=0.0)) for values in every)


def _symmetric_inverse(matrix: Floats) -> Floats:
    """The inverse, the same to the last bit whether read by rows or by columns."""
    inverse = np.linalg.inv(matrix)
    symmetric: Floats = (inverse + inverse.T) / 2.0
    return symmetric


def _adjacent(ends: Integers, nodes: int) -> Integers:
    """Edges by node, in the order of their numbers, filled up with the number of edges."""
    lists = [np.flatnonzero(ends == node) for node in range(nodes)]
    widest = max((len(edges) for edges in lists), default=0)
    padded = np.full((nodes, widest), len(ends), np.int64)
    for node, edges in enumerate(lists):
        padded[node, : len(edges)] = edges
    return padded
