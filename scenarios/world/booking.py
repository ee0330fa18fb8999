"""The ledgers of energy, carbon and money of one tick; none of them is ever added to another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from scenarios.world.graph import sum_by
from scenarios.world.products import Disposition
from scenarios.world.state import MASS, Flows
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
    from scenarios.world.graph import Floats, Integers
    from scenarios.world.state import Tick
    from scenarios.world.view import Opening, View


def book_tick(
    opening: Opening,
    tick: Tick,
    decided: tuple[Integers, Integers],
    made_kg: Floats,
    legal: tuple[Floats, Floats],
) -> Flows:
    """The flows of a tick with their ledgers.

    Args:
        opening: what was decided on.
        tick: what moved.
        decided: dispositions that were wished, and those that were executed, int64 [k].
        made_kg: new products, [b].
        legal: violations, and decisions that some law was about, [b].
    """
    view = opening.view
    world, hauls, line, users = view.world, view.world.hauls, view.world.line, view.world.users
    road, returned_kg = tick.road, tick.road.returned[MASS].sum(axis=0)
    gate_kg = road.gate_kg()
    direct_kg = np.empty(hauls.direct.stop)
    mined, made = direct_kg[hauls.mines.span], direct_kg[hauls.makers.span]
    np.multiply(road.ordered_kg.take(hauls.mines.target_place), road.ordered_share, out=mined)
    np.multiply(road.made[0].take(hauls.makers.place), road.made_share, out=made)
    kg_km = np.zeros(line.batch)
    for scenario, load in (
        (hauls.scenario[hauls.direct], direct_kg * hauls.distance[hauls.direct]),
        (hauls.gate_scenario, gate_kg * hauls.gate_km),
        (view.scenario, returned_kg * hauls.distance[hauls.returning][road.door]),
    ):
        np.add.at(kg_km, scenario, load)
    process_mj = line.by_scenario(tick.processed * line.energy)
    carbon = tick.emitted + HAUL_CARBON_PER_KG_KM * kg_km
    virgin_kg = world.mines.by_scenario(tick.processed[world.mines.span])
    landfilled = line.by_scenario(tick.thrown_kg)
    use = _UseOfMoney(process_mj, kg_km, carbon, virgin_kg, landfilled, made_kg)
    return Flows(
        tick=view.tick,
        unloaded=view.state.road,
        loaded=road,
        direct_kg=direct_kg,
        returned_kg=returned_kg,
        gate_kg=gate_kg,
        thrown=tick.thrown,
        thrown_kg=tick.thrown_kg,
        processed=tick.processed,
        line=line,
        delivered=users.by_scenario(opening.delivered),
        wanted=users.by_scenario(opening.wanted),
        overdue=users.by_scenario(np.maximum(0.0, view.state.owed)),
        energy_mj=process_mj + HAUL_MJ_PER_KG_KM * kg_km,
        carbon_kg=carbon,
        money_usd=_money(view, tick, decided[1], use),
        virgin_kg=virgin_kg,
        disposed_kg=landfilled,
        made_kg=made_kg,
        items=view.now,
        quality=view.quality,
        wished=decided[0],
        executed=decided[1],
        violations=legal[0],
        constrained=legal[1],
    )


@dataclass(frozen=True, eq=False)
class _UseOfMoney:
    """What costs or earns money, per scenario, [b]."""

    process_mj: Floats
    kg_km: Floats
    carbon_kg: Floats
    virgin_kg: Floats
    landfilled_kg: Floats
    made_kg: Floats


def _money(view: View, flows: Tick, executed: Integers, use: _UseOfMoney) -> Floats:
    """By MONEY: sales, virgin, processing, transport, landfill, taxes; USD, [b, 6]."""
    world = view.world
    batch = len(world.scenarios)
    chosen = np.arange(len(executed)) * len(Disposition) + executed
    sold = sales_usd(view.product, view.quality).take(chosen)
    handled = handling_usd(view.product, view.quality).take(chosen)
    bought = MATERIAL_USD_PER_KG @ flows.mined
    law, tick = world.law, view.tick
    taxes = (
        law.carbon_tax[tick] * use.carbon_kg
        + law.virgin_tax[tick] * use.virgin_kg
        + law.landfill_tax[tick] * use.landfilled_kg
    )
    return np.stack(
        [
            sum_by(view.scenario, sold, batch)
            + NEW_PRODUCT_MARGIN * use.made_kg * world.price_per_kg,
            -world.makers.by_scenario(bought),
            -ENERGY_USD_PER_MJ * use.process_mj - sum_by(view.scenario, handled, batch),
            -HAUL_USD_PER_KG_KM * use.kg_km,
            -LANDFILL_USD_PER_KG * use.landfilled_kg,
            -taxes,
        ],
        axis=1,
    )
