"""What becomes of a returned module under each disposition: mass, energy and money.

Outcomes are expected values: a module that is tested for resale passes with some probability, and
both branches count with their share. Every kilogram of the module ends in exactly one fate.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING

import numpy as np

from scenarios import pv_assumptions as assumed
from scenarios.pv_data import MATERIALS, load_baseline

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from scenarios.assumption import Assumption
    from scenarios.pv_data import Floats
    from scenarios.pv_returns import ReturnedModules

DISPOSITIONS = ("reuse", "remanufacture", "recycle", "dispose")
FATES = ("kept", "recovered", "lost")


class Disposition(IntEnum):
    """Index into DISPOSITIONS."""

    REUSE = 0
    REMANUFACTURE = 1
    RECYCLE = 2
    DISPOSE = 3


@dataclass(frozen=True, eq=False)
class Outcomes:
    """What became of n modules.

    Args:
        mass_kg: mass by fate (kept in use, recovered as material, lost), [n, 3].
        energy_j: energy saved less energy spent, J, [n].
        value_usd: revenue less cost, USD, [n].
    """

    mass_kg: Floats
    energy_j: Floats
    value_usd: Floats

    @property
    def objective(self) -> Floats:
        """What a decision is judged by: money plus what the saved energy is worth, USD, [n]."""
        return self.value_usd + assumed.ENERGY_USD_PER_J * self.energy_j

    def __add__(self, other: Outcomes) -> Outcomes:
        return Outcomes(
            self.mass_kg + other.mass_kg,
            self.energy_j + other.energy_j,
            self.value_usd + other.value_usd,
        )

    def weighted(self, share: Floats) -> Outcomes:
        """The same for a share, 0..1, of each module."""
        return Outcomes(
            self.mass_kg * share[:, None], self.energy_j * share, self.value_usd * share
        )


def all_outcomes(returns: ReturnedModules) -> tuple[Outcomes, Outcomes, Outcomes, Outcomes]:
    """The outcomes of each disposition for every module, in the order of DISPOSITIONS."""
    recycled = recycle(returns, returns.materials_kg)
    disposed = dispose(returns, returns.materials_kg)
    return (
        reuse(returns, recycled, disposed),
        remanufacture(returns, recycled, disposed),
        recycled + freight(returns, returns.freight_km),
        disposed + freight(returns, np.full(len(returns), float(assumed.LANDFILL_KM))),
    )


def recycle(returns: ReturnedModules, materials_kg: Floats) -> Outcomes:
    """Crush, separate and sell, without freight; what is not recovered is landfilled.

    Args:
        returns: the modules, n of them.
        materials_kg: how much of each of their materials is recycled, [n, 7].
    """
    data = load_baseline()
    row = data.row(returns.return_year)
    target = np.maximum(data.recycling_target[row], _by_material(assumed.RECOVERED_METALS))
    tried_kg = materials_kg * target
    recovered_kg = tried_kg * data.recycling_yield[row]
    glass = MATERIALS.index("glass")
    recovered_kg[:, glass] *= 1.0 - assumed.GLASS_CONTAMINATION * returns.glass_damage
    replacing_kg = recovered_kg * data.high_quality_share[row]
    module_share = materials_kg.sum(axis=1) / returns.mass_kg
    # Recovered material saves its extraction; where it replaces new material, its making as well.
    energy_j = (
        (recovered_kg * data.extraction_j_per_kg[row]).sum(axis=1)
        + (replacing_kg * data.manufacture_j_per_kg[row]).sum(axis=1)
        - (replacing_kg * data.purify_j_per_kg[row]).sum(axis=1)
        - (tried_kg * data.recycle_j_per_kg[row]).sum(axis=1)
        - data.crush_j_per_m2[row] * returns.area_m2 * module_share
    )
    price = _by_material(assumed.MATERIAL_USD_PER_KG)
    sales = returns.metal_price_factor * (recovered_kg * price).sum(axis=1)
    charge = returns.recycling_usd_per_kg * materials_kg.sum(axis=1)
    recovered = recovered_kg.sum(axis=1)
    mass = np.stack([np.zeros(len(returns)), recovered, np.zeros(len(returns))], axis=1)
    return Outcomes(mass, energy_j, sales - charge) + dispose(returns, materials_kg - recovered_kg)


def dispose(returns: ReturnedModules, materials_kg: Floats) -> Outcomes:
    """Landfill, without freight; arguments as for `recycle`."""
    data = load_baseline()
    lost = materials_kg.sum(axis=1)
    per_kg = data.landfill_j_per_kg[data.row(returns.return_year)]
    return Outcomes(
        np.stack([np.zeros(len(returns)), np.zeros(len(returns)), lost], axis=1),
        -(materials_kg * per_kg).sum(axis=1),
        -returns.landfill_usd_per_kg * lost,
    )


def reuse(returns: ReturnedModules, recycled: Outcomes, disposed: Outcomes) -> Outcomes:
    """Test and sell as it is; what nobody buys goes the way of PV_ICE's failed modules."""
    data = load_baseline()
    row = data.row(returns.return_year)
    saleable = saleable_share(returns)
    power_w = returns.nameplate_w * returns.power_share
    sold = _sold(returns, power_w, residual_years(returns), assumed.SECOND_HAND_DISCOUNT)
    landfilled = data.failed_landfill_share[row]
    rest = recycled.weighted(1.0 - landfilled) + disposed.weighted(landfilled)
    test = _spent(
        returns,
        energy_j=data.certify_j_per_m2[row] * returns.area_m2,
        usd=np.full(len(returns), float(assumed.RESALE_TEST_USD)),
    )
    return (
        _kept(returns.materials_kg).weighted(saleable)
        + sold.weighted(saleable)
        + rest.weighted(1.0 - saleable)
        + test
        + freight(returns, returns.freight_km)
    )


def remanufacture(returns: ReturnedModules, recycled: Outcomes, disposed: Outcomes) -> Outcomes:
    """Open, replace what is damaged, and sell; what breaks on the way is recycled."""
    data = load_baseline()
    row = data.row(returns.return_year)
    success = (
        assumed.REMANUFACTURE_YIELD
        * (1.0 - assumed.REMANUFACTURE_GLASS_LOSS * returns.glass_damage)
        * (1.0 - assumed.REMANUFACTURE_CELL_LOSS * returns.cell_damage)
    )
    replaced_kg = returns.materials_kg * _replaced_share(returns)
    gained = assumed.REMANUFACTURE_POWER_GAIN * (1.0 - returns.power_share)
    power_w = returns.nameplate_w * (returns.power_share + gained)
    years = assumed.REMANUFACTURED_YEARS - assumed.REMANUFACTURED_CELL_YEARS * returns.cell_damage
    sold = _sold(returns, power_w, years, assumed.REMANUFACTURED_DISCOUNT)
    good = _kept(returns.materials_kg - replaced_kg) + recycle(returns, replaced_kg) + sold
    new_parts_j = replaced_kg * (data.extraction_j_per_kg[row] + data.manufacture_j_per_kg[row])
    work = _spent(
        returns,
        energy_j=data.disassembly_j_per_m2[row] * returns.area_m2
        + (returns.materials_kg * data.clean_j_per_kg[row]).sum(axis=1)
        + new_parts_j.sum(axis=1),
        usd=returns.repair_quote_usd,
    )
    to_recycler = data.scrap_recycled_share[row]
    bad = recycled.weighted(to_recycler) + disposed.weighted(1.0 - to_recycler)
    return (
        good.weighted(success)
        + bad.weighted(1.0 - success)
        + work
        + freight(returns, returns.freight_km)
    )


def saleable_share(returns: ReturnedModules) -> Floats:
    """Probability that a module passes the tests and finds a buyer as it is, [n], 0..1."""
    least, enough = assumed.SALEABLE_POWER_NONE, assumed.SALEABLE_POWER_ALL
    power = np.clip((returns.power_share - least) / (enough - least), 0.0, 1.0)
    saleable: Floats = (
        power
        * (1.0 - returns.glass_damage)
        * (1.0 - assumed.CELL_SALEABLE_LOSS * returns.cell_damage)
        * (1.0 - assumed.SEAL_SALEABLE_LOSS * returns.seal_damage)
        * np.where(returns.has_failed, float(assumed.FAILED_SALEABLE), 1.0)
    )
    return saleable


def residual_years(returns: ReturnedModules) -> Floats:
    """Median remaining life of a module of this age by its Weibull lifetime, years, [n]."""
    data = load_baseline()
    row = data.row(returns.made_year)
    shape, scale = data.weibull_shape[row], data.weibull_scale_years[row]
    half_gone = (returns.age_years / scale) ** shape + np.log(2.0)
    residual: Floats = scale * half_gone ** (1.0 / shape) - returns.age_years
    return residual


def new_module_j_per_w() -> Floats:
    """Energy of making a new module, J per watt of nameplate, by year of the baselines, [years]."""
    data = load_baseline()
    bought_kg = data.mass_kg_per_m2 / data.manufacture_yield
    materials_j = bought_kg * (data.extraction_j_per_kg + data.manufacture_j_per_kg)
    per_m2 = materials_j.sum(axis=1) + data.module_manufacture_j_per_m2
    per_w: Floats = per_m2 / (data.efficiency * 1e3)
    return per_w


def freight(returns: ReturnedModules, distance_km: Floats) -> Outcomes:
    """Cost and energy of moving the whole modules."""
    kg_km = returns.mass_kg * distance_km
    return _spent(
        returns,
        energy_j=assumed.FREIGHT_J_PER_KG_KM * kg_km,
        usd=assumed.FREIGHT_USD_PER_KG_KM * kg_km,
    )


def _sold(returns: ReturnedModules, power_w: Floats, years: Floats, discount: float) -> Outcomes:
    """A second life: it earns, and saves, the share of a new module that it replaces."""
    data = load_baseline()
    row = data.row(returns.return_year)
    new_years = data.weibull_scale_years[row] * np.log(2.0) ** (1.0 / data.weibull_shape[row])
    replaced_w = power_w * np.minimum(1.0, years / new_years)
    return Outcomes(
        np.zeros((len(returns), len(FATES))),
        replaced_w * new_module_j_per_w()[row],
        replaced_w * returns.module_price_usd_per_w * discount,
    )


def _kept(materials_kg: Floats) -> Outcomes:
    zero = np.zeros(len(materials_kg))
    return Outcomes(np.stack([materials_kg.sum(axis=1), zero, zero], axis=1), zero, zero)


def _spent(returns: ReturnedModules, *, energy_j: Floats, usd: Floats) -> Outcomes:
    return Outcomes(np.zeros((len(returns), len(FATES))), -energy_j, -usd)


def _replaced_share(returns: ReturnedModules) -> Floats:
    """Share of each material that remanufacture replaces, [n, 7]."""
    share = np.zeros_like(returns.materials_kg)
    share[:, MATERIALS.index("glass")] = returns.glass_damage
    share[:, MATERIALS.index("encapsulant")] = returns.seal_damage
    share[:, MATERIALS.index("backsheet")] = returns.seal_damage
    return share


def _by_material(values: dict[str, Assumption]) -> NDArray[np.float64]:
    return np.array([float(values.get(material, 0.0)) for material in MATERIALS])
