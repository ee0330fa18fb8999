"""Manufacturing to order, and the virgin material that it orders."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from scenarios.world.arrays import take_rows
from scenarios.world.graph import MANUFACTURING_YIELD, sibling_shares
from scenarios.world.state import MASS, QUALITY, SECONDARY

if TYPE_CHECKING:
    from scenarios.world.arrays import World
    from scenarios.world.graph import Floats
    from scenarios.world.view import View


@dataclass(frozen=True, eq=False)
class Production:
    """What factories and mines did in a tick.

    Args:
        extracted: kg that entered the world, [n, m].
        residue: kg disposed of, [n, m].
        throughput: kg processed, [n].
        made_kg: new products, [b].
        violations: 1 for a plan beyond the cap, and 1 for one beyond the recycled content, [b].
        constrained: how many of the two laws held, [b].
    """

    extracted: Floats
    residue: Floats
    throughput: Floats
    made_kg: Floats
    violations: Floats
    constrained: Floats


@dataclass(frozen=True, eq=False)
class _Plan:
    """Kilograms: products pulled per edge, taken per factory, material ordered per edge."""

    pulled: Floats
    taken: Floats
    ordered: Floats


def make_and_order(
    view: View, limit: Floats, cover_ticks: Floats, carbon_left: Floats, sent: Floats
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
        sent: what was sent already; gets products and material, [e, COLUMNS].
    """
    world = view.world
    plan, wished = _plan(view, limit, cover_ticks, sent)
    mines = world.stage("extraction", "manufacturing")
    mined = mines.by_source(plan.ordered)
    throughput = np.zeros(world.nodes)
    throughput[world.kind("manufacturing")] = plan.taken
    throughput += mined.sum(axis=1)
    emitted = world.sum_nodes(throughput * world.carbon)
    over = emitted > carbon_left
    slower = np.where(over, carbon_left / np.where(over, emitted, 1.0), 1.0)
    by_node = slower[world.scenario]
    made, residue = _make(view, plan, by_node, sent)
    material = plan.ordered * by_node[mines.source][:, None]
    sent.T[MASS, mines.edges] += material.T
    sent[mines.edges, QUALITY] += material.sum(axis=1)
    content = world.law.recycled_content[view.tick] > 0
    capped = np.isfinite(world.law.carbon_cap[view.tick])
    held_back = world.sum_nodes(_spread(view, wished - plan.taken)) > 0
    return Production(
        extracted=mined * by_node[:, None],
        residue=residue,
        throughput=throughput * by_node,
        made_kg=world.sum_nodes(_spread(view, made)),
        violations=(capped & (slower < 1.0)).astype(float) + (content & held_back),
        constrained=capped.astype(float) + content,
    )


def _spread(view: View, by_factory: Floats) -> Floats:
    """Values of factories as values of nodes, [n]."""
    values = np.zeros(view.world.nodes)
    values[view.world.kind("manufacturing")] = by_factory
    return values


def _plan(view: View, limit: Floats, cover_ticks: Floats, sent: Floats) -> tuple[_Plan, Floats]:
    """What factories would do were there no cap; and what they would take were there no law."""
    world, stock = view.world, view.state.stock
    factories = world.kind("manufacturing")
    recipe = world.factory_recipe
    held = take_rows(stock, factories)
    with np.errstate(divide="ignore", invalid="ignore"):
        scarcest = np.where(recipe > 0, held[:, MASS] / recipe, np.inf).min(axis=1)
    most = np.minimum(limit[factories], np.maximum(0.0, scarcest))
    edges = world.stage("manufacturing", "use")
    missing = np.maximum(0.0, view.state.backlog + view.demand - _coming_to_use(world, sent))
    missing = np.minimum(missing, view.capacity)
    by_node = _spread(view, most)
    pulled = missing[edges.target] * sibling_shares(
        edges.target, world.nodes, by_node[edges.source]
    )
    desired = np.bincount(edges.place, pulled, len(factories)) / MANUFACTURING_YIELD
    wished = np.minimum(most, desired)
    level = world.law.recycled_content[view.tick][world.factory_scenario]
    vouched = np.where(level > 0, held[:, SECONDARY] / np.where(level > 0, level, 1.0), np.inf)
    taken = np.minimum(wished, vouched)
    mines, back = (world.stage(kind, "manufacturing") for kind in ("extraction", "recycling"))
    coming = back.by_target(take_rows(sent[:, MASS], back.edges))
    cover = (cover_ticks * world.nominal)[factories, None] * recipe
    order = np.maximum(0.0, cover - (held[:, MASS] - taken[:, None] * recipe) - coming[factories])
    order = np.where(view.capacity[factories, None] > 0, order, 0.0) * view.available[factories]
    wanted = np.zeros((world.nodes, recipe.shape[1]), order="F")
    wanted.T[:, factories] = order.T
    from_mine = sibling_shares(mines.target, world.nodes, limit[mines.source])
    ordered = take_rows(wanted, mines.target) * from_mine[:, None]
    asked = mines.by_source(ordered.sum(axis=1))
    granted = np.minimum(1.0, limit / np.where(asked > 0, asked, 1.0))
    return _Plan(pulled, taken, ordered * granted[mines.source][:, None]), wished


def _coming_to_use(world: World, sent: Floats) -> Floats:
    """Used products that were sent to every node this tick, kg, [n]."""
    reused, remade = (world.stage(kind, "use") for kind in ("collection", "remanufacturing"))
    coming = reused.by_target(take_rows(sent[:, MASS], reused.edges).sum(axis=1))
    coming += remade.by_target(take_rows(sent[:, MASS], remade.edges).sum(axis=1))
    return coming


def _make(view: View, plan: _Plan, slower: Floats, sent: Floats) -> tuple[Floats, Floats]:
    """Turn material into products on their way to use; returns (made kg [f], residue [n, m])."""
    world, stock = view.world, view.state.stock
    factories = world.kind("manufacturing")
    recipe = world.factory_recipe
    taken = plan.taken * slower[factories]
    held = take_rows(stock, factories)
    total = held[:, MASS].sum(axis=1)
    share = taken / np.where(total > 0, total, 1.0)
    level = world.law.recycled_content[view.tick][world.factory_scenario]
    secondary = np.minimum(
        held[:, SECONDARY], np.maximum(level * taken, share * held[:, SECONDARY])
    )
    rows = np.zeros((len(factories), stock.shape[1]), order="F")
    rows[:, MASS] = np.minimum(taken[:, None] * recipe, held[:, MASS])
    rows[:, QUALITY] = share * held[:, QUALITY]
    rows[:, SECONDARY] = secondary
    stock.T[:, factories] = (held - rows).T
    residue = np.zeros((world.nodes, recipe.shape[1]), order="F")
    residue.T[:, factories] = (rows[:, MASS] * (1.0 - MANUFACTURING_YIELD)).T
    rows *= MANUFACTURING_YIELD
    edges = world.stage("manufacturing", "use")
    part = sibling_shares(edges.source, world.nodes, plan.pulled)
    parts = np.take(rows.T, edges.place, axis=1)
    parts *= part
    sent.T[:, edges.edges] = parts
    return rows[:, MASS].sum(axis=1), residue
