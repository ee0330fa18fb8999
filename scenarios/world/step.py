"""One tick of the whole batch: arrive, return, recover, make, order, book, close the ledger."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from scenarios.world.booking import book_tick
from scenarios.world.comply import check_action, comply
from scenarios.world.factories import Production, make_and_order
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


@dataclass(frozen=True, eq=False)
class _Tick:
    """What the parts of a tick hand to each other."""

    sent: Floats
    disposed: Floats
    throughput: Floats


@dataclass(frozen=True, eq=False)
class Opening:
    """The first half of a tick: what has arrived, and what there is to decide on.

    Args:
        view: what a controller sees.
        before: stock at the beginning of the tick, kg, [n, m].
        arrived: hauls that were unloaded, [e, COLUMNS].
        delivered: kg of products that reached use, [n].
        wanted: kg of products that are demanded, [n].
    """

    view: View
    before: Floats
    arrived: Floats
    delivered: Floats
    wanted: Floats


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
    arrived = state.transit
    holding = conditions(world, state.tick)
    wanted = holding[2]
    delivered = _arrive(world, state, arrived, wanted)
    return Opening(_look(world, items, state, holding), before, arrived, delivered, wanted)


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
    tick = _Tick(
        sent=np.zeros((world.edges, COLUMNS), order="F"),
        disposed=np.zeros(opening.before.shape, order="F"),
        throughput=np.zeros(world.nodes),
    )
    tick.throughput[world.kind("use")] = opening.delivered[world.kind("use")]
    _send_back(view, executed, tick)
    limit = view.capacity * action.activity
    carbon_left = recover(world, state, limit, tick.sent, tick.disposed, tick.throughput)
    made = make_and_order(view, limit, action.cover_ticks, carbon_left, tick.sent)
    tick.disposed[:] += made.residue
    tick.throughput[:] += made.throughput
    _live_on(state, view, executed)
    close_ledger(
        world,
        state.tick,
        opening.before,
        state.stock[:, MASS],
        (opening.arrived[:, MASS], tick.sent[:, MASS]),
        made.extracted,
        tick.disposed,
    )
    flows = _flows(opening, tick, made, (action.dispositions, executed))
    flows = book_tick(view, flows, violations + made.violations, constrained + made.constrained)
    state.transit = tick.sent
    state.tick += 1
    return flows


def _arrive(world: World, state: State, arrived: Floats, wanted: Floats) -> Floats:
    """Unload every haul; products that reach use serve the backlog."""
    use = world.kind("use")
    came = world.inflow(arrived)
    # In use, and in a factory, it no longer matters where a kilogram was to go.
    for kind in ("use", "manufacturing", "remanufacturing", "recycling"):
        came[world.kind(kind), TO_REUSE:] = 0.0
    state.stock += came
    delivered = np.zeros(world.nodes)
    delivered[use] = came[use, MASS].sum(axis=1)
    state.backlog = state.backlog + wanted - delivered
    return delivered


def _look(world: World, items: Items, state: State, holding: tuple[Floats, Floats, Floats]) -> View:
    """What there is to decide on. An item whose mass is not there yet comes a tick later."""
    now = np.flatnonzero(state.next_return == state.tick)
    needed = world.stage("use", "collection").by_source(_mass_by_gate(world, items, now))
    short: Flags = np.asarray((needed > state.stock[:, MASS]).any(axis=1))
    if short.any():
        late = short[items.node[now]]
        state.next_return[now[late]] = state.tick + 1
        now = now[~late]
    return View(world, items, state, state.tick, now, *holding)


def _mass_by_gate(world: World, items: Items, members: Integers) -> Floats:
    """Mass of some items by the haul that they take to collection, [gates, m]."""
    gates, products = len(world.stage("use", "collection").edges), len(BILL_KG)
    key = items.gate[members] * products + items.product[members]
    counts = np.bincount(key, minlength=gates * products)
    mass: Floats = counts.reshape(gates, products) @ BILL_KG
    return mass


def _send_back(view: View, executed: Integers, tick: _Tick) -> None:
    """Take returned items out of use: to collection, or to the landfill."""
    world, items, stock = view.world, view.items, view.state.stock
    stage = world.stage("use", "collection")
    kept = executed != Disposition.DISPOSE
    sent = _mass_by_gate(world, items, view.now[kept])
    lost = stage.by_source(_mass_by_gate(world, items, view.now[~kept]))
    gone = stage.by_source(sent) + lost
    total = stock[:, MASS].sum(axis=1)
    safe_total = np.where(total > 0, total, 1.0)
    mean_quality = stock[:, QUALITY] / safe_total
    left = (gone.sum(axis=1) / safe_total)[:, None]
    stock[:, QUALITY:] *= 1.0 - np.minimum(left, 1.0)
    secondary = stock[:, SECONDARY] / np.maximum(safe_total - gone.sum(axis=1), 1e-300)
    stock[:, MASS] -= gone
    gate = items.gate[view.now]
    mass = items.mass_kg(view.now)
    # Use has worn the item: what leaves is no better than the item itself.
    worn = mass * np.minimum(mean_quality[items.node[view.now]], view.quality)
    rows = np.zeros((len(stage.edges), COLUMNS), order="F")
    rows[:, MASS] = sent
    rows[:, SECONDARY] = sent.sum(axis=1) * np.minimum(1.0, secondary[stage.source])
    for column, weight in (
        (QUALITY, worn * kept),
        (TO_REUSE, mass * (executed == Disposition.REUSE)),
        (TO_REMANUFACTURE, mass * (executed == Disposition.REMANUFACTURE)),
    ):
        rows[:, column] = np.bincount(gate, weight, len(stage.edges))
    tick.sent.T[:, stage.edges] = rows.T
    tick.disposed[:] += lost


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
        state.next_return[again] = tick + delay + 1 + life.astype(np.int64)
        state.lives[again] += 1


def _enter(state: State, tick: int, items: Integers, new: MaterialState) -> None:
    """Write a transition; the table of transitions allows no other."""
    if not len(items):
        return
    if not TRANSITIONS[state.state[items], new].all():
        raise AssertionError(f"tick {tick}: an item became {new.name} against the table")
    state.state[items] = new
    state.history.append((tick, items, np.full(len(items), new, np.int64)))


def _flows(
    opening: Opening, tick: _Tick, made: Production, decided: tuple[Integers, Integers]
) -> Flows:
    view, arrived = opening.view, opening.arrived
    world = view.world
    none = np.zeros(len(world.scenarios))
    delivered, wanted = map(world.sum_nodes, (opening.delivered, opening.wanted))
    return Flows(
        tick=view.tick,
        arrived=arrived[:, MASS],
        sent=tick.sent[:, MASS],
        extracted=made.extracted,
        disposed=tick.disposed,
        throughput=tick.throughput,
        delivered=delivered,
        wanted=wanted,
        overdue=world.sum_nodes(np.maximum(0.0, view.state.backlog)),
        energy_mj=none,
        carbon_kg=none,
        money_usd=none,
        virgin_kg=world.sum_nodes(made.extracted.sum(axis=1)),
        made_kg=made.made_kg,
        items=view.now,
        quality=view.quality,
        wished=decided[0],
        executed=decided[1],
        violations=none,
        constrained=none,
    )
