"""Product classes: lifetimes by UNU key, bills of materials, prices.

Lifetimes are Weibull with the shape and scale of Baldé et al., E-waste Statistics: Guidelines on
Classification, Reporting and Indicators (UNU-IAS 2015), by UNU key. Bills of materials and prices
are assumptions of the right order of magnitude, declared rather than measured: they count the
five tracked materials alone (no glass, no concrete) and fix what the world is.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from math import gamma

import numpy as np

MATERIALS = ("aluminium", "steel", "copper", "plastics", "rare_earths")
HOURS_PER_YEAR = 8766.0


class Disposition(IntEnum):
    """What becomes of a returned item."""

    REUSE = 0
    REMANUFACTURE = 1
    RECYCLE = 2
    DISPOSE = 3


class MaterialState(IntEnum):
    """Where the mass of an item is in its life."""

    VIRGIN = 0
    IN_USE = 1
    RETURNED = 2
    REMANUFACTURED = 3
    RECYCLED = 4
    DISPOSED = 5


# TRANSITIONS[a, b]: an item may go from a to b. A disposed item goes nowhere.
TRANSITIONS = np.zeros((len(MaterialState), len(MaterialState)), bool)
for _before, _after in (
    (MaterialState.VIRGIN, MaterialState.IN_USE),
    (MaterialState.IN_USE, MaterialState.RETURNED),
    (MaterialState.RETURNED, MaterialState.IN_USE),
    (MaterialState.RETURNED, MaterialState.REMANUFACTURED),
    (MaterialState.RETURNED, MaterialState.RECYCLED),
    (MaterialState.RETURNED, MaterialState.DISPOSED),
    (MaterialState.REMANUFACTURED, MaterialState.IN_USE),
    (MaterialState.RECYCLED, MaterialState.IN_USE),
):
    TRANSITIONS[_before, _after] = True
TRANSITIONS.setflags(write=False)


@dataclass(frozen=True)
class Product:
    """One product class.

    Args:
        unu_key: its key in the classification of the United Nations University.
        name: in words.
        shape: of its Weibull lifetime.
        scale_years: of its Weibull lifetime.
        bill_kg: mass of each of MATERIALS in one unit, kg.
        price_usd: of a new unit, US dollars.
    """

    unu_key: str
    name: str
    shape: float
    scale_years: float
    bill_kg: tuple[float, float, float, float, float]
    price_usd: float

    @property
    def mass_kg(self) -> float:
        """Tracked mass of one unit."""
        return sum(self.bill_kg)

    @property
    def mean_life_hours(self) -> float:
        """Mean of the lifetime."""
        return self.scale_years * gamma(1.0 + 1.0 / self.shape) * HOURS_PER_YEAR


PRODUCTS: tuple[Product, ...] = (
    Product("0104", "washing machine", 2.2, 13.6, (2.5, 32.0, 1.5, 10.0, 0.05), 480.0),
    Product("0114", "microwave oven", 2.07, 17.99, (0.6, 8.0, 1.1, 1.8, 0.005), 110.0),
    Product("0302", "desktop computer", 1.58, 8.95, (0.5, 5.5, 0.6, 1.4, 0.015), 620.0),
    Product("0303", "laptop", 1.6, 6.57, (0.55, 0.35, 0.2, 0.75, 0.008), 850.0),
    Product("0306", "mobile phone", 1.56, 6.26, (0.025, 0.015, 0.015, 0.055, 0.0006), 400.0),
    Product("0309", "flat monitor", 2.5, 7.5, (0.5, 2.4, 0.2, 1.6, 0.004), 190.0),
    Product("0408", "flat television", 2.01, 11.75, (1.0, 5.5, 0.5, 4.0, 0.01), 430.0),
    Product("0601", "household power tool", 2.0, 6.6, (0.3, 0.8, 0.4, 0.7, 0.012), 95.0),
)
PRODUCT_INDEX = {product.unu_key: index for index, product in enumerate(PRODUCTS)}

SHAPE = np.array([p.shape for p in PRODUCTS])
SCALE_HOURS = np.array([p.scale_years for p in PRODUCTS]) * HOURS_PER_YEAR
MEAN_LIFE_HOURS = np.array([p.mean_life_hours for p in PRODUCTS])
BILL_KG = np.array([p.bill_kg for p in PRODUCTS])
MASS_KG = BILL_KG.sum(axis=1)
PRICE_USD = np.array([p.price_usd for p in PRODUCTS])
