"""What a network must be before anything is computed on it."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING

import numpy as np

from jouleloop.errors import NetworkError

if TYPE_CHECKING:
    from edge_runtime.planner.network import Network

PER_EDGE = ("sources", "targets", "flow_max", "cost_per_kg", "co2_per_kg")
LARGEST = 1e15  # kg, MJ: beyond it sums of float64 lose the tenth of a kg
_PAIRS = (("storage_min", "storage_max"), ("exchange_min", "exchange_max"))
_NOT_NEGATIVE = ("flow_max", "energy_per_kg", "energy_max", "quality_previous", "quality_loss")


def check_network(network: Network) -> None:
    """Check shapes, numbers and boxes; whether any plan exists is `check_feasible`'s question.

    Raises:
        NetworkError: the first thing that is wrong: which constraint, where, by how much.
    """
    _check_shapes(network)
    _check_edges(network)
    for field in fields(network):
        if field.name not in ("nodes", "sources", "targets"):
            _check_numbers(network, field.name)
    _check_ranges(network)


def _check_shapes(network: Network) -> None:
    nodes, edges = len(network.nodes), len(np.atleast_1d(network.sources))
    for field in fields(network):
        if field.name == "nodes":
            continue
        values = np.asarray(getattr(network, field.name))
        wanted = (edges,) if field.name in PER_EDGE else (nodes,)
        if values.shape != wanted:
            what = "edge" if field.name in PER_EDGE else "node"
            raise NetworkError(
                f"{field.name} has the shape {values.shape}; one number per {what} is {wanted}"
            )
    if len(set(network.nodes)) != nodes:
        raise NetworkError("two nodes have the same name", hint="give every node its own")


def _check_edges(network: Network) -> None:
    for name in ("sources", "targets"):
        ends = getattr(network, name)
        if not np.issubdtype(ends.dtype, np.integer):
            raise NetworkError(f"{name} are {ends.dtype}; indices of nodes are integers")
        for edge in np.flatnonzero((ends < 0) | (ends >= len(network.nodes)))[:1].tolist():
            raise NetworkError(
                f"edge {edge} has the node {ends[edge]} in {name}; "
                f"the network has the nodes 0 to {len(network.nodes) - 1}"
            )
    for edge in np.flatnonzero(network.sources == network.targets)[:1].tolist():
        raise NetworkError(
            f"edge {edge} leaves and enters {network.nodes[network.sources[edge]]}",
            hint="what stays in a node is its storage, not a flow",
        )


def _check_numbers(network: Network, name: str) -> None:
    values = getattr(network, name)
    for index in np.flatnonzero(~(np.abs(values) <= LARGEST))[:1].tolist():
        raise NetworkError(
            f"{name} of {place(network, name, index)} is {values[index]}; "
            f"it must be a number of at most {LARGEST:g} in size",
            hint="an open bound is a number that is large enough",
        )


def _check_ranges(network: Network) -> None:
    for name in _NOT_NEGATIVE:
        values = getattr(network, name)
        for index in np.flatnonzero(values < 0.0)[:1].tolist():
            raise NetworkError(
                f"{name} of {place(network, name, index)} is {values[index]:.6g}, below 0"
            )
    for low, high in _PAIRS:
        gap = getattr(network, low) - getattr(network, high)
        for index in np.flatnonzero(gap > 0.0)[:1].tolist():
            raise NetworkError(
                f"{low} of {network.nodes[index]} is {getattr(network, low)[index]:.6g} kg, "
                f"{gap[index]:.6g} kg above its {high}"
            )
    wrong = {
        "energy_efficiency": (network.energy_efficiency <= 0.0) | (network.energy_efficiency > 1.0),
        "quality_previous": network.quality_previous > 1.0,
        "quality_loss": network.quality_loss >= 1.0,
    }
    ranges = {
        "energy_efficiency": "above 0 and at most 1",
        "quality_previous": "0 to 1",
        "quality_loss": "0 or more and below 1",
    }
    for name, broken in wrong.items():
        for index in np.flatnonzero(broken)[:1].tolist():
            value = getattr(network, name)[index]
            raise NetworkError(
                f"{name} of {network.nodes[index]} is {value:.6g}; it must be {ranges[name]}"
            )


def place(network: Network, name: str, index: int) -> str:
    """What a number of a field belongs to, for people: `n3` or `edge 7 (n3 to n5)`."""
    if name not in PER_EDGE:
        return network.nodes[index]
    source, target = int(network.sources[index]), int(network.targets[index])
    return f"edge {index} ({network.nodes[source]} to {network.nodes[target]})"
