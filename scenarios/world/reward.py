"""The reward of a tick, from the metrics: 1 for a tick that no metric finds fault with.

The mean of three parts, each of one tick: `circularity`, the material circularity indicator with
the demand for the mass delivered, cut to -1..1; `service`, the share of demand that is not overdue;
`decisions`, the value of the decisions between the worst (0) and the best (1) disposition of each
item. The mean of `service` over a run is the metric of that name. A violation costs nothing here:
the law's nearest action is executed, and the violation is counted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from scenarios.world.metrics import UTILITY_FACTOR
from scenarios.world.resilience import service_level
from scenarios.world.stakes import stakes

if TYPE_CHECKING:
    from scenarios.world.arrays import World
    from scenarios.world.graph import Floats
    from scenarios.world.returns import Items
    from scenarios.world.state import Flows

PARTS = ("circularity", "service", "decisions")


def reward_parts(world: World, items: Items, flows: Flows) -> Floats:
    """The parts of every scenario's reward, in the order of PARTS, [b, 3]; each is -1..1."""
    demand = world.sum_nodes(world.demand)
    entered = flows.virgin_kg + flows.disposed_kg
    linear = np.divide(entered, 2.0 * demand, out=np.zeros_like(demand), where=demand > 0)
    decisions = stakes(world, items, flows).quality
    return np.stack(
        [
            np.clip(1.0 - UTILITY_FACTOR * linear, -1.0, 1.0),
            service_level(flows.wanted, flows.overdue),
            np.clip(decisions, -1.0, 1.0),
        ],
        axis=1,
    )
