"""What a decision on an item is worth, and every price of the world.

All are assumptions, plausible and declared rather than measured, in US dollars of the year 2025.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from scenarios.world.graph import DISASSEMBLY_YIELD, RECYCLING_YIELD
from scenarios.world.products import BILL_KG, MASS_KG, PRICE_USD

if TYPE_CHECKING:
    from scenarios.world.graph import Floats, Integers

# USD per kg, in the order of MATERIALS: aluminium, steel, copper, plastics, rare earths.
MATERIAL_USD_PER_KG = np.array([2.4, 0.8, 9.0, 1.3, 60.0])
NEW_PRODUCT_MARGIN = 0.25  # of the price, what is left of it after what is not modelled
ENERGY_USD_PER_MJ = 0.03
HAUL_USD_PER_KG_KM = 0.0002  # part loads by lorry
HAUL_MJ_PER_KG_KM = 0.0015  # 1.5 MJ per tonne and km
HAUL_CARBON_PER_KG_KM = 0.0001  # 0.1 kg CO2e per tonne and km
LANDFILL_USD_PER_KG = 0.10
RECYCLING_USD_PER_KG = 0.25
TEST_USD = 5.0
REMANUFACTURING_USD = 25.0
REMANUFACTURING_SHARE = 0.40  # of the price, to mend an item of no quality at all
SECOND_HAND_SHARE = 0.55  # of the price, for an item of full quality
SALEABLE_QUALITY = 0.40  # below it nobody buys an item as it is
REMANUFACTURED_SHARE = 0.65
# An item loses this share of its quality in a remanufacture, material in a recycling.
QUALITY_LOSS = 0.05
# By product, from one unit that is recycled. A table, since the sum of a row then does not depend
# on how many rows there are beside it.
RECOVERED_KG = (BILL_KG * RECYCLING_YIELD * DISASSEMBLY_YIELD).sum(axis=1)
RECOVERED_USD = (BILL_KG * RECYCLING_YIELD * DISASSEMBLY_YIELD) @ MATERIAL_USD_PER_KG


def sales_usd(product: Integers, quality: Floats) -> Floats:
    """What buyers pay for an item by each disposition, USD, [k, 4]."""
    price = PRICE_USD.take(product)
    saleable = np.maximum(0.0, quality - SALEABLE_QUALITY) / (1.0 - SALEABLE_QUALITY)
    sales = np.zeros((len(product), 4))
    sales[:, 0] = price * SECOND_HAND_SHARE * saleable
    sales[:, 1] = price * REMANUFACTURED_SHARE * quality * (1.0 - QUALITY_LOSS)
    return sales


def handling_usd(product: Integers, quality: Floats) -> Floats:
    """What each disposition of an item costs at the bench, USD, [k, 4]; landfill is apart."""
    repair = REMANUFACTURING_SHARE * PRICE_USD.take(product) * (1.0 - quality)
    handling = np.zeros((len(product), 4))
    handling[:, 0] = TEST_USD
    handling[:, 1] = REMANUFACTURING_USD + repair
    handling[:, 2] = RECYCLING_USD_PER_KG * MASS_KG.take(product)
    return handling


def item_values(
    product: Integers,
    quality: Floats,
    landfill_tax: Floats | float = 0.0,
    virgin_tax: Floats | float = 0.0,
) -> Floats:
    """What each disposition of an item is worth, USD, [k, 4].

    Sales less handling, plus the virgin material (and the tax on it) that recycling saves, less
    the landfill's charge (and tax).

    Args:
        product: index into PRODUCTS, [k].
        quality: 0..1, [k].
        landfill_tax: USD per kg, now.
        virgin_tax: USD per kg, now.
    """
    value = sales_usd(product, quality) - handling_usd(product, quality)
    value[:, 2] += RECOVERED_USD[product] + virgin_tax * RECOVERED_KG[product]
    value[:, 3] -= (LANDFILL_USD_PER_KG + landfill_tax) * MASS_KG[product]
    return value
