"""What an agent at a node sees at a tick: numbers in [0, 1], none of them of the future.

x / (1 + x) brings an amount without an upper end into the range; here it is called saturated.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from scenarios.world.controllers import COVER_TICKS
from scenarios.world.graph import sum_by
from scenarios.world.products import MATERIALS, SCALE_HOURS
from scenarios.world.schema import KINDS
from scenarios.world.state import MASS, QUALITY, SECONDARY

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from scenarios.world.graph import Floats
    from scenarios.world.view import View

MOST_DEMAND_FACTOR = 3.0
OWN = (
    *(f"is_{kind}" for kind in KINDS),
    "load",  # nominal mass per tick over the capacity
    "energy",  # MJ per kg, saturated
    "carbon",  # kg CO2e per kg, saturated
    "capacity",  # that is up, of its own
    "stock",  # over a day of the nominal load, saturated
    "stock_quality",  # mean of the stock
    "stock_secondary",  # share of the stock that was in a product before
    "leaving",  # what left at the last tick and is on the road, over the capacity, saturated
    "arriving",  # what arrives at the next tick, over the capacity, saturated
    "demand",  # of its own, a third for the usual one
    "backlog",  # ticks of demand that are overdue, saturated
    "store",  # ticks of demand in store, saturated
    *(f"available_{material}" for material in MATERIALS),
    "items",  # to decide on, over ten, saturated
    "item_quality",  # their mean
    "item_age",  # their mean over the scale of the class's lifetime, saturated
)
LAW = (
    "carbon_tax",  # USD per kg, saturated; likewise the next two
    "virgin_tax",
    "landfill_tax",
    "is_capped",
    "cap_pressure",  # nominal emissions over the cap, saturated
    "recycled_content",
    "collection_target",
    "landfill_ban",  # share of the product classes
)
FEATURES = (*OWN, *LAW, "time")  # time: share of the run that is over
FEATURE_COUNT = len(FEATURES)


def observe_nodes(view: View) -> NDArray[np.float32]:
    """What every node sees, float32 [n, FEATURE_COUNT], each value in [0, 1]."""
    time = np.full((view.world.nodes, 1), view.tick / view.world.ticks)
    columns = np.concatenate([_own(view), _law(view), time], axis=1)
    # Rounding may leave a share of a stock a hair above 1.
    seen: NDArray[np.float32] = np.clip(columns, 0.0, 1.0).astype(np.float32)
    return seen


def _saturated(amount: Floats) -> Floats:
    amount = np.maximum(amount, 0.0)
    return amount / (1.0 + amount)


def _over(amount: Floats, scale: Floats) -> Floats:
    """A ratio, 0 where there is no scale."""
    return np.divide(amount, scale, out=np.zeros(np.shape(amount)), where=scale > 0)


def _own(view: View) -> Floats:
    world, stock = view.world, view.state.stock
    held = stock[:, MASS].sum(axis=1)
    arriving = world.inflow(view.state.transit[:, MASS]).sum(axis=1)
    leaving = world.outflow(view.state.transit[:, MASS]).sum(axis=1)
    overdue = _over(view.state.backlog, world.demand)
    columns = [
        np.eye(len(KINDS))[world.topology.kind],
        _over(world.nominal, world.capacity),
        _saturated(world.energy),
        _saturated(world.carbon),
        _over(view.capacity, world.capacity),
        _saturated(_over(held, COVER_TICKS * world.nominal)),
        _over(stock[:, QUALITY], held),
        _over(stock[:, SECONDARY], held),
        _saturated(_over(leaving, world.capacity)),
        _saturated(_over(arriving, world.capacity)),
        _over(view.demand, MOST_DEMAND_FACTOR * world.demand),
        _saturated(overdue),
        _saturated(-overdue),
        view.available,
        *_items(view),
    ]
    return np.column_stack(columns)


def _items(view: View) -> tuple[Floats, Floats, Floats]:
    """Number, quality and age of the items to decide on, by the node that they come from."""
    nodes = view.world.nodes
    place = view.items.node[view.now]
    count = sum_by(place, np.ones(len(place)), nodes)
    age = view.items.age_hours[view.now] / SCALE_HOURS[view.product]
    return (
        _saturated(count / 10.0),
        _over(sum_by(place, view.quality, nodes), count),
        _saturated(_over(sum_by(place, age, nodes), count)),
    )


def _law(view: View) -> Floats:
    world, law, tick = view.world, view.world.law, view.tick
    cap = law.carbon_cap[tick]
    capped = np.isfinite(cap)
    nominal = world.sum_nodes(world.nominal * world.carbon)
    # A cap of nothing at all presses as hard as can be.
    pressure = nominal / (nominal + np.where(capped, cap, np.inf))
    columns = [
        _saturated(law.carbon_tax[tick]),
        _saturated(law.virgin_tax[tick]),
        _saturated(law.landfill_tax[tick]),
        capped.astype(float),
        pressure,
        law.recycled_content[tick],
        law.collection_target[tick],
        law.landfill_ban[tick].mean(axis=1),
    ]
    by_node: Floats = np.column_stack(columns)[world.scenario]
    return by_node
