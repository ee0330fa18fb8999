"""The ledgers of energy, carbon and money of one tick; none of them is ever added to another."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from scenarios.world.values import (
    ENERGY_USD_PER_MJ,
    HAUL_CARBON_PER_KG_KM,
    HAUL_MJ_PER_KG_KM,
    HAUL_USD_PER_KG_KM,
    LANDFILL_USD_PER_KG,
    MATERIAL_USD_PER_KG,
    NEW_PRODUCT_MARGIN,
    handling_usd,
    sales_usd,
)

if TYPE_CHECKING:
    from scenarios.world.graph import Floats
    from scenarios.world.state import Flows
    from scenarios.world.view import View


def book_tick(view: View, flows: Flows, violations: Floats, constrained: Floats) -> Flows:
    """The flows of a tick with their ledgers."""
    world = view.world
    kg_km = np.add.reduceat(flows.sent.sum(axis=1) * world.distance, world.first_edge[:-1])
    process_mj = world.sum_nodes(flows.throughput * world.energy)
    process_carbon = world.sum_nodes(flows.throughput * world.carbon)
    carbon = process_carbon + HAUL_CARBON_PER_KG_KM * kg_km
    return replace(
        flows,
        energy_mj=process_mj + HAUL_MJ_PER_KG_KM * kg_km,
        carbon_kg=carbon,
        money_usd=_money(view, flows, process_mj, kg_km, carbon),
        violations=violations,
        constrained=constrained,
    )


def _money(view: View, flows: Flows, process_mj: Floats, kg_km: Floats, carbon: Floats) -> Floats:
    """By MONEY: sales, virgin, processing, transport, landfill, taxes; USD, [b, 6]."""
    world = view.world
    batch = len(world.scenarios)
    rows = np.arange(len(flows.items))
    quality = flows.quality
    sold = sales_usd(view.product, quality)[rows, flows.executed]
    handled = handling_usd(view.product, quality)[rows, flows.executed]
    landfilled = world.sum_nodes(flows.disposed.sum(axis=1))
    law, tick = world.law, view.tick
    taxes = (
        law.carbon_tax[tick] * carbon
        + law.virgin_tax[tick] * flows.virgin_kg
        + law.landfill_tax[tick] * landfilled
    )
    return np.stack(
        [
            np.bincount(view.scenario, sold, batch)
            + NEW_PRODUCT_MARGIN * flows.made_kg * world.price_per_kg,
            -world.sum_nodes(flows.extracted @ MATERIAL_USD_PER_KG),
            -ENERGY_USD_PER_MJ * process_mj - np.bincount(view.scenario, handled, batch),
            -HAUL_USD_PER_KG_KM * kg_km,
            -LANDFILL_USD_PER_KG * landfilled,
            -taxes,
        ],
        axis=1,
    )
