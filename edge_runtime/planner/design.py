"""Network design: how busy each process is, and what closing it would do to the plans."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from edge_runtime.planner.intervals import outcomes
from edge_runtime.planner.projection import Projector
from jouleloop.errors import NetworkError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edge_runtime.planner.network import Network, Plans
    from edge_runtime.planner.planner import Planner

    Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Option:
    """One process, and the network without it.

    Args:
        node: its name.
        busy: mean inflow over the most that its energy and edges allow; of a node without inflow,
            its outflow over that of its edges.
        busy_most: the same in the busiest of the plans.
        is_needed: no plan keeps the constraints without it; the rest is then 0.
        delivered: change of the mass delivered when it is closed, as a share.
        cost: change of US dollars per kg delivered, as a share.
        co2: change of kg CO2e per kg delivered, as a share.
        circularity: change of circularity.
        score: weighted change of cost and CO2; the lowest is the first to close.
    """

    node: str
    busy: float
    busy_most: float
    is_needed: bool
    delivered: float
    cost: float
    co2: float
    circularity: float
    score: float


def design(
    planner: Planner, condition: tuple[float, float], *, count: int, seed: int
) -> tuple[Option, ...]:
    """Try the network without each of its processes, on plans drawn for the whole.

    The plans are projected on what is left of the network: what went through the closed process
    goes by the nearest feasible way, or not at all, which `delivered` shows.

    Args:
        planner: draws feasible plans.
        condition: weights of cost and CO2, 0..1.
        count: how many plans to draw.
        seed: of the draw.

    Returns:
        An option per process, by score; those that are needed last.

    Raises:
        InputError: weights or count out of range.
    """
    plans = planner.draw_alike(condition, count, seed)
    busy = _busy(planner.network, plans)
    before = _per_kg(planner, planner.network, plans)
    options = [
        _without(planner, plans, node, busy[:, node], before, condition)
        for node in range(len(planner.network.nodes))
    ]
    return tuple(sorted(options, key=lambda option: (option.is_needed, option.score)))


def _busy(network: Network, plans: Plans) -> Floats:
    inflow = plans.flows @ network.inflow.T / np.maximum(network.inflow_max, 1e-12)
    out = np.maximum(-network.incidence, 0.0)
    outflow = plans.flows @ out.T / np.maximum(out @ network.flow_max, 1e-12)
    busy: Floats = np.where(network.inflow_max > 0.0, inflow, outflow)
    return busy


def _per_kg(planner: Planner, network: Network, plans: Plans) -> Floats:
    """Mean mass delivered, cost and CO2 per kg delivered, and circularity, [4]."""
    delivered = float(planner.delivered_kg(plans).mean())
    cost, co2, circular = outcomes(network, plans).mean(axis=0).tolist()
    scale = max(delivered, 1e-12)
    return np.array([delivered, cost / scale, co2 / scale, circular])


def _without(
    planner: Planner,
    plans: Plans,
    node: int,
    busy: Floats,
    before: Floats,
    condition: tuple[float, float],
) -> Option:
    network = planner.network
    name, usual, most = network.nodes[node], float(busy.mean()), float(busy.max())
    touched = (network.sources == node) | (network.targets == node)
    rest = replace(network, flow_max=np.where(touched, 0.0, network.flow_max))
    try:
        after = _per_kg(planner, rest, Projector(rest).project(plans).plans)
    except NetworkError:
        return Option(name, usual, most, True, 0.0, 0.0, 0.0, 0.0, 0.0)
    delivered, cost, co2 = ((after - before) / np.maximum(np.abs(before), 1e-12))[:3].tolist()
    score = condition[0] * cost + condition[1] * co2
    return Option(
        name, usual, most, False, delivered, cost, co2, float(after[3] - before[3]), score
    )
