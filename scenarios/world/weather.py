"""What fails and when: capacity, availability and demand at a tick."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from scenarios.world.products import MATERIALS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scenarios.world.arrays import World
    from scenarios.world.graph import Floats, Integers
    from scenarios.world.schema import Scenario


_KINDS = ("supply_outage", "node_failure", "demand_shock")


@dataclass(frozen=True, eq=False)
class Disruptions:
    """Disruptions of one kind, an entry for each node that one acts on; d of them.

    Args:
        start: first tick, int64 [d].
        end: first tick after it, int64 [d].
        node: number, int64 [d].
        material: index into MATERIALS, -1 for none, int64 [d].
        factor: 1 where there is none, [d].
    """

    start: Integers
    end: Integers
    node: Integers
    material: Integers
    factor: Floats

    def active(self, tick: int) -> Integers:
        """Entries that act at a tick."""
        return np.flatnonzero((self.start <= tick) & (tick < self.end))


def build_disruptions(
    scenarios: Sequence[Scenario], first_node: Integers
) -> dict[str, Disruptions]:
    """Disruptions of a batch by kind."""
    entries: dict[str, list[tuple[float, ...]]] = {kind: [] for kind in _KINDS}
    for scenario, first in zip(scenarios, first_node.tolist(), strict=False):
        for each in scenario.disruptions:
            material = -1 if each.material is None else MATERIALS.index(each.material)
            factor = 1.0 if each.factor is None else each.factor
            entries[each.kind] += [
                (each.start, each.end, first + scenario.index[name], material, factor)
                for name in each.nodes
            ]
    return {kind: _flat(rows) for kind, rows in entries.items()}


def _flat(rows: list[tuple[float, ...]]) -> Disruptions:
    table = np.array(rows, np.float64).reshape(-1, 5)
    start, end, node, material = table[:, :4].T.astype(np.int64)
    return Disruptions(start, end, node, material, table[:, 4])


def conditions(world: World, tick: int) -> tuple[Floats, Floats, Floats]:
    """Capacity [n], availability [n, m] and demand [n] at a tick, after what fails then.

    They are the same, and the same arrays, until something fails or recovers: do not write them.
    """
    since = bisect_right(world.turns, tick)
    if since not in world.weather:
        # One entry is enough for a run, which goes forward, and keeps memory linear.
        world.weather.clear()
        world.weather[since] = _conditions(world, tick)
    return world.weather[since]


def _conditions(world: World, tick: int) -> tuple[Floats, Floats, Floats]:
    capacity, demand = world.capacity.copy(), world.demand.copy()
    available = np.ones((world.nodes, len(MATERIALS)), order="F")
    outages, failures, shocks = (world.disruptions[kind] for kind in _KINDS)
    out = outages.active(tick)
    available[outages.node[out], outages.material[out]] = 0.0
    capacity[failures.node[failures.active(tick)]] = 0.0
    shocked = shocks.active(tick)
    np.multiply.at(demand, shocks.node[shocked], shocks.factor[shocked])
    return capacity, available, demand
