"""Manufacturing to order, and the virgin material that it orders."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from scenarios.world.graph import MANUFACTURING_YIELD, split, sum_by
from scenarios.world.road import bring_shares
from scenarios.world.state import MASS, QUALITY, SECONDARY

if TYPE_CHECKING:
    from scenarios.world.arrays import World
    from scenarios.world.graph import Floats
    from scenarios.world.state import Tick
    from scenarios.world.view import Opening, View


@dataclass(frozen=True, eq=False)
class Production:
    """What factories and mines did in a tick.

    Args:
        made_kg: new products, [b].
        violations: 1 for a plan beyond the cap, and 1 for one beyond the recycled content, [b].
        constrained: how many of the two laws held, [b].
    """

    made_kg: Floats
    violations: Floats
    constrained: Floats


@dataclass(frozen=True, eq=False)
class _Plan:
    """What factories and mines would do, kg.

    Args:
        pulled: share of every edge to use in what its factory makes, [p].
        wished: material that each factory would take were there no law, [f].
        taken: material that it takes, [f].
        level: recycled content that the law wants of it, 0..1, [f].
        order_share: of what each factory ordered over every edge from a mine, [e].
        mined_kg: what every mine is to extract, [x].
    """

    pulled: Floats
    wished: Floats
    taken: Floats
    level: Floats
    order_share: Floats
    mined_kg: Floats


def make_and_order(
    opening: Opening, limit: Floats, cover_ticks: Floats, carbon_left: Floats, tick: Tick
) -> Production:
    """Make what is wanted of what is there, and order what is missing of the cover.

    Both slow down alike where they would emit more than the cap leaves. Where the law wants a
    recycled content, a factory makes no more than its secondary material vouches for, by mass
    balance: a kilogram counts once, in whichever product.

    Args:
        opening: this tick.
        limit: kg that every position of the line may process, [n].
        cover_ticks: of nominal production to hold as material, [n].
        carbon_left: kg CO2e that the cap leaves, [b].
        tick: what was sent already; gets what factories keep, products and material, residues, and
            what was processed.
    """
    view, world = opening.view, opening.view.world
    makers, mines = world.makers, world.mines
    plan = _plan(opening, limit, cover_ticks, tick)
    emitted = makers.emitted(plan.taken) + mines.emitted(plan.mined_kg)
    over = emitted > carbon_left
    slower = np.where(over, carbon_left / np.where(over, emitted, 1.0), 1.0)
    at_mines, at_makers = slower.take(mines.scenario), slower.take(makers.scenario)
    tick.processed[makers.span] = plan.taken * at_makers
    tick.processed[mines.span] = plan.mined_kg * at_mines
    np.add(tick.emitted, emitted * slower, out=tick.emitted)
    _mine(world, plan, at_mines, tick)
    made = _make(world, plan, at_makers, tick)
    content = world.law.recycled_content[view.tick] > 0
    capped = np.isfinite(world.law.carbon_cap[view.tick])
    held_back = makers.by_scenario(plan.wished - plan.taken) > 0
    return Production(
        made_kg=makers.by_scenario(made),
        violations=(capped & (slower < 1.0)).astype(float) + (content & held_back),
        constrained=capped.astype(float) + content,
    )


def _plan(opening: Opening, limit: Floats, cover_ticks: Floats, tick: Tick) -> _Plan:
    """What factories would do were there no cap."""
    view, world = opening.view, opening.view.world
    makers = world.makers
    secondary = tick.there[SECONDARY, makers.span]
    pulled, wished = _pull(opening, limit, tick)
    level = world.law.recycled_content[view.tick].take(makers.scenario)
    vouched = np.where(level > 0, secondary / np.where(level > 0, level, 1.0), np.inf)
    taken = np.minimum(wished, vouched)
    ordered_kg = _order(view, cover_ticks, taken, tick)
    mines = world.stage("extraction", "manufacturing")
    may_mine, count = limit[world.mines.span], len(world.mines)
    share, _ = split(mines.target_place, may_mine.take(mines.place), len(makers))
    asked = sum_by(mines.place, ordered_kg.take(mines.target_place) * share, count)
    granted = np.minimum(1.0, may_mine / np.where(asked > 0, asked, 1.0))
    share *= granted.take(mines.place)
    return _Plan(pulled, wished, taken, level, share, asked * granted)


def _pull(opening: Opening, limit: Floats, tick: Tick) -> tuple[Floats, Floats]:
    """What use nodes pull over every edge as a share; and what factories would make for them."""
    view, world = opening.view, opening.view.world
    makers, users = world.makers, world.users
    scarcest = (tick.there[MASS, makers.span] / makers.recipe).min(axis=0)
    most = np.minimum(limit[makers.span], np.maximum(0.0, scarcest))
    edges = world.stage("manufacturing", "use")
    used_again = tick.coming[MASS, users.span].sum(axis=0)
    missing = view.state.owed + opening.wanted - used_again
    missing = np.minimum(np.maximum(0.0, missing), view.capacity.take(users.nodes))
    pulled, _ = split(edges.target_place, most.take(edges.place), len(users))
    pulled *= missing.take(edges.target_place)
    share, wanted = split(edges.place, pulled, len(makers))
    return share, np.minimum(most, wanted / MANUFACTURING_YIELD)


def _order(view: View, cover_ticks: Floats, taken: Floats, tick: Tick) -> Floats:
    """Order material that factories want beyond what they leave and what is coming; kg, [f]."""
    makers, order = view.world.makers, tick.road.ordered
    cover = cover_ticks.take(makers.nodes) * makers.nominal
    np.multiply(cover + taken, makers.recipe, out=order)
    order -= tick.there[MASS, makers.span]
    order -= tick.coming[MASS, makers.span]
    np.maximum(0.0, order, out=order)
    order[:, np.flatnonzero(view.capacity.take(makers.nodes) <= 0)] = 0.0
    conditions = view.conditions
    place = view.world.line.position[conditions.cut_off] - makers.span.start
    cut_off = (place >= 0) & (place < len(makers))
    order[conditions.lacking[cut_off], place[cut_off]] = 0.0
    return np.sum(order, axis=0, out=tick.road.ordered_kg)


def _mine(world: World, plan: _Plan, slower: Floats, tick: Tick) -> None:
    """Extract what factories get; new material is of full quality, and none of it is secondary."""
    mines, makers = world.stage("extraction", "manufacturing"), world.makers
    road = tick.road
    np.multiply(plan.order_share, slower.take(mines.place), out=road.ordered_share)
    granted = sum_by(mines.target_place, road.ordered_share, len(makers))
    np.multiply(road.ordered, granted, out=tick.mined)
    tick.coming[MASS, makers.span] += tick.mined
    tick.coming[QUALITY, makers.span] += tick.mined.sum(axis=0)


def _make(world: World, plan: _Plan, slower: Floats, tick: Tick) -> Floats:
    """Turn material into products on their way to use; returns kg made, [f]."""
    makers = world.makers
    there, taken = tick.there[:, makers.span], plan.taken * slower
    total = tick.there_kg[makers.span]
    share = taken / np.where(total > 0, total, 1.0)
    used, held = tick.road.made, tick.held[:, makers.span]
    used[0], used[1] = taken, share * there[QUALITY]
    secondary = np.maximum(plan.level * taken, share * there[SECONDARY])
    np.minimum(there[SECONDARY], secondary, out=used[2])
    np.subtract(there[QUALITY:], used[1:], out=held[QUALITY:])
    material = taken * makers.recipe
    np.subtract(there[MASS], material, out=held[MASS])
    # What runs out is gone, without a residue of rounding.
    np.maximum(held[MASS], 0.0, out=held[MASS])
    np.multiply(material, 1.0 - MANUFACTURING_YIELD, out=tick.thrown[:, makers.span])
    np.multiply(taken, 1.0 - MANUFACTURING_YIELD, out=tick.thrown_kg[makers.span])
    used *= MANUFACTURING_YIELD
    tick.road.made_share[:] = plan.pulled
    _deliver(world, tick)
    made: Floats = used[0]
    return made


def _deliver(world: World, tick: Tick) -> None:
    """Put products on their way to use; they are all of the recipe of their scenario."""
    users, edges = world.users.span, world.stage("manufacturing", "use")
    came = np.zeros((3, len(world.users)))
    bring_shares(tick.road.made, edges.place, tick.road.made_share, edges.target_place, came)
    tick.coming[MASS, users] += came[0] * world.makers.recipe_at_users
    tick.coming[QUALITY:, users] += came[1:]
