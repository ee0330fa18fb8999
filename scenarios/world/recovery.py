"""The way back: collection, disassembly, remanufacturing and recycling in one tick.

All four work alike: they take what fits of what waits, well mixed, keep a yield of it and send that
on. So they are computed together, as members of `WayBack`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from scenarios.world.graph import DISASSEMBLY_YIELD, RECYCLING_YIELD, REMANUFACTURING_YIELD
from scenarios.world.road import bring_shares
from scenarios.world.state import MASS, QUALITY, SECONDARY, TO_REMANUFACTURE, TO_REUSE
from scenarios.world.values import QUALITY_LOSS

if TYPE_CHECKING:
    from scenarios.world.arrays import World
    from scenarios.world.graph import Floats
    from scenarios.world.state import Tick

# What is not lost, of all materials alike; recycling loses of each its own share.
_YIELDS = {
    "collection": 1.0,
    "disassembly": DISASSEMBLY_YIELD,
    "remanufacturing": REMANUFACTURING_YIELD,
}


def recover(world: World, cap: Floats, limit: Floats, tick: Tick) -> Floats:
    """Process what waits at the nodes of the way back, well mixed, first what fits.

    Args:
        world: the graph.
        cap: of carbon, kg CO2e per scenario, [b].
        limit: kg that every position of the line may process, [n].
        tick: gets what stays, what leaves, residues, and what was processed.

    Returns:
        What is left of the carbon cap, kg CO2e per scenario, [b].
    """
    back = world.way_back
    waiting = tick.there_kg[back.span]
    amount = np.minimum(waiting, limit[back.span])
    emitted = back.emitted(amount)
    if (emitted > cap).any():
        # The law binds even here: everything slows down alike.
        allowed = np.minimum(1.0, cap / np.maximum(emitted, 1e-300))
        amount *= allowed[back.scenario]
        emitted = emitted * allowed
    tick.processed[back.span] = amount
    np.add(tick.emitted, emitted, out=tick.emitted)
    # Exactly 1 where all of it fits: a node that is emptied is empty, without a residue.
    part = np.divide(amount, waiting, out=np.ones_like(amount), where=amount < waiting)
    _take(world, amount, part, tick)
    _sort(world, amount, part, tick)
    _send(world, tick)
    left: Floats = np.maximum(0.0, cap - emitted)
    return left


def _send(world: World, tick: Tick) -> None:
    """Put the goods on their hauls; most of these carry nothing in a tick."""
    back, hauls, road = world.way_back, world.hauls, tick.road
    share = road.back_share()
    loaded = np.flatnonzero(road.goods_kg.take(back.place) * share > 0.0)
    place, target = back.place.take(loaded), hauls.target[hauls.back].take(loaded)
    bring_shares(road.goods, place, share.take(loaded), target, tick.coming)


def _take(world: World, amount: Floats, part: Floats, tick: Tick) -> None:
    """Take a part of what waits, [w]; some of it is lost, and the rest are the goods that leave."""
    back = world.way_back
    there, goods, goods_kg = tick.there[:, back.span], tick.road.goods, tick.road.goods_kg
    thrown = tick.thrown[:, back.span]
    np.multiply(there, 1.0 - part, out=tick.held[:, back.span])
    for kind, kept in _YIELDS.items():
        span = back.spans[kind]
        np.multiply(there[:, span], kept * part[span], out=goods[:, span])
        np.multiply(amount[span], kept, out=goods_kg[span])
        np.multiply(there[MASS, span], (1.0 - kept) * part[span], out=thrown[:, span])
    goods[QUALITY, back.spans["remanufacturing"]] *= 1.0 - QUALITY_LOSS
    span = back.spans["recycling"]
    taken = there[:, span] * part[span]
    np.multiply(taken[MASS], RECYCLING_YIELD[:, None], out=goods[MASS, span])
    np.subtract(taken[MASS], goods[MASS, span], out=thrown[:, span])
    kg, total = np.sum(goods[MASS, span], axis=0, out=goods_kg[span]), amount[span]
    kept_share = kg / np.where(total > 0, total, 1.0)
    goods[QUALITY, span] = taken[QUALITY] * kept_share * (1.0 - QUALITY_LOSS)
    goods[SECONDARY, span] = kg
    np.subtract(amount, goods_kg, out=tick.thrown_kg[back.span])


def _sort(world: World, amount: Floats, part: Floats, tick: Tick) -> None:
    """Choose the gates of what was taken, [w], by what it was sent for."""
    back, road = world.way_back, tick.road
    # Only what is collected, and then what is taken apart, was sent for something.
    sent_for = tick.sent_for * part[: len(world.sorters)]
    np.subtract(tick.sent_for, sent_for, out=tick.sent_for)
    road.portion[:] = 1.0
    for kind, wish, special, rest in (
        ("collection", sent_for[TO_REUSE], "use", "disassembly"),
        ("disassembly", sent_for[TO_REMANUFACTURE], "remanufacturing", "recycling"),
    ):
        span = back.spans[kind]
        total = amount[span]
        wished = np.minimum(1.0, wish[span] / np.where(total > 0, total, 1.0))
        road.portion[back.gates[kind, special]] = wished
        np.subtract(1.0, wished, out=road.portion[back.gates[kind, rest]])
    # Well mixed in composition, but what was to be remanufactured is all still to come.
    span = back.spans["collection"]
    taken_apart = amount[span] * road.portion[back.gates["collection", "disassembly"]]
    to_remanufacture = np.minimum(sent_for[TO_REMANUFACTURE, span], taken_apart)
    stage = world.stage("collection", "disassembly")
    to_take_apart = tick.coming_for[TO_REMANUFACTURE, back.spans["disassembly"]]
    np.add.at(to_take_apart, stage.target_place, to_remanufacture[stage.place] * stage.share)
