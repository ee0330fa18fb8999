"""One tick of the whole batch: arrive, return, recover, make, order, book, close the ledger."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from scenarios.world.booking import book_tick
from scenarios.world.comply import check_action, comply
from scenarios.world.factories import make_and_order
from scenarios.world.graph import sum_by
from scenarios.world.layout import add_columns, sum_columns
from scenarios.world.ledger import close_ledger
from scenarios.world.products import MATERIALS, TRANSITIONS, Disposition, MaterialState
from scenarios.world.recovery import recover
from scenarios.world.state import (
    MASS,
    NEVER,
    QUALITY,
    SECONDARY,
    TO_REMANUFACTURE,
    TO_REUSE,
    Flows,
    State,
    Tick,
)
from scenarios.world.values import QUALITY_LOSS
from scenarios.world.view import Opening, View
from scenarios.world.weather import conditions

if TYPE_CHECKING:
    from scenarios.world.arrays import World
    from scenarios.world.graph import Floats, Integers
    from scenarios.world.returns import Items
    from scenarios.world.view import Action, Controller, Flags

# Hauls from use to collection and back; by way of disassembly and remanufacturing.
REUSE_TICKS, REMANUFACTURE_TICKS = 2, 4
_DELAY = 1 + np.array([REUSE_TICKS, REMANUFACTURE_TICKS])
# What a returned item becomes by disposition, and what it is at the end of the tick.
_BECOMES = np.array(
    [
        MaterialState.IN_USE,
        MaterialState.REMANUFACTURED,
        MaterialState.RECYCLED,
        MaterialState.DISPOSED,
    ],
    np.int64,
)
_STAYS = np.where(_BECOMES == MaterialState.REMANUFACTURED, MaterialState.IN_USE, _BECOMES)


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
    state.held += state.coming
    # The ledger compares with it at the end of the tick.
    state.held.setflags(write=False)
    state.sent_for = state.sent_for + state.coming_for
    delivered = state.coming[MASS, world.users.span].sum(axis=0)
    now = conditions(world, state.tick)
    wanted = now.demand.take(world.users.nodes)
    state.owed = state.owed + wanted - delivered
    view, leaving = _look(View(world, items, state, state.tick, state.returning(items), now))
    return Opening(view, delivered, wanted, leaving)


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
    limit = (view.capacity * action.activity).take(world.line.node)
    carbon_left = recover(world, world.law.carbon_cap[view.tick], limit, tick)
    made = make_and_order(opening, limit, action.cover_ticks, carbon_left, tick)
    _live_on(view, executed)
    close_ledger(world, view.tick, tick)
    flows = book_tick(
        opening,
        tick,
        (action.dispositions, executed),
        made.made_kg,
        (violations + made.violations, constrained + made.constrained),
    )
    state.held, state.road = tick.held, tick.road
    state.coming, state.coming_for = tick.coming, tick.coming_for
    state.tick += 1
    return flows


def _begin(opening: Opening) -> Tick:
    world, there = opening.view.world, opening.view.state.held
    tick = Tick(
        there=there,
        there_kg=there[MASS].sum(axis=0),
        held=np.empty(there.shape),
        road=world.hauls.start(len(opening.view.now)),
        coming=np.zeros(there.shape),
        sent_for=opening.view.state.sent_for,
        coming_for=np.zeros((2, len(world.sorters))),
        mined=np.empty((len(MATERIALS), len(world.makers))),
        thrown=np.empty((len(MATERIALS), world.nodes)),
        thrown_kg=np.empty(world.nodes),
        processed=np.empty(world.nodes),
        emitted=world.users.emitted(opening.delivered),
    )
    tick.held[:, world.mines.span] = there[:, world.mines.span]
    tick.thrown[:, world.mines.span] = 0.0
    tick.thrown_kg[world.mines.span] = 0.0
    tick.processed[world.users.span] = opening.delivered
    return tick


def _look(view: View) -> tuple[View, Floats]:
    """What there is to decide on, and what that takes from use nodes, kg by material, [m, u].

    An item whose mass is not there yet comes a tick later.
    """
    users, state = view.world.users, view.state
    leaving = sum_columns(view.place, view.bills, len(users))
    too_much = leaving > state.held[MASS, users.span]
    if not too_much.any():
        return view, leaving
    short: Flags = np.asarray(too_much.any(axis=0))
    late = short[view.place]
    next_tick = np.full(int(late.sum()), state.tick + 1)
    state.come_back(view.now[late], next_tick, view.world.ticks)
    leaving[:, short] = 0.0
    return replace(view, now=view.now[~late]), leaving


def _send_back(opening: Opening, executed: Integers, tick: Tick) -> None:
    """Take returned items out of use: to collection, or to the landfill."""
    view, road = opening.view, tick.road
    world, place, bills = view.world, view.place, view.bills
    use = world.users.span
    there, held = tick.there[:, use], tick.held[:, use]
    total = tick.there_kg[use]
    safe_total = np.where(total > 0, total, 1.0)
    gone = sum_by(place, view.mass_kg, len(world.users))
    np.subtract(there[MASS], opening.leaving, out=held[MASS])
    np.multiply(there[QUALITY:], 1.0 - np.minimum(gone / safe_total, 1.0), out=held[QUALITY:])
    secondary = np.minimum(1.0, held[SECONDARY] / np.maximum(safe_total - gone, 1e-300))
    thrown = np.flatnonzero(executed == Disposition.DISPOSE)
    kept = np.ones(len(executed))
    kept[thrown] = 0.0
    tick.thrown[:, use] = 0.0
    add_columns(tick.thrown[:, use], place.take(thrown), bills.take(thrown, axis=1))
    road.door[:] = view.gate
    np.multiply(bills, kept, out=road.returned[MASS])
    mass = view.mass_kg * kept
    tick.thrown_kg[use] = sum_by(place.take(thrown), view.mass_kg.take(thrown), len(world.users))
    mean_quality = there[QUALITY] / safe_total
    # Use has worn the item: what leaves is no better than the item itself.
    road.returned[QUALITY] = mass * np.minimum(mean_quality.take(place), view.quality)
    road.returned[SECONDARY] = mass * secondary.take(place)
    stage = world.stage("use", "collection")
    target = stage.target_place.take(view.gate)
    add_columns(tick.coming[:, world.line.spans["collection"]], target, road.returned)
    for row, disposition in (
        (TO_REUSE, Disposition.REUSE),
        (TO_REMANUFACTURE, Disposition.REMANUFACTURE),
    ):
        chosen = np.flatnonzero(executed == disposition)
        # Collection comes first among the sorters.
        np.add.at(tick.coming_for[row], target.take(chosen), mass.take(chosen))


def _live_on(view: View, executed: Integers) -> None:
    """Write every item's life on, and say when those in use come back again."""
    state, now, tick = view.state, view.now, view.tick
    if not TRANSITIONS[state.state.take(now), MaterialState.RETURNED].all():
        raise AssertionError(f"tick {tick}: an item changed its state against the table")
    state.disposition[now] = executed
    is_remade = executed == Disposition.REMANUFACTURE
    remade = now[is_remade]
    state.state[now] = _STAYS.take(executed)
    state.history += [
        (tick, now, np.full(len(now), MaterialState.RETURNED, np.int64)),
        (tick, now, _BECOMES.take(executed)),
        (tick, remade, np.full(len(remade), MaterialState.IN_USE, np.int64)),
    ]
    state.quality[remade] *= 1.0 - QUALITY_LOSS
    state.next_return[now] = NEVER
    is_used = executed <= Disposition.REMANUFACTURE
    again = now[is_used]
    lives = state.lives.take(again)
    state.lives[again] = lives + 1
    life = view.items.life_ticks[again, lives] * state.quality.take(again)
    delay = _DELAY.take(executed[is_used])
    state.come_back(again, tick + delay + life.astype(np.int64), view.world.ticks)
