"""What a controller sees of a returned module: sixteen numbers in [-1, 1]."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scenarios import pv_assumptions as assumed
from scenarios.feature import Feature, observe_all
from scenarios.pv_data import MATERIALS

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from scenarios.pv_returns import ReturnedModules

FEATURES: tuple[Feature[ReturnedModules], ...] = (
    Feature(
        "return_year",
        "year",
        assumed.FIRST_RETURN_YEAR,
        assumed.LAST_RETURN_YEAR,
        lambda r: r.return_year,
    ),
    Feature("age", "years", 0.0, 40.0, lambda r: r.age_years),
    Feature("has_failed", "1", 0.0, 1.0, lambda r: r.has_failed),
    Feature("power_share", "1", 0.5, 1.0, lambda r: r.power_share),
    Feature("glass_damage", "1", 0.0, 1.0, lambda r: r.glass_damage),
    Feature("cell_damage", "1", 0.0, 1.0, lambda r: r.cell_damage),
    Feature("seal_damage", "1", 0.0, 1.0, lambda r: r.seal_damage),
    Feature("nameplate_power", "W", 150.0, 500.0, lambda r: r.nameplate_w),
    Feature("mass", "kg", 15.0, 30.0, lambda r: r.mass_kg),
    Feature(
        "silver",
        "kg",
        0.003,
        0.15,
        lambda r: r.materials_kg[:, MATERIALS.index("silver")],
        is_logarithmic=True,
    ),
    Feature("repair_quote", "USD", 5.0, 50.0, lambda r: r.repair_quote_usd),
    Feature("freight", "km", 100.0, 1200.0, lambda r: r.freight_km, is_logarithmic=True),
    Feature("module_price", "USD/W", 0.1, 0.5, lambda r: r.module_price_usd_per_w),
    Feature("metal_price_factor", "1", 0.5, 1.85, lambda r: r.metal_price_factor),
    Feature(
        "landfill_fee", "USD/kg", 0.025, 0.5, lambda r: r.landfill_usd_per_kg, is_logarithmic=True
    ),
    Feature("recycling_charge", "USD/kg", 0.2, 1.0, lambda r: r.recycling_usd_per_kg),
)
OBSERVATION_SIZE = len(FEATURES)


def observe(returns: ReturnedModules) -> NDArray[np.float32]:
    """What a controller sees, float32 [n, OBSERVATION_SIZE], each value in [-1, 1]."""
    return observe_all(FEATURES, returns)
