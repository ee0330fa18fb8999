"""The way back: collection, disassembly, remanufacturing and recycling in one tick.

All four work alike: they take what fits of what waits, well mixed, keep a yield of it and send that
on. So they are computed together, as places of `WayBack`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from scenarios.world.road import bring_shares
from scenarios.world.state import MASS, QUALITY, SECONDARY, TO_REMANUFACTURE, TO_REUSE
from scenarios.world.values import QUALITY_LOSS

if TYPE_CHECKING:
    from scenarios.world.arrays import World
    from scenarios.world.graph import Floats
    from scenarios.world.state import State, Tick


def recover(world: World, state: State, limit: Floats, tick: Tick) -> Floats:
    """Process what waits at the nodes of the way back, well mixed, first what fits.

    Args:
        world: the graph.
        state: whose stocks shrink.
        limit: kg that every position of the line may process, [n].
        tick: gets what leaves, residues, and what was processed.

    Returns:
        What is left of the carbon cap, kg CO2e per scenario, [b].
    """
    back = world.way_back
    held = state.held[:, back.span]
    waiting = held[MASS].sum(axis=0)
    amount = np.minimum(waiting, limit[back.span])
    emitted = back.emitted(amount)
    cap = world.law.carbon_cap[state.tick]
    if (emitted > cap).any():
        # The law binds even here: everything slows down alike.
        allowed = np.minimum(1.0, cap / np.maximum(emitted, 1e-300))
        amount *= allowed[back.scenario]
        emitted = emitted * allowed
    tick.processed[back.span] = amount
    # Exactly 1 where all of it fits: a node that is emptied is empty, without a residue.
    taken = held * np.minimum(1.0, amount / np.maximum(waiting, 1e-300))
    held -= taken
    made = _transform(world, taken)
    np.subtract(taken[MASS], made[MASS], out=tick.thrown[:, back.span])
    _send_on(world, taken, made, tick)
    left: Floats = np.maximum(0.0, cap - emitted)
    return left


def _transform(world: World, taken: Floats) -> Floats:
    """What is left of what each place took, without where it was to go, [TO_REUSE, places]."""
    back = world.way_back
    made: Floats = taken[:TO_REUSE] * back.kept
    span = back.spans["recycling"]
    mass, before = made[MASS, span].sum(axis=0), taken[MASS, span].sum(axis=0)
    kept = mass / np.where(before > 0, before, 1.0)
    made[QUALITY, span] = taken[QUALITY, span] * kept * (1.0 - QUALITY_LOSS)
    made[SECONDARY, span] = mass
    return made


def _send_on(world: World, taken: Floats, made: Floats, tick: Tick) -> None:
    """Send on: a place's goods split by what they were sent for, then by capacity."""
    back = world.way_back
    goods = tick.road.goods
    parts = {}
    for kind, column, special, rest in (
        ("collection", TO_REUSE, "use", "disassembly"),
        ("disassembly", TO_REMANUFACTURE, "remanufacturing", "recycling"),
    ):
        span = back.spans[kind]
        parts[kind] = part = _split(taken[:, span], column)
        for target, portion in ((special, part), (rest, 1.0 - part)):
            np.multiply(made[:, span], portion, out=goods[:, back.gates[kind, target]])
    for kind, target in (("remanufacturing", "use"), ("recycling", "manufacturing")):
        goods[:, back.gates[kind, target]] = made[:, back.spans[kind]]
    hauls = world.hauls
    bring_shares(goods, back.gate, back.share, hauls.target[hauls.back], tick.coming[:TO_REUSE])
    # Well mixed in composition, but what was to be remanufactured is all still to come.
    span, gates = back.spans["collection"], back.gates["collection", "disassembly"]
    stage = world.stage("collection", "disassembly")
    to_remanufacture = np.minimum(taken[TO_REMANUFACTURE, span], goods[MASS, gates].sum(axis=0))
    np.add.at(
        tick.coming[TO_REMANUFACTURE],
        world.hauls.target[stage.span],
        to_remanufacture[stage.place] * stage.share,
    )


def _split(taken: Floats, column: int) -> Floats:
    """Share of each place's mass that was sent where `column` says, 0..1."""
    mass = taken[MASS].sum(axis=0)
    share: Floats = np.minimum(1.0, taken[column] / np.where(mass > 0, mass, 1.0))
    return share
