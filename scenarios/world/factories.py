"""Manufacturing to order, and the virgin material that it orders."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from scenarios.world.graph import MANUFACTURING_YIELD, sum_by
from scenarios.world.road import bring_shares
from scenarios.world.state import MASS, QUALITY, SECONDARY, TO_REUSE

if TYPE_CHECKING:
    from scenarios.world.arrays import World
    from scenarios.world.graph import Floats
    from scenarios.world.state import Tick
    from scenarios.world.view import View


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
        held: stocks of factories, [TO_REUSE, f]; a view.
        pulled: products over every edge to use.
        wished: material that each factory would take were there no law, [f].
        taken: material that it takes, [f].
        ordered: material that each factory wants, [m, f].
        order_share: of that over every edge from a mine, [e].
        mined_kg: what every mine is to extract, [x].
    """

    held: Floats
    pulled: Floats
    wished: Floats
    taken: Floats
    ordered: Floats
    order_share: Floats
    mined_kg: Floats


def make_and_order(
    view: View, limit: Floats, cover_ticks: Floats, carbon_left: Floats, tick: Tick
) -> Production:
    """Make what is wanted of what is there, and order what is missing of the cover.

    Both slow down alike where they would emit more than the cap leaves. Where the law wants a
    recycled content, a factory makes no more than its secondary material vouches for, by mass
    balance: a kilogram counts once, in whichever product.

    Args:
        view: this tick; the stocks of factories shrink.
        limit: kg that every position of the line may process, [n].
        cover_ticks: of nominal production to hold as material, [n].
        carbon_left: kg CO2e that the cap leaves, [b].
        tick: what was sent already; gets products and material, residues, and what was processed.
    """
    world = view.world
    makers, mines = world.makers, world.mines
    plan = _plan(view, limit, cover_ticks, tick.coming)
    emitted = makers.emitted(plan.taken) + mines.emitted(plan.mined_kg)
    over = emitted > carbon_left
    slower = np.where(over, carbon_left / np.where(over, emitted, 1.0), 1.0)
    at_mines = slower[mines.scenario]
    tick.processed[makers.span] = plan.taken * slower[makers.scenario]
    tick.processed[mines.span] = plan.mined_kg * at_mines
    _mine(world, plan, at_mines, tick)
    made = _make(view, plan, slower[makers.scenario], tick)
    content = world.law.recycled_content[view.tick] > 0
    capped = np.isfinite(world.law.carbon_cap[view.tick])
    held_back = makers.by_scenario(plan.wished - plan.taken) > 0
    return Production(
        made_kg=makers.by_scenario(made),
        violations=(capped & (slower < 1.0)).astype(float) + (content & held_back),
        constrained=capped.astype(float) + content,
    )


def _plan(view: View, limit: Floats, cover_ticks: Floats, coming: Floats) -> _Plan:
    """What factories would do were there no cap."""
    world, makers = view.world, view.world.makers
    held = view.state.held[:TO_REUSE, makers.span]
    pulled, wished = _pull(view, limit, held, coming)
    level = world.law.recycled_content[view.tick][makers.scenario]
    vouched = np.where(level > 0, held[SECONDARY] / np.where(level > 0, level, 1.0), np.inf)
    taken = np.minimum(wished, vouched)
    order = _order(view, cover_ticks, held[MASS] - taken * makers.recipe, coming)
    mines = world.stage("extraction", "manufacturing")
    may_mine, count = limit[world.mines.span], len(world.mines)
    share = mines.rivals.shares(may_mine[mines.place])
    asked = sum_by(mines.place, order.sum(axis=0)[mines.target_place] * share, count)
    granted = np.minimum(1.0, may_mine / np.where(asked > 0, asked, 1.0))
    share *= granted[mines.place]
    return _Plan(held, pulled, wished, taken, order, share, asked * granted)


def _pull(view: View, limit: Floats, held: Floats, coming: Floats) -> tuple[Floats, Floats]:
    """Products that use nodes pull over every edge; and what factories would make of them."""
    world, makers, users = view.world, view.world.makers, view.world.users
    with np.errstate(divide="ignore", invalid="ignore"):
        scarcest = np.where(makers.recipe > 0, held[MASS] / makers.recipe, np.inf).min(axis=0)
    most = np.minimum(limit[makers.span], np.maximum(0.0, scarcest))
    edges = world.stage("manufacturing", "use")
    used_again = coming[MASS, users.span].sum(axis=0)
    missing = view.state.owed + view.demand[users.nodes] - used_again
    missing = np.minimum(np.maximum(0.0, missing), view.capacity[users.nodes])
    pulled = missing[edges.target_place] * edges.rivals.shares(most[edges.place])
    desired = sum_by(edges.place, pulled, len(most)) / MANUFACTURING_YIELD
    return pulled, np.minimum(most, desired)


def _order(view: View, cover_ticks: Floats, left: Floats, coming: Floats) -> Floats:
    """Material that factories want beyond what is left and what is coming, [m, f]."""
    makers = view.world.makers
    cover = cover_ticks[makers.nodes] * makers.nominal * makers.recipe
    order: Floats = np.maximum(0.0, cover - left - coming[MASS, makers.span])
    order *= view.capacity[makers.nodes] > 0
    order *= view.available.T.take(makers.nodes, axis=1)
    return order


def _mine(world: World, plan: _Plan, slower: Floats, tick: Tick) -> None:
    """Extract what factories get; new material is of full quality, and none of it is secondary."""
    mines, makers = world.stage("extraction", "manufacturing"), world.makers
    share = plan.order_share * slower[mines.place]
    tick.road.ordered[:], tick.road.ordered_share[:] = plan.ordered, share
    tick.mined[:] = 0.0
    bring_shares(plan.ordered, mines.target_place, share, mines.place, tick.mined)
    material = plan.ordered * sum_by(mines.target_place, share, len(makers))
    tick.coming[MASS, makers.span] += material
    tick.coming[QUALITY, makers.span] += material.sum(axis=0)


def _make(view: View, plan: _Plan, slower: Floats, tick: Tick) -> Floats:
    """Turn material into products on their way to use; returns kg made, [f]."""
    world, makers = view.world, view.world.makers
    held, taken = plan.held, plan.taken * slower
    total = held[MASS].sum(axis=0)
    share = taken / np.where(total > 0, total, 1.0)
    level = world.law.recycled_content[view.tick][makers.scenario]
    used = tick.road.made
    used[MASS] = np.minimum(taken * makers.recipe, held[MASS])
    used[QUALITY] = share * held[QUALITY]
    used[SECONDARY] = np.minimum(
        held[SECONDARY], np.maximum(level * taken, share * held[SECONDARY])
    )
    held -= used
    np.multiply(used[MASS], 1.0 - MANUFACTURING_YIELD, out=tick.thrown[:, makers.span])
    used *= MANUFACTURING_YIELD
    edges = world.stage("manufacturing", "use")
    part = edges.siblings.shares(plan.pulled)
    bring_shares(used, edges.place, part, world.hauls.target[edges.span], tick.coming[:TO_REUSE])
    tick.road.made_share[:] = part
    made: Floats = used[MASS].sum(axis=0)
    return made
