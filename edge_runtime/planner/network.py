"""A material network over one period: what a plan may be, and how far a plan is from it.

A node is a process, an edge a flow of material. A plan says for every edge its flow f, for every
node its exchange z with the world outside (positive: into the node), its storage change s (signed:
stock may fall), its quality q and whether it is on. Five constraints hold:

    mass       A f + z = s, with A the incidence: +1 at an edge's target, -1 at its source
    bounds     0 <= f <= flow_max where both ends are on, else 0; s and z within their boxes
    energy     efficiency * u = energy_per_kg * inflow, 0 <= u <= energy_max
    quality    0 <= q <= quality_previous * (1 - quality_loss); the previous quality is given
    status     0 or 1

Cost, impact and the energy input u follow from the rest and are no coordinates of their own.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Network:
    """The constraints of plans over one period. N nodes, E edges; kg, MJ, US dollars, kg CO2e.

    Args:
        nodes: N names.
        sources: int64 [E], the node that an edge leaves.
        targets: int64 [E], the node that it enters.
        flow_max: float64 [E], kg per period, not negative.
        storage_min: float64 [N], kg; at most `storage_max`. The stock that may be taken, negative.
        storage_max: float64 [N], kg.
        exchange_min: float64 [N], kg into the node; at most `exchange_max`.
        exchange_max: float64 [N], kg.
        energy_per_kg: float64 [N], useful MJ per kg that flows in over edges, not negative.
        energy_efficiency: float64 [N], useful over supplied energy, in (0, 1].
        energy_max: float64 [N], MJ that can be supplied per period, not negative.
        quality_previous: float64 [N], in [0, 1].
        quality_loss: float64 [N], d per period, in [0, 1).
        cost_per_kg: float64 [E], US dollars per kg of flow.
        co2_per_kg: float64 [E], kg CO2e per kg of flow.
        exchange_cost_per_kg: float64 [N], US dollars per kg that crosses the border either way.
        exchange_co2_per_kg: float64 [N], kg CO2e per kg that crosses the border either way.
    """

    nodes: tuple[str, ...]
    sources: NDArray[np.int64]
    targets: NDArray[np.int64]
    flow_max: Floats
    storage_min: Floats
    storage_max: Floats
    exchange_min: Floats
    exchange_max: Floats
    energy_per_kg: Floats
    energy_efficiency: Floats
    energy_max: Floats
    quality_previous: Floats
    quality_loss: Floats
    cost_per_kg: Floats
    co2_per_kg: Floats
    exchange_cost_per_kg: Floats
    exchange_co2_per_kg: Floats

    @cached_property
    def incidence(self) -> Floats:
        """A, float64 [N, E]: +1 at an edge's target, -1 at its source."""
        edges = np.arange(len(self.sources))
        matrix = np.zeros((len(self.nodes), len(edges)))
        matrix[self.targets, edges] += 1.0
        matrix[self.sources, edges] -= 1.0
        return matrix

    @cached_property
    def inflow(self) -> Floats:
        """Float64 [N, E]: 1 at an edge's target, so that `inflow @ f` is what flows in."""
        return np.maximum(self.incidence, 0.0)

    @cached_property
    def capacity(self) -> float:
        """Kg: the largest flow; residuals are stated relative to it.

        Where nothing can flow it is the largest bound of storage and exchange, and 1 without any.
        """
        boxes = (self.storage_min, self.storage_max, self.exchange_min, self.exchange_max)
        largest = max(float(np.abs(box).max(initial=0.0)) for box in boxes)
        return float(self.flow_max.max(initial=0.0)) or largest or 1.0

    @cached_property
    def inflow_max(self) -> Floats:
        """Kg per period that a node can take in over edges, [N]: by its energy and by its edges."""
        over_edges = self.inflow @ self.flow_max
        needed = np.where(self.energy_per_kg > 0.0, self.energy_per_kg, 1.0)
        by_energy = self.energy_efficiency * self.energy_max / needed
        inflow: Floats = np.where(
            self.energy_per_kg > 0.0, np.minimum(by_energy, over_edges), over_edges
        )
        return inflow


@dataclass(frozen=True, eq=False)
class Plans:
    """Plans of one network; n of them.

    Args:
        flows: float [n, E], kg.
        storage: float [n, N], kg; signed.
        exchange: float [n, N], kg into the node.
        quality: float [n, N], in [0, 1].
        status: float [n, N], 0 or 1.
    """

    flows: Floats
    storage: Floats
    exchange: Floats
    quality: Floats
    status: Floats
