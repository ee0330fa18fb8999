"""The photovoltaic network of PV_ICE's baselines over one period: makers, fields, and the way back.

Yields, embodied energies and masses are PV_ICE's for the year; prices and distances are the
project's assumptions (scenarios/pv_assumptions.py) and those below.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edge_runtime.planner.network import Network
from scenarios import pv_assumptions as assumed
from scenarios.assumption import Assumption
from scenarios.pv_data import load_baseline
from scenarios.pv_returns import M2_PER_MW, return_table

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

PERIOD_HOURS = 730.0  # a month
MODULES_PER_PERIOD = Assumption(
    240.0, "1", "modules that come back to one market in a month, a lorry or two"
)
REGION_SHARES = (0.5, 0.3, 0.2)  # of deliveries and returns
KG_CO2_PER_MJ = Assumption(0.08, "kg/MJ", "a power mix of gas, renewables and coal")
# Two plants for each step: the second is cheaper to run and dirtier.
PLANT_COST, PLANT_CO2 = (1.15, 0.85), (0.7, 1.3)
KM = {"supply": 900.0, "delivery": 600.0, "collection": 120.0, "return": 350.0}
FREIGHT_KG_CO2_PER_KG_KM = Assumption(0.0001, "kg/(kg km)", "0.1 kg per tonne and km by lorry")
VIRGIN_USD_PER_KG = Assumption(1.1, "USD/kg", "glass, aluminium, silicon and silver of a module")
PROCESS_EFFICIENCY = Assumption(0.8, "1", "useful over supplied energy, as of other processes")
HEADROOM = Assumption(3.0, "1", "capacity over a usual period, so that one plant can do for two")

NODES = (
    "materials",
    *("plant-0", "plant-1"),
    *("field-0", "field-1", "field-2"),
    *("hub-0", "hub-1"),
    "resale",
    "remanufacture",
    *("recycler-0", "recycler-1"),
)
KINDS = tuple(node.split("-")[0] for node in NODES)
_LINKS = (
    ("materials", "plant", "supply"),
    ("plant", "field", "delivery"),
    ("field", "hub", "collection"),
    ("hub", "resale", "return"),
    ("hub", "remanufacture", "return"),
    ("hub", "recycler", "return"),
    ("resale", "field", "return"),
    ("remanufacture", "field", "return"),
    ("resale", "recycler", "return"),
    ("remanufacture", "recycler", "return"),
    ("recycler", "plant", "return"),
)
EDGES = tuple(
    (source, target, KM[haul])
    for first, second, haul in _LINKS
    for source in NODES
    if source.startswith(first)
    for target in NODES
    if target.startswith(second)
)


def edge(source: str, target: str) -> int:
    """Number of the edge between two nodes."""
    return next(n for n, (a, b, _) in enumerate(EDGES) if (a, b) == (source, target))


def returned_kg() -> float:
    """A usual mass of a period's returns."""
    return float(MODULES_PER_PERIOD) * float(assumed.AREA_M2.median) * 11.0  # kg per m2


def delivered_per_returned(year: int) -> float:
    """Mass of modules delivered per mass that comes back in a year, by the baselines; 1 to 10.

    More is cut: the way back would be lost beside it.
    """
    data = load_baseline()
    row = int(data.row(np.array([year]))[0])
    made = data.installed_mw[row] * M2_PER_MW / data.efficiency[row] / assumed.AREA_M2.median
    return float(np.clip(made / return_table().modules[row].sum(), 1.0, 10.0))


def pv_network(year: int) -> Network:
    """The network of a year of the baselines.

    Args:
        year: 2025..2050.

    Raises:
        ScenarioError: the baselines do not cover the year.
        MissingToolError: PV_ICE is not installed.
    """
    index = {node: number for number, node in enumerate(NODES)}
    sources = np.array([index[a] for a, _, _ in EDGES], np.int64)
    targets = np.array([index[b] for _, b, _ in EDGES], np.int64)
    distance = np.array([km for _, _, km in EDGES])
    back = returned_kg()
    new = back * delivered_per_returned(year)
    kinds = np.array(KINDS)
    capacity = np.where(np.isin(kinds, ("materials", "plant", "field")), new, back) * HEADROOM
    energy_mj, usd = _process(year)
    loss = {"plant": 0.3, "hub": 1.0, "recycler": 0.6}
    is_source = kinds == "materials"
    co2 = energy_mj * KG_CO2_PER_MJ * _variant(PLANT_CO2)
    return Network(
        nodes=NODES,
        sources=sources,
        targets=targets,
        flow_max=np.minimum(capacity[sources], capacity[targets]),
        storage_min=np.where(kinds == "field", -capacity, -0.2 * capacity),
        storage_max=np.where(kinds == "field", capacity, 0.2 * capacity),
        exchange_min=-np.array([loss.get(kind, 0.0) for kind in KINDS]) * capacity,
        exchange_max=np.where(is_source, capacity, 0.0),
        energy_per_kg=energy_mj * PROCESS_EFFICIENCY,
        energy_efficiency=np.full(len(NODES), float(PROCESS_EFFICIENCY)),
        energy_max=energy_mj * capacity,
        quality_previous=np.where(np.isin(kinds, ("materials", "plant", "field")), 1.0, 0.95),
        quality_loss=np.where(np.isin(kinds, ("remanufacture", "recycler")), 0.05, 0.0),
        cost_per_kg=distance * assumed.FREIGHT_USD_PER_KG_KM + usd[targets],
        co2_per_kg=distance * FREIGHT_KG_CO2_PER_KG_KM + co2[targets],
        exchange_cost_per_kg=np.where(
            is_source, float(VIRGIN_USD_PER_KG), assumed.LANDFILL_USD_PER_KG.median
        ),
        exchange_co2_per_kg=np.where(is_source, _extraction_mj(year) * KG_CO2_PER_MJ, 0.0),
    )


def _variant(factors: tuple[float, float]) -> Floats:
    """The factor of each node: of the first and of the second of a pair."""
    place = [node.rpartition("-")[2] if node[-1].isdigit() else "" for node in NODES]
    paired = [kind in ("plant", "recycler") for kind in KINDS]
    return np.array(
        [factors[int(n)] if pair else 1.0 for n, pair in zip(place, paired, strict=True)]
    )


def _process(year: int) -> tuple[Floats, Floats]:
    """MJ and US dollars per kg that enters each node."""
    data = load_baseline()
    row = data.row(np.array([year]))[0]
    kg_per_m2 = float(data.mass_kg_per_m2[row].sum())
    share = data.mass_kg_per_m2[row] / kg_per_m2
    make = (
        float(share @ data.manufacture_j_per_kg[row])
        + float(data.module_manufacture_j_per_m2[row]) / kg_per_m2
    )
    mega = 1e-6
    energy = {
        "plant": make * mega,
        "resale": float(data.certify_j_per_m2[row]) / kg_per_m2 * mega,
        "remanufacture": float(data.disassembly_j_per_m2[row]) / kg_per_m2 * mega
        + float(share @ data.clean_j_per_kg[row]) * mega,
        "recycler": float(data.crush_j_per_m2[row]) / kg_per_m2 * mega
        + float(share @ data.recycle_j_per_kg[row]) * mega,
    }
    module_kg = kg_per_m2 * float(assumed.AREA_M2.median)
    usd = {
        "plant": 1.2,
        "resale": assumed.RESALE_TEST_USD / module_kg,
        "remanufacture": (assumed.REPAIR_BASE_USD + 0.3 * assumed.REPAIR_GLASS_USD) / module_kg,
        "recycler": assumed.RECYCLING_USD_PER_KG.median,
    }
    mj = np.array([energy.get(kind, 0.0) for kind in KINDS])
    price = np.array([usd.get(kind, 0.0) for kind in KINDS]) * _variant(PLANT_COST)
    return mj, price


def _extraction_mj(year: int) -> float:
    data = load_baseline()
    row = data.row(np.array([year]))[0]
    share = data.mass_kg_per_m2[row] / data.mass_kg_per_m2[row].sum()
    return float(share @ data.extraction_j_per_kg[row]) * 1e-6
