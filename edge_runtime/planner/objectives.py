"""What plans cost, emit and keep in the loop; all three follow from flows and exchanges."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edge_runtime.planner.network import Network, Plans

    Floats = NDArray[np.float64]

OBJECTIVES = ("cost_usd", "co2_kg", "circularity")


def cost_usd(network: Network, plans: Plans) -> Floats:
    """US dollars of each plan, [n]: hauls, processes, and what crosses the border."""
    crossing = np.abs(plans.exchange) @ network.exchange_cost_per_kg
    cost: Floats = plans.flows @ network.cost_per_kg + crossing
    return cost


def co2_kg(network: Network, plans: Plans) -> Floats:
    """Kg CO2e of each plan, [n]."""
    crossing = np.abs(plans.exchange) @ network.exchange_co2_per_kg
    co2: Floats = plans.flows @ network.co2_per_kg + crossing
    return co2


def circularity(plans: Plans) -> Floats:
    """Share of the moved mass that is neither virgin nor lost, [n], 0..1.

    1 - (V + W) / (2 M), with V the mass that enters over the border, W what leaves over it and M
    the larger of half their sum and the mass of all flows; 0 where nothing moves.
    """
    entered = np.maximum(plans.exchange, 0.0).sum(axis=1)
    left = np.maximum(-plans.exchange, 0.0).sum(axis=1)
    moved = np.maximum(plans.flows.sum(axis=1), (entered + left) / 2.0)
    linear = (entered + left) / (2.0 * np.where(moved > 0.0, moved, 1.0))
    share: Floats = np.where(moved > 0.0, 1.0 - linear, 0.0)
    return share
