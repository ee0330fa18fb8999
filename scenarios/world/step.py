"""One tick of the whole batch: arrive, return, recover, make, order, book, close the ledger."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from scenarios.world.booking import book_tick
from scenarios.world.comply import check_action, comply
from scenarios.world.factories import make_and_order
from scenarios.world.layout import add_columns, sum_columns
from scenarios.world.ledger import close_ledger
from scenarios.world.products import BILL_KG, MATERIALS, TRANSITIONS, Disposition, MaterialState
from scenarios.world.recovery import recover
from scenarios.world.state import (
    COLUMNS,
    MASS,
    QUALITY,
    SECONDARY,
    TO_REMANUFACTURE,
    TO_REUSE,
    Flows,
    State,
    Tick,
)
from scenarios.world.values import QUALITY_LOSS
from scenarios.world.view import View
from scenarios.world.weather import conditions

if TYPE_CHECKING:
    from scenarios.world.arrays import World
    from scenarios.world.graph import Floats, Integers
    from scenarios.world.returns import Items
    from scenarios.world.view import Action, Controller, Flags

# Hauls from use to collection and back; by way of disassembly and remanufacturing.
REUSE_TICKS, REMANUFACTURE_TICKS = 2, 4
_BILLS = BILL_KG.T.copy()
# What an item becomes at once, by disposition.
_BECOMES = np.array(
    [
        MaterialState.IN_USE,
        MaterialState.REMANUFACTURED,
        MaterialState.RECYCLED,
        MaterialState.DISPOSED,
    ],
    np.int64,
)


@dataclass(frozen=True, eq=False)
class Opening:
    """The first half of a tick: what has arrived, and what there is to decide on.

    Args:
        view: what a controller sees.
        before: what every position of the line held at the beginning, kg by material, [m, n].
        came: what hauls brought there, kg by material, [m, n].
        delivered: kg of products that reached use, [u].
        leaving: mass of the items to decide on by use node, kg by material, [m, u].
    """

    view: View
    before: Floats
    came: Floats
    delivered: Floats
    leaving: Floats


def step(world: World, items: Items, state: State, controller: Controller) -> Flows:
    """Run one tick and change `state`.

    Raises:
        ScenarioError: the controller's answer is of the wrong shape or out of range.
        MassBalanceError: the mass of a node does not close.
    """
    opening = open_tick(world, items, state)
    return close_tick(opening, controller.decide(opening.view))


def open_tick(world: World, items: Items, state: State) -> Opening:
    """Unload what arrives and look at what comes back; `state` is then within the tick."""
    before = state.held[MASS].copy()
    came = state.coming
    state.held += came
    delivered = came[MASS, world.users.span].sum(axis=0)
    capacity, available, wanted = conditions(world, state.tick)
    state.owed = state.owed + wanted[world.users.nodes] - delivered
    now, leaving = _look(world, items, state)
    view = View(world, items, state, state.tick, now, capacity, available, wanted)
    return Opening(view, before, came[MASS], delivered, leaving)


def close_tick(opening: Opening, action: Action) -> Flows:
    """Execute the nearest compliant action, book the tick, and go on to the next.

    Raises:
        ScenarioError: the action is of the wrong shape or out of range.
        MassBalanceError: the mass of a node does not close.
    """
    view = opening.view
    world, state = view.world, view.state
    check_action(view, action)
    executed, violations, constrained = comply(view, action.dispositions)
    tick = _begin(opening)
    _send_back(opening, executed, tick)
    limit = (view.capacity * action.activity)[world.line.node]
    carbon_left = recover(world, state, limit, tick)
    made = make_and_order(view, limit, action.cover_ticks, carbon_left, tick)
    _live_on(state, view, executed)
    close_ledger(world, state.tick, (opening.before, state.held[MASS]), opening.came, tick)
    flows = book_tick(
        view,
        opening.delivered,
        tick,
        (action.dispositions, executed),
        made.made_kg,
        (violations + made.violations, constrained + made.constrained),
    )
    state.road, state.coming = tick.road, tick.coming
    state.tick += 1
    return flows


def _begin(opening: Opening) -> Tick:
    world = opening.view.world
    tick = Tick(
        road=world.hauls.start(len(opening.view.now)),
        coming=np.zeros((COLUMNS, world.nodes)),
        mined=np.empty((len(MATERIALS), len(world.mines))),
        thrown=np.zeros(opening.before.shape),
        processed=np.empty(world.nodes),
    )
    tick.processed[world.users.span] = opening.delivered
    return tick


def _look(world: World, items: Items, state: State) -> tuple[Integers, Floats]:
    """Items to decide on, and the mass that they take from use nodes, kg by material, [m, u].

    An item whose mass is not there yet comes a tick later.
    """
    now = state.returning()
    place = world.stage("use", "collection").place
    leaving = sum_columns(
        place[items.gate[now]], _BILLS.take(items.product[now], axis=1), len(world.users)
    )
    there = state.held[MASS, world.users.span]
    short: Flags = np.asarray((leaving > there).any(axis=0))
    if short.any():
        late = short[place[items.gate[now]]]
        state.come_back(now[late], np.full(int(late.sum()), state.tick + 1))
        now = now[~late]
        leaving[:, short] = 0.0
    return now, leaving


def _send_back(opening: Opening, executed: Integers, tick: Tick) -> None:
    """Take returned items out of use: to collection, or to the landfill."""
    view = opening.view
    world, items, now, use = view.world, view.items, view.now, view.world.users.span
    stage = world.stage("use", "collection")
    held = view.state.held[:TO_REUSE, use]
    total = held[MASS].sum(axis=0)
    safe_total = np.where(total > 0, total, 1.0)
    gone = opening.leaving.sum(axis=0)
    mean_quality = held[QUALITY] / safe_total
    held[QUALITY:] *= 1.0 - np.minimum(gone / safe_total, 1.0)
    secondary = np.minimum(1.0, held[SECONDARY] / np.maximum(safe_total - gone, 1e-300))
    held[MASS] -= opening.leaving
    gate = items.gate[now]
    place = stage.place[gate]
    thrown = executed == Disposition.DISPOSE
    bills = _BILLS.take(view.product, axis=1)
    add_columns(tick.thrown[:, use], place[thrown], bills[:, thrown])
    rows = tick.road.returned
    tick.road.door[:] = gate
    np.multiply(bills, ~thrown, out=rows[MASS])
    mass = items.mass_kg(now) * ~thrown
    # Use has worn the item: what leaves is no better than the item itself.
    rows[QUALITY] = mass * np.minimum(mean_quality[place], view.quality)
    rows[SECONDARY] = mass * secondary[place]
    target = world.hauls.target[stage.span][gate]
    add_columns(tick.coming[:TO_REUSE], target, rows)
    for column, disposition in (
        (TO_REUSE, Disposition.REUSE),
        (TO_REMANUFACTURE, Disposition.REMANUFACTURE),
    ):
        np.add.at(tick.coming[column], target, mass * (executed == disposition))


def _live_on(state: State, view: View, executed: Integers) -> None:
    """Write every item's life on, and say when those in use come back again."""
    now, tick = view.now, view.tick
    state.disposition[now] = executed
    _enter(state, tick, now, np.full(len(now), MaterialState.RETURNED, np.int64))
    _enter(state, tick, now, _BECOMES[executed])
    is_remade = executed == Disposition.REMANUFACTURE
    remade = now[is_remade]
    _enter(state, tick, remade, np.full(len(remade), MaterialState.IN_USE, np.int64))
    state.quality[remade] *= 1.0 - QUALITY_LOSS
    state.next_return[now] = np.iinfo(np.int64).max
    is_used = executed <= Disposition.REMANUFACTURE
    again, lives = now[is_used], state.lives[now[is_used]]
    life = view.items.life_ticks[again, lives] * state.quality[again]
    delay = np.where(is_remade[is_used], REMANUFACTURE_TICKS, REUSE_TICKS)
    back = tick + delay + 1 + life.astype(np.int64)
    state.next_return[again] = back
    within = back < view.world.ticks
    state.come_back(again[within], back[within])
    state.lives[again] = lives + 1


def _enter(state: State, tick: int, items: Integers, new: Integers) -> None:
    """Write transitions; the table of transitions allows no other."""
    if not len(items):
        return
    if not TRANSITIONS[state.state[items], new].all():
        raise AssertionError(f"tick {tick}: an item changed its state against the table")
    state.state[items] = new
    state.history.append((tick, items, new))
