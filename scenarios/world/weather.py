"""What fails and when: capacity, availability and demand at a tick."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from functools import cached_property
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


@dataclass(frozen=True, eq=False)
class Conditions:
    """What holds until something fails or recovers; the arrays are not to be written.

    Args:
        capacity: that is up, kg per tick, [n].
        demand: kg of products wanted per tick, [n].
        cut_off: nodes that cannot get some material, int64 [d].
        lacking: which material each of them cannot get, an index into MATERIALS, int64 [d].
    """

    capacity: Floats
    demand: Floats
    cut_off: Integers
    lacking: Integers

    @cached_property
    def available(self) -> Floats:
        """Share of each material that a manufacturer can get from extraction, [n, m]."""
        available = np.ones((len(self.capacity), len(MATERIALS)), order="F")
        available[self.cut_off, self.lacking] = 0.0
        return available


def conditions(world: World, tick: int) -> Conditions:
    """Capacity, availability and demand at a tick, after what fails then."""
    since = bisect_right(world.turns, tick)
    if since not in world.weather:
        # One entry is enough for a run, which goes forward, and keeps memory linear.
        world.weather.clear()
        world.weather[since] = _conditions(world, tick)
    return world.weather[since]


def _conditions(world: World, tick: int) -> Conditions:
    capacity, demand = world.capacity.copy(), world.demand.copy()
    outages, failures, shocks = (world.disruptions[kind] for kind in _KINDS)
    out, shocked = outages.active(tick), shocks.active(tick)
    capacity[failures.node[failures.active(tick)]] = 0.0
    np.multiply.at(demand, shocks.node[shocked], shocks.factor[shocked])
    return Conditions(capacity, demand, outages.node[out], outages.material[out])
