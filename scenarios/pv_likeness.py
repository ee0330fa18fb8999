"""A returned item of a world as the photovoltaic module that is most like it.

A policy that was trained on modules then decides on phones and washing machines. Its decisions
hang on ratios (repair over price, charge over price, condition), so the item becomes a module of
middling size with the item's ratios. What an item has no counterpart of stands in the middle of
its range. Two factors were chosen on 30 worlds that no benchmark uses, by the decision quality of
the policy of `train policy` (seed 0): 0.97, against 0.85 with both at their plain values of 30
years and 1. How good a policy's decisions are is for a benchmark to say.

| of the module | from the item |
| --- | --- |
| year, area, nameplate power, mass, freight, metal prices | the middle of their range |
| age | 15 years times the age over the class's lifetime |
| has failed | its quality is too low to be sold as it is |
| power left | 0.5 + 0.5 × quality |
| glass, cell, seal damage | half of wear, electronics, corrosion: the quality holds them too |
| price per watt | the item's price, a thousandth, cut to what a module may cost |
| silver, repair quote | value of the material, cost of remanufacture: over the item's price |
| recycling charge, landfill fee | the item's, with today's tax, over its price and mass |
| landfill fee under a ban | the highest |
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from scenarios import pv_assumptions as assumed
from scenarios.pv_data import MATERIALS
from scenarios.pv_observation import FEATURES
from scenarios.pv_returns import ReturnedModules
from scenarios.world.products import MASS_KG, PRICE_USD
from scenarios.world.returns import DAMAGES
from scenarios.world.values import (
    LANDFILL_USD_PER_KG,
    RECOVERED_KG,
    RECOVERED_USD,
    RECYCLING_USD_PER_KG,
    SALEABLE_QUALITY,
    handling_usd,
)

if TYPE_CHECKING:
    from scenarios.world.observation import SeenItems

YEARS_PER_LIFETIME = 15.0
DAMAGE_SHARE = 0.5
USD_PER_WATT_OF_ITEM_USD = 1e-3
_REMANUFACTURE = 1
_RANGE = {feature.name: (feature.low, feature.high) for feature in FEATURES}


def like_modules(seen: SeenItems) -> ReturnedModules:
    """The modules that are most like these items, in their order."""
    count, price = len(seen), PRICE_USD[seen.product]

    def middle(name: str) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
        low, high = _RANGE[name]
        return np.full(count, 0.5 * (low + high))

    year = middle("return_year").astype(np.int64)
    nameplate, mass = middle("nameplate_power"), middle("mass")
    per_watt = np.clip(price * USD_PER_WATT_OF_ITEM_USD, *_RANGE["module_price"])
    # Dollars of a module per dollar of the item.
    scale = per_watt * nameplate / price
    worth = RECOVERED_USD[seen.product] + seen.virgin_tax * RECOVERED_KG[seen.product]
    silver_kg = scale * worth / float(assumed.MATERIAL_USD_PER_KG["silver"])
    materials = np.zeros((count, len(MATERIALS)))
    materials[:, MATERIALS.index("silver")] = silver_kg
    materials[:, MATERIALS.index("glass")] = np.maximum(0.0, mass - silver_kg)
    per_kg = scale * MASS_KG[seen.product] / mass
    age_years = seen.relative_age * YEARS_PER_LIFETIME
    damage = {name: DAMAGE_SHARE * seen.damage[:, column] for column, name in enumerate(DAMAGES)}
    return ReturnedModules(
        return_year=year,
        made_year=year - np.rint(age_years).astype(np.int64),
        age_years=age_years,
        has_failed=seen.quality < SALEABLE_QUALITY,
        area_m2=np.full(count, float(assumed.AREA_M2.median)),
        nameplate_w=nameplate,
        power_share=0.5 + 0.5 * seen.quality,
        glass_damage=damage["wear"],
        cell_damage=damage["electronics"],
        seal_damage=damage["corrosion"],
        materials_kg=materials,
        repair_quote_usd=scale * handling_usd(seen.product, seen.quality)[:, _REMANUFACTURE],
        freight_km=middle("freight"),
        module_price_usd_per_w=per_watt,
        metal_price_factor=np.ones(count),
        landfill_usd_per_kg=np.where(
            seen.landfill_banned,
            _RANGE["landfill_fee"][1],
            per_kg * (LANDFILL_USD_PER_KG + seen.landfill_tax),
        ),
        recycling_usd_per_kg=per_kg * RECYCLING_USD_PER_KG,
    )
