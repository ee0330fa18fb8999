"""Manufacturing to order, and the virgin material that it orders."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from scenarios.world.graph import MANUFACTURING_YIELD, sibling_shares, sum_by
from scenarios.world.layout import put_columns, sum_columns
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
        held: stocks of factories, [TO_REUSE, f].
        pulled: products over every edge to use.
        wished: material that each factory would take were there no law, [f].
        taken: material that it takes, [f].
        ordered: material over every edge from a mine, [m, e].
        mined: the same by mine, [m, x].
    """

    held: Floats
    pulled: Floats
    wished: Floats
    taken: Floats
    ordered: Floats
    mined: Floats


def make_and_order(
    view: View, limit: Floats, cover_ticks: Floats, carbon_left: Floats, tick: Tick
) -> Production:
    """Make what is wanted of what is there, and order what is missing of the cover.

    Both slow down alike where they would emit more than the cap leaves. Where the law wants a
    recycled content, a factory makes no more than its secondary material vouches for, by mass
    balance: a kilogram counts once, in whichever product.

    Args:
        view: this tick; the stocks of factories shrink.
        limit: kg that every node may process, [n].
        cover_ticks: of nominal production to hold as material, [n].
        carbon_left: kg CO2e that the cap leaves, [b].
        tick: what was sent already; gets products and material, residues, and what was processed.
    """
    world = view.world
    makers, mines, batch = world.makers, world.mines, len(world.scenarios)
    plan = _plan(view, limit, cover_ticks, tick.sent)
    mined_kg = plan.mined.sum(axis=0)
    emitted = makers.emitted(plan.taken, batch) + mines.emitted(mined_kg, batch)
    over = emitted > carbon_left
    slower = np.where(over, carbon_left / np.where(over, emitted, 1.0), 1.0)
    at_mines = slower[mines.scenario]
    tick.throughput[makers.nodes] = plan.taken * slower[makers.scenario]
    tick.throughput[mines.nodes] = mined_kg * at_mines
    put_columns(tick.extracted.T, mines.nodes, plan.mined * at_mines)
    _haul_material(world, plan.ordered, at_mines, tick.sent)
    made = _make(view, plan, slower[makers.scenario], tick)
    content = world.law.recycled_content[view.tick] > 0
    capped = np.isfinite(world.law.carbon_cap[view.tick])
    held_back = makers.by_scenario(plan.wished - plan.taken, batch) > 0
    return Production(
        made_kg=makers.by_scenario(made, batch),
        violations=(capped & (slower < 1.0)).astype(float) + (content & held_back),
        constrained=capped.astype(float) + content,
    )


def _plan(view: View, limit: Floats, cover_ticks: Floats, sent: Floats) -> _Plan:
    """What factories would do were there no cap."""
    world, makers = view.world, view.world.makers
    held = view.state.stock.T[:TO_REUSE].take(makers.nodes, axis=1)
    pulled, wished = _pull(view, limit, held, sent)
    level = world.law.recycled_content[view.tick][makers.scenario]
    vouched = np.where(level > 0, held[SECONDARY] / np.where(level > 0, level, 1.0), np.inf)
    taken = np.minimum(wished, vouched)
    order = _order(view, cover_ticks, held[MASS] - taken * makers.recipe, sent)
    mines = world.stage("extraction", "manufacturing")
    count = len(makers.nodes)
    from_mine = sibling_shares(mines.target_place, count, limit[mines.source])
    ordered = order.take(mines.target_place, axis=1) * from_mine
    sources = world.mines.nodes
    asked = sum_by(mines.place, ordered.sum(axis=0), len(sources))
    granted = np.minimum(1.0, limit[sources] / np.where(asked > 0, asked, 1.0))
    ordered *= granted[mines.place]
    return _Plan(
        held, pulled, wished, taken, ordered, sum_columns(mines.place, ordered, len(sources))
    )


def _pull(view: View, limit: Floats, held: Floats, sent: Floats) -> tuple[Floats, Floats]:
    """Products that use nodes pull over every edge; and what factories would make of them."""
    world, makers, use = view.world, view.world.makers, view.world.kind("use")
    with np.errstate(divide="ignore", invalid="ignore"):
        scarcest = np.where(makers.recipe > 0, held[MASS] / makers.recipe, np.inf).min(axis=0)
    most = np.minimum(limit[makers.nodes], np.maximum(0.0, scarcest))
    edges = world.stage("manufacturing", "use")
    missing = (view.state.backlog + view.demand)[use] - _coming_to_use(world, sent)
    missing = np.minimum(np.maximum(0.0, missing), view.capacity[use])
    share = sibling_shares(edges.target_place, len(use), most[edges.place])
    pulled = missing[edges.target_place] * share
    desired = sum_by(edges.place, pulled, len(most)) / MANUFACTURING_YIELD
    return pulled, np.minimum(most, desired)


def _order(view: View, cover_ticks: Floats, left: Floats, sent: Floats) -> Floats:
    """Material that factories want beyond what is left and what is coming, [m, f]."""
    makers = view.world.makers
    back = view.world.stage("recycling", "manufacturing")
    coming = sum_columns(back.target_place, sent[MASS, back.span], len(makers.nodes))
    cover = cover_ticks[makers.nodes] * makers.nominal * makers.recipe
    order: Floats = np.maximum(0.0, cover - left - coming)
    order *= view.capacity[makers.nodes] > 0
    order *= view.available[makers.nodes].T
    return order


def _coming_to_use(world: World, sent: Floats) -> Floats:
    """Used products that were sent to every use node this tick, kg, [u]."""
    coming = np.zeros(len(world.kind("use")))
    for kind in ("collection", "remanufacturing"):
        stage = world.stage(kind, "use")
        coming += sum_by(stage.target_place, sent[MASS, stage.span].sum(axis=0), len(coming))
    return coming


def _haul_material(world: World, ordered: Floats, slower: Floats, sent: Floats) -> None:
    """Load what mines deliver; new material is of full quality, and none of it is secondary."""
    mines = world.stage("extraction", "manufacturing")
    material = ordered * slower[mines.place]
    sent[MASS, mines.span] = material
    sent[QUALITY, mines.span] = material.sum(axis=0)
    sent[SECONDARY, mines.span] = 0.0


def _make(view: View, plan: _Plan, slower: Floats, tick: Tick) -> Floats:
    """Turn material into products on their way to use; returns kg made, [f]."""
    world, makers = view.world, view.world.makers
    held, taken = plan.held, plan.taken * slower
    total = held[MASS].sum(axis=0)
    share = taken / np.where(total > 0, total, 1.0)
    level = world.law.recycled_content[view.tick][makers.scenario]
    used = np.empty_like(held)
    used[MASS] = np.minimum(taken * makers.recipe, held[MASS])
    used[QUALITY] = share * held[QUALITY]
    used[SECONDARY] = np.minimum(
        held[SECONDARY], np.maximum(level * taken, share * held[SECONDARY])
    )
    put_columns(view.state.stock.T[:TO_REUSE], makers.nodes, held - used)
    put_columns(tick.disposed.T, makers.nodes, used[MASS] * (1.0 - MANUFACTURING_YIELD))
    used *= MANUFACTURING_YIELD
    edges = world.stage("manufacturing", "use")
    part = sibling_shares(edges.place, len(taken), plan.pulled)
    np.multiply(used.take(edges.place, axis=1), part, out=tick.sent[:TO_REUSE, edges.span])
    made: Floats = used[MASS].sum(axis=0)
    return made
