"""The material network of a scenario over one period: what its plans may be."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edge_runtime.planner.network import Network
from scenarios.assumption import Assumption
from scenarios.world.arrays import recipe_of
from scenarios.world.graph import (
    DISASSEMBLY_YIELD,
    MANUFACTURING_YIELD,
    RECYCLING_YIELD,
    REMANUFACTURING_YIELD,
)
from scenarios.world.products import MASS_KG, PRICE_USD, PRODUCT_INDEX
from scenarios.world.values import (
    ENERGY_USD_PER_MJ,
    HAUL_CARBON_PER_KG_KM,
    HAUL_USD_PER_KG_KM,
    LANDFILL_USD_PER_KG,
    MATERIAL_USD_PER_KG,
    QUALITY_LOSS,
    RECYCLING_USD_PER_KG,
    REMANUFACTURING_SHARE,
    REMANUFACTURING_USD,
    TEST_USD,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from scenarios.world.schema import Scenario

    Floats = NDArray[np.float64]
    Integers = NDArray[np.int64]

PERIOD_TICKS = 168  # a week of hours
PROCESS_EFFICIENCY = Assumption(
    0.8, "1", "useful over supplied energy; motors and furnaces of the trade reach 0.6 to 0.9"
)
STORE_TICKS = Assumption(
    96.0,
    "ticks",
    "stores hold four days of a process at full capacity; the stock in use is no store",
)
OVERTIME = Assumption(
    1.5,
    "1",
    "energy that can be supplied over what full capacity draws: what has waited is made up",
)
RETURNED_QUALITY = Assumption(
    0.85, "1", "best mean quality of a week's returns at a collector: sound items mixed with worn"
)
# What of its inflow a process may lose over the border; products in use may all be landfilled.
_LOSS = {
    "extraction": 0.0,
    "manufacturing": 1.0 - MANUFACTURING_YIELD,
    "use": 1.0,
    "collection": 0.0,
    "disassembly": 1.0 - DISASSEMBLY_YIELD,
    "remanufacturing": 1.0 - REMANUFACTURING_YIELD,
    "recycling": 1.0 - float(RECYCLING_YIELD.min()),
}
_REWORKED = ("remanufacturing", "recycling")


def network_of(scenario: Scenario, period_ticks: int = PERIOD_TICKS) -> Network:
    """The constraints and prices of a scenario's plans over one period.

    The law and the misfortunes of the scenario are left out: a plan is made for the network as it
    is built; a tax is a question to ask of it.

    Args:
        scenario: any.
        period_ticks: length of the period, >= 1.
    """
    kinds = [node.kind for node in scenario.nodes]
    capacity = np.array([node.capacity_kg for node in scenario.nodes]) * period_ticks
    energy = np.array([node.energy_mj_per_kg for node in scenario.nodes])
    carbon = np.array([node.carbon_kg_per_kg for node in scenario.nodes])
    sources = np.array([scenario.index[edge.source] for edge in scenario.edges], np.int64)
    targets = np.array([scenario.index[edge.target] for edge in scenario.edges], np.int64)
    distance = np.array([edge.distance_km for edge in scenario.edges])
    is_use = np.array([kind == "use" for kind in kinds])
    is_mine = np.array([kind == "extraction" for kind in kinds])
    store = np.where(is_use, capacity, capacity / period_ticks * STORE_TICKS)
    virgin_usd = float(recipe_of(scenario) @ MATERIAL_USD_PER_KG)
    reworked = np.array([kind in _REWORKED for kind in kinds])
    fresh = np.array([kind in ("extraction", "manufacturing", "use") for kind in kinds])
    return Network(
        nodes=tuple(node.id for node in scenario.nodes),
        sources=sources,
        targets=targets,
        flow_max=np.minimum(capacity[sources], capacity[targets]),
        storage_min=-store,
        storage_max=store,
        exchange_min=-np.array([_LOSS[kind] for kind in kinds]) * capacity,
        exchange_max=np.where(is_mine, capacity, 0.0),
        energy_per_kg=energy * PROCESS_EFFICIENCY,
        energy_efficiency=np.full(len(kinds), float(PROCESS_EFFICIENCY)),
        energy_max=OVERTIME * energy * capacity,
        quality_previous=np.where(fresh, 1.0, RETURNED_QUALITY),
        quality_loss=np.where(reworked, QUALITY_LOSS, 0.0),
        cost_per_kg=distance * HAUL_USD_PER_KG_KM
        + (ENERGY_USD_PER_MJ * energy)[targets]
        + _handling_usd_per_kg(scenario, sources, targets),
        co2_per_kg=distance * HAUL_CARBON_PER_KG_KM + carbon[targets],
        exchange_cost_per_kg=np.where(
            is_mine, virgin_usd + ENERGY_USD_PER_MJ * energy, LANDFILL_USD_PER_KG
        ),
        exchange_co2_per_kg=np.where(is_mine, carbon, 0.0),
    )


def _handling_usd_per_kg(scenario: Scenario, sources: Integers, targets: Integers) -> Floats:
    """What the bench costs per kg of a haul: test before reuse, repair, shredding."""
    products = scenario.returns.products
    index = [PRODUCT_INDEX[product.unu_key] for product in products]
    share = np.array([product.share for product in products])
    mass, price = float(share @ MASS_KG[index]), float(share @ PRICE_USD[index])
    repair = REMANUFACTURING_USD + REMANUFACTURING_SHARE * price * (1.0 - RETURNED_QUALITY)
    by_target = {"remanufacturing": repair / mass, "recycling": RECYCLING_USD_PER_KG}
    kinds = [node.kind for node in scenario.nodes]
    handling: Floats = np.array(
        [
            TEST_USD / mass
            if (kinds[source], kinds[target]) == ("collection", "use")
            else by_target.get(kinds[target], 0.0)
            for source, target in zip(sources.tolist(), targets.tolist(), strict=True)
        ]
    )
    return handling
