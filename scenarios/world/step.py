"""One tick of the whole batch: arrive, return, recover, make, order, book, close the ledger."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from scenarios.world.booking import book_tick
from scenarios.world.comply import check_action, comply
from scenarios.world.factories import make_and_order
from scenarios.world.layout import put_columns, sum_columns
from scenarios.world.ledger import close_ledger
from scenarios.world.products import BILL_KG, TRANSITIONS, Disposition, MaterialState
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
from scenarios.world.view import View, conditions

if TYPE_CHECKING:
    from scenarios.world.arrays import World
    from scenarios.world.graph import Floats, Integers
    from scenarios.world.returns import Items
    from scenarios.world.view import Action, Controller, Flags

# Hauls from use to collection and back; by way of disassembly and remanufacturing.
REUSE_TICKS, REMANUFACTURE_TICKS = 2, 4
_BILLS = BILL_KG.T.copy()


@dataclass(frozen=True, eq=False)
class Opening:
    """The first half of a tick: what has arrived, and what there is to decide on.

    Args:
        view: what a controller sees.
        before: stock at the beginning of the tick, kg, [n, m].
        came: what hauls brought to every node, kg by material, [m, n].
        delivered: kg of products that reached use, [n].
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
    before = state.stock[:, MASS].copy("F")
    came = _unload(world, state.hauls)
    state.stock.T[:] += came
    use = world.kind("use")
    delivered = np.zeros(world.nodes)
    delivered[use] = came[MASS].sum(axis=0)[use]
    capacity, available, wanted = conditions(world, state.tick)
    state.backlog = state.backlog + wanted - delivered
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
    limit = view.capacity * action.activity
    carbon_left = recover(world, state, limit, tick)
    made = make_and_order(view, limit, action.cover_ticks, carbon_left, tick)
    _live_on(state, view, executed)
    stocks = opening.before, state.stock[:, MASS]
    close_ledger(world, state.tick, stocks, opening.came, tick)
    flows = book_tick(
        view,
        opening.delivered,
        tick,
        (action.dispositions, executed),
        made.made_kg,
        (violations + made.violations, constrained + made.constrained),
    )
    state.hauls = tick.sent
    state.tick += 1
    return flows


def _begin(opening: Opening) -> Tick:
    world = opening.view.world
    tick = Tick(
        sent=np.empty((COLUMNS, world.edges)),
        extracted=np.zeros(opening.before.shape, order="F"),
        disposed=np.zeros(opening.before.shape, order="F"),
        throughput=opening.delivered.copy(),
    )
    # Every stage writes its own span of all columns but these two.
    tick.sent[TO_REUSE:] = 0.0
    return tick


def _unload(world: World, hauls: Floats) -> Floats:
    """What every node gets, by column, [COLUMNS, n]."""
    came = np.zeros((COLUMNS, world.nodes))
    came[:TO_REUSE] = sum_columns(world.hauls.target, hauls[:TO_REUSE], world.nodes)
    # In use, and in a factory, it no longer matters where a kilogram was to go.
    for column, stage in (
        (TO_REUSE, world.stage("use", "collection")),
        (TO_REMANUFACTURE, world.stage("use", "collection")),
        (TO_REMANUFACTURE, world.stage("collection", "disassembly")),
    ):
        came[column] += np.bincount(stage.target, hauls[column, stage.span], world.nodes)
    return came


def _look(world: World, items: Items, state: State) -> tuple[Integers, Floats]:
    """Items to decide on, and the mass that they take from use nodes, kg by material, [m, u].

    An item whose mass is not there yet comes a tick later.
    """
    now = state.returning()
    place = world.stage("use", "collection").place
    leaving = _mass_by_place(world, items, now, place[items.gate[now]])
    there = state.stock.T[MASS].take(world.kind("use"), axis=1)
    short: Flags = np.asarray((leaving > there).any(axis=0))
    if short.any():
        late = short[place[items.gate[now]]]
        state.come_back(now[late], np.full(int(late.sum()), state.tick + 1))
        now = now[~late]
        leaving[:, short] = 0.0
    return now, leaving


def _mass_by_place(world: World, items: Items, members: Integers, place: Integers) -> Floats:
    """Mass of some items by their place among the use nodes, kg by material, [m, u]."""
    return sum_columns(place, _BILLS[:, items.product[members]], len(world.kind("use")))


def _send_back(opening: Opening, executed: Integers, tick: Tick) -> None:
    """Take returned items out of use: to collection, or to the landfill."""
    view, stock = opening.view, opening.view.state.stock.T
    world, items, now = view.world, view.items, view.now
    stage, use = world.stage("use", "collection"), world.kind("use")
    held = stock[:TO_REUSE].take(use, axis=1)
    total = held[MASS].sum(axis=0)
    safe_total = np.where(total > 0, total, 1.0)
    gone = opening.leaving.sum(axis=0)
    mean_quality = held[QUALITY] / safe_total
    held[QUALITY:] *= 1.0 - np.minimum(gone / safe_total, 1.0)
    secondary = np.minimum(1.0, held[SECONDARY] / np.maximum(safe_total - gone, 1e-300))
    held[MASS] -= opening.leaving
    put_columns(stock[:TO_REUSE], use, held)
    gate = items.gate[now]
    place = stage.place[gate]
    thrown = executed == Disposition.DISPOSE
    lost = now[thrown]
    if len(lost):
        put_columns(tick.disposed.T, use, _mass_by_place(world, items, lost, place[thrown]))
    rows = np.empty((COLUMNS, len(now)))
    rows[MASS] = _BILLS[:, view.product] * ~thrown
    mass = items.mass_kg(now) * ~thrown
    # Use has worn the item: what leaves is no better than the item itself.
    rows[QUALITY] = mass * np.minimum(mean_quality[place], view.quality)
    rows[SECONDARY] = mass * secondary[place]
    rows[TO_REUSE] = mass * (executed == Disposition.REUSE)
    rows[TO_REMANUFACTURE] = mass * (executed == Disposition.REMANUFACTURE)
    tick.sent[:, stage.span] = sum_columns(gate, rows, len(stage.edges))


def _live_on(state: State, view: View, executed: Integers) -> None:
    """Write every item's life on, and say when those in use come back again."""
    now, tick = view.now, view.tick
    state.disposition[now] = executed
    _enter(state, tick, now, MaterialState.RETURNED)
    never = np.iinfo(np.int64).max
    state.next_return[now] = never
    for disposition, terminal in (
        (Disposition.RECYCLE, MaterialState.RECYCLED),
        (Disposition.DISPOSE, MaterialState.DISPOSED),
    ):
        _enter(state, tick, now[executed == disposition], terminal)
    remade = now[executed == Disposition.REMANUFACTURE]
    _enter(state, tick, remade, MaterialState.REMANUFACTURED)
    state.quality[remade] *= 1.0 - QUALITY_LOSS
    for again, delay in (
        (now[executed == Disposition.REUSE], REUSE_TICKS),
        (
            remade,
            REMANUFACTURE_TICKS,
        ),
    ):
        _enter(state, tick, again, MaterialState.IN_USE)
        life = view.items.life_ticks[again, state.lives[again]] * state.quality[again]
        back = tick + delay + 1 + life.astype(np.int64)
        state.next_return[again] = back
        within = back < view.world.ticks
        state.come_back(again[within], back[within])
        state.lives[again] += 1


def _enter(state: State, tick: int, items: Integers, new: MaterialState) -> None:
    """Write a transition; the table of transitions allows no other."""
    if not len(items):
        return
    if not TRANSITIONS[state.state[items], new].all():
        raise AssertionError(f"tick {tick}: an item became {new.name} against the table")
    state.state[items] = new
    state.history.append((tick, items, np.full(len(items), new, np.int64)))
