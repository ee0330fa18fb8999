"""The way back: collection, disassembly, remanufacturing and recycling in one tick."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from scenarios.world.arrays import take_rows
from scenarios.world.graph import DISASSEMBLY_YIELD, RECYCLING_YIELD, REMANUFACTURING_YIELD
from scenarios.world.state import MASS, QUALITY, SECONDARY, TO_REMANUFACTURE, TO_REUSE
from scenarios.world.values import QUALITY_LOSS

if TYPE_CHECKING:
    from scenarios.world.arrays import World
    from scenarios.world.graph import Floats, Integers
    from scenarios.world.state import State

BACK = ("collection", "disassembly", "remanufacturing", "recycling")


def recover(
    world: World,
    state: State,
    limit: Floats,
    sent: Floats,
    disposed: Floats,
    throughput: Floats,
) -> Floats:
    """Process what waits at the nodes of the way back, well mixed, first what fits.

    Args:
        world: the graph.
        state: whose stocks shrink.
        limit: kg that every node may process, [n].
        sent: gets what leaves, [e, COLUMNS].
        disposed: gets residues, [n, m].
        throughput: gets what was processed, [n].

    Returns:
        What is left of the carbon cap, kg CO2e per scenario, [b].
    """
    waiting = state.stock[:, MASS].sum(axis=1)
    amount = np.zeros(world.nodes)
    for kind in BACK:
        nodes = world.kind(kind)
        amount[nodes] = np.minimum(waiting[nodes], limit[nodes])
    emitted = world.sum_nodes(amount * world.carbon)
    cap = world.law.carbon_cap[state.tick]
    if (emitted > cap).any():
        # The law binds even here: everything slows down alike.
        allowed = np.minimum(1.0, cap / np.maximum(emitted, 1e-300))
        amount *= allowed[world.scenario]
        emitted = emitted * allowed
    throughput += amount
    taken = {}
    for kind in BACK:
        nodes = world.kind(kind)
        share = np.minimum(1.0, amount[nodes] / np.maximum(waiting[nodes], 1e-300))
        held = take_rows(state.stock, nodes)
        taken[kind] = held * share[:, None]
        # A node that is emptied is empty: no residue of rounding.
        kept = np.where((share >= 1.0)[:, None], 0.0, held - taken[kind])
        state.stock.T[:, nodes] = kept.T
    _collect(world, taken["collection"], sent)
    _disassemble(world, taken["disassembly"], sent, disposed)
    _remanufacture(world, taken["remanufacturing"], sent, disposed)
    _recycle(world, taken["recycling"], sent, disposed)
    left: Floats = np.maximum(0.0, cap - emitted)
    return left


def _push(world: World, stage: tuple[str, str], rows: Floats, sent: Floats) -> None:
    """Send each source's row over the edges of a stage, by share."""
    edges = world.stage(*stage)
    parts = np.take(rows.T, edges.place, axis=1)
    parts *= edges.share
    sent.T[:, edges.edges] = parts


def _split(rows: Floats, column: int) -> Floats:
    """Share of each row's mass that was sent where `column` says, 0..1."""
    mass = rows[:, MASS].sum(axis=1)
    share: Floats = np.minimum(1.0, rows[:, column] / np.where(mass > 0, mass, 1.0))
    return share


def _collect(world: World, taken: Floats, sent: Floats) -> None:
    again = _split(taken, TO_REUSE)[:, None]
    reused = taken * again
    reused[:, TO_REUSE:] = 0.0
    _push(world, ("collection", "use"), reused, sent)
    onward = taken * (1.0 - again)
    # Well mixed in composition, but what was to be remanufactured is all still to come.
    onward[:, TO_REUSE] = 0.0
    onward[:, TO_REMANUFACTURE] = np.minimum(
        taken[:, TO_REMANUFACTURE], onward[:, MASS].sum(axis=1)
    )
    _push(world, ("collection", "disassembly"), onward, sent)


def _disassemble(world: World, taken: Floats, sent: Floats, disposed: Floats) -> None:
    kept = taken * DISASSEMBLY_YIELD
    _dispose(world.kind("disassembly"), taken, kept, disposed)
    remade = _split(taken, TO_REMANUFACTURE)[:, None]
    kept[:, TO_REUSE:] = 0.0
    _push(world, ("disassembly", "remanufacturing"), kept * remade, sent)
    _push(world, ("disassembly", "recycling"), kept * (1.0 - remade), sent)


def _remanufacture(world: World, taken: Floats, sent: Floats, disposed: Floats) -> None:
    made = taken * REMANUFACTURING_YIELD
    made[:, QUALITY] *= 1.0 - QUALITY_LOSS
    _dispose(world.kind("remanufacturing"), taken, made, disposed)
    _push(world, ("remanufacturing", "use"), made, sent)


def _recycle(world: World, taken: Floats, sent: Floats, disposed: Floats) -> None:
    made = np.zeros_like(taken)
    made[:, MASS] = taken[:, MASS] * RECYCLING_YIELD
    mass = made[:, MASS].sum(axis=1)
    before = taken[:, MASS].sum(axis=1)
    kept = mass / np.where(before > 0, before, 1.0)
    made[:, QUALITY] = taken[:, QUALITY] * kept * (1.0 - QUALITY_LOSS)
    made[:, SECONDARY] = mass
    _dispose(world.kind("recycling"), taken, made, disposed)
    _push(world, ("recycling", "manufacturing"), made, sent)


def _dispose(nodes: Integers, taken: Floats, made: Floats, disposed: Floats) -> None:
    disposed.T[:, nodes] += (taken[:, MASS] - made[:, MASS]).T
