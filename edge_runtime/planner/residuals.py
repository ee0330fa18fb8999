"""How far plans are from each constraint of their network."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import numpy as np

from jouleloop.errors import PlanError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edge_runtime.planner.network import Network, Plans

    Floats = NDArray[np.float64]

FEASIBLE = 1e-5  # of capacity: what float32 holds; at most this is feasible


@dataclass(frozen=True, eq=False)
class Residuals:
    """The largest violation of each constraint in each plan, float64 [n], 0 where it holds.

    Args:
        mass: |A f + z - s| over the network's capacity.
        flow: below 0 or above flow_max (0 where an end is off), over capacity.
        storage: outside its box, over capacity.
        exchange: outside its box, over capacity.
        energy: inflow beyond what the energy allows, over capacity.
        quality: outside [0, quality_previous * (1 - quality_loss)], in quality.
        status: distance from 0 or 1.
    """

    mass: Floats
    flow: Floats
    storage: Floats
    exchange: Floats
    energy: Floats
    quality: Floats
    status: Floats

    @property
    def largest(self) -> Floats:
        """Of all constraints, [n]."""
        every: Floats = np.max([getattr(self, field.name) for field in fields(self)], axis=0)
        return every

    def worst(self, plan: int) -> str:
        """The constraint that a plan violates most."""
        return max(fields(self), key=lambda field: float(getattr(self, field.name)[plan])).name


def residuals(network: Network, plans: Plans) -> Residuals:
    """Residuals of n plans, computed in float64 whatever the plans are in.

    Raises:
        PlanError: shapes that are not the network's, or a number that is not finite.
    """
    check_plans(network, plans)
    flows, storage, exchange, quality, status = (
        np.asarray(getattr(plans, field.name), np.float64) for field in fields(plans)
    )
    on = status >= 0.5
    flow_max = np.where(on[:, network.sources] & on[:, network.targets], network.flow_max, 0.0)
    kept = network.quality_previous * (1.0 - network.quality_loss)

    def outside(values: Floats, low: Floats | float, high: Floats | float) -> Floats:
        return _largest(np.maximum(low - values, values - high))

    return Residuals(
        mass=_largest(np.abs(flows @ network.incidence.T + exchange - storage)) / network.capacity,
        flow=outside(flows, 0.0, flow_max) / network.capacity,
        storage=outside(storage, network.storage_min, network.storage_max) / network.capacity,
        exchange=outside(exchange, network.exchange_min, network.exchange_max) / network.capacity,
        energy=_largest(flows @ network.inflow.T - network.inflow_max) / network.capacity,
        quality=outside(quality, 0.0, kept),
        status=_largest(np.minimum(np.abs(status), np.abs(status - 1.0))),
    )


def _largest(violations: Floats) -> Floats:
    largest: Floats = np.maximum(violations, 0.0).max(axis=1, initial=0.0)
    return largest


def check_plans(network: Network, plans: Plans) -> None:
    """Check that plans are of a network and hold finite numbers.

    Raises:
        PlanError: which block, and what is wrong with it.
    """
    count = len(plans.flows)
    for field in fields(plans):
        values = np.asarray(getattr(plans, field.name))
        columns = len(network.sources) if field.name == "flows" else len(network.nodes)
        if values.shape != (count, columns):
            raise PlanError(
                f"{field.name} have the shape {values.shape}; "
                f"{count} plans of this network have {(count, columns)}"
            )
        if not np.isfinite(values).all():
            plan, column = np.argwhere(~np.isfinite(values))[0]
            raise PlanError(f"{field.name} of plan {plan} hold {values[plan, column]} at {column}")
