"""Which modules come back in a year, how old they are, and in what condition."""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from scenarios import pv_assumptions as assumed
from scenarios.pv_data import load_baseline

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from scenarios.assumption import Assumption
    from scenarios.pv_data import Floats, Integers

# Every value is rounded to this, so that the same scenario is the same bytes on every machine.
DECIMALS = 6
M2_PER_MW = 1e3  # 1 MW of modules with efficiency 1 under 1 000 W/m2


@dataclass(frozen=True, eq=False)
class ReturnedModules:
    """Returned modules, n of them; every array has n rows.

    Args:
        return_year: year of the return, int64.
        made_year: year in which it was made, int64.
        age_years: time in the field.
        has_failed: true for a failure, false where the plant was retired; bool.
        area_m2: of the module.
        nameplate_w: power when new, W.
        power_share: power left, share of the nameplate, 0..1.
        glass_damage: 0 (intact) to 1 (shattered).
        cell_damage: share of cells that are cracked or burnt, 0..1.
        seal_damage: backsheet, encapsulant and junction box, 0 (sound) to 1 (open).
        materials_kg: mass of each of MATERIALS, [n, 7].
        repair_quote_usd: what the workshop asks for remanufacture.
        freight_km: to workshop, buyer or recycler.
        module_price_usd_per_w: of a new module that year.
        metal_price_factor: prices of recovered materials over the usual ones.
        landfill_usd_per_kg: fee.
        recycling_usd_per_kg: the recycler's charge.
    """

    return_year: Integers
    made_year: Integers
    age_years: Floats
    has_failed: NDArray[np.bool_]
    area_m2: Floats
    nameplate_w: Floats
    power_share: Floats
    glass_damage: Floats
    cell_damage: Floats
    seal_damage: Floats
    materials_kg: Floats
    repair_quote_usd: Floats
    freight_km: Floats
    module_price_usd_per_w: Floats
    metal_price_factor: Floats
    landfill_usd_per_kg: Floats
    recycling_usd_per_kg: Floats

    def __len__(self) -> int:
        return len(self.return_year)

    @property
    def mass_kg(self) -> Floats:
        """Mass of each module, [n]."""
        mass: Floats = self.materials_kg.sum(axis=1)
        return mass

    def __getitem__(self, rows: slice | NDArray[np.integer] | NDArray[np.bool_]) -> ReturnedModules:
        return ReturnedModules(**{f.name: getattr(self, f.name)[rows] for f in fields(self)})


def concatenate(parts: Sequence[ReturnedModules]) -> ReturnedModules:
    """The returns of several scenarios in one, in their order; at least one."""
    return ReturnedModules(
        **{
            field.name: np.concatenate([getattr(part, field.name) for part in parts])
            for field in fields(ReturnedModules)
        }
    )


@dataclass(frozen=True, eq=False)
class ReturnTable:
    """How many modules come back, by year of return, year of making and cause.

    Args:
        share: of the modules made in year c, how many come back in year r, [r, c, cause]; the
            causes are early loss, failure and retirement.
        modules: share times modules made, same shape.
    """

    EARLY, FAILED, RETIRED = range(3)

    share: Floats
    modules: Floats


@cache
def return_table() -> ReturnTable:
    """The table of all years of the baselines.

    A module is lost early (assumed), or fails at its Weibull age, or is retired in working order:
    with its plant at the end of the project's life (PV_ICE's good path), or before that when the
    plant is repowered (assumed).
    """
    data = load_baseline()
    age = (data.years[:, None] - data.years[None, :]).astype(np.float64)  # [return, made]
    alive, alive_after = _survival(age), _survival(age + 1.0)
    kept, kept_after = _unretired(age), _unretired(age + 1.0)
    early = _early_loss(age + 1.0) - np.where(age == 0.0, 0.0, _early_loss(age))
    late = 1.0 - assumed.EARLY_LOSS_SHARE[-1]
    failed = late * (alive - alive_after) * kept
    retired = late * alive_after * (kept - kept_after)
    share = np.stack([early, failed, retired], axis=2)
    share[age < 0.0] = 0.0
    made = data.installed_mw * M2_PER_MW / data.efficiency / assumed.AREA_M2.median
    return ReturnTable(share, share * made[None, :, None])


def _survival(age_years: Floats) -> Floats:
    """Share of the modules of each making year (columns) that have not failed at this age."""
    data = load_baseline()
    scaled = np.maximum(age_years, 0.0) / data.weibull_scale_years
    survival: Floats = np.exp(-(scaled**data.weibull_shape))
    return survival


def _unretired(age_years: Floats) -> Floats:
    """Share of the plants of each making year (columns) that are not retired at this age."""
    life = np.floor(load_baseline().project_life_years)
    first = np.minimum(assumed.FIRST_REPOWERING_YEARS, life - 1.0)
    progress = np.clip((age_years - first) / (life - first), 0.0, 1.0)
    kept: Floats = np.where(age_years <= life, 1.0 - assumed.REPOWERED_SHARE * progress, 0.0)
    return kept


def _early_loss(age_years: Floats) -> Floats:
    return np.interp(age_years, assumed.EARLY_LOSS_YEARS, assumed.EARLY_LOSS_SHARE)


def collected_modules(year: int) -> float:
    """How many modules the baseline collects in a year, of which a scenario is a sample."""
    row = load_baseline().row(np.array([year]))
    collected = return_table().modules[row].sum() * load_baseline().collected_share[row]
    return float(collected[0])


def sample_returns(random: np.random.Generator, year: int, count: int) -> ReturnedModules:
    """Modules that come back in one year to one market.

    Args:
        random: every draw comes from it, in a fixed order.
        year: of the return, within the baselines.
        count: how many, >= 1.

    Raises:
        ScenarioError: the baselines do not cover the year.
    """
    data = load_baseline()
    table = return_table().modules[data.row(np.array([year]))[0]]
    cell = random.choice(table.size, size=count, p=table.ravel() / table.sum())
    made, cause = np.unravel_index(cell, table.shape)
    is_retired = cause == ReturnTable.RETIRED
    age_years = year - data.years[made] + random.random(count)
    area_m2 = assumed.AREA_M2.sample(random, count)
    glass, cell_damage, seal = _damage(random, age_years / data.weibull_scale_years[made], cause)
    degradation = data.degradation_per_year[made] * assumed.DEGRADATION_FACTOR.sample(random, count)
    power_share = (1.0 - degradation) ** age_years * (1.0 - assumed.CELL_POWER_LOSS * cell_damage)
    repair_usd = (
        assumed.REPAIR_BASE_USD
        + assumed.REPAIR_GLASS_USD * glass
        + assumed.REPAIR_CELL_USD * cell_damage
        + assumed.REPAIR_SEAL_USD * seal
    ) * assumed.REPAIR_FACTOR.sample(random, count)
    price, metal, landfill, recycling = _market(random, year, count)
    numbers: dict[str, Floats] = {
        "age_years": age_years,
        "area_m2": area_m2,
        "nameplate_w": area_m2 * data.efficiency[made] * 1e3,
        "power_share": power_share,
        "glass_damage": glass,
        "cell_damage": cell_damage,
        "seal_damage": seal,
        "materials_kg": area_m2[:, None] * data.mass_kg_per_m2[made],
        "repair_quote_usd": repair_usd,
        "freight_km": assumed.FREIGHT_KM.sample(random, count),
        "module_price_usd_per_w": price,
        "metal_price_factor": metal,
        "landfill_usd_per_kg": landfill,
        "recycling_usd_per_kg": recycling,
    }
    return ReturnedModules(
        return_year=np.full(count, year, np.int64),
        made_year=data.years[made],
        has_failed=~is_retired,
        **{name: value.round(DECIMALS) for name, value in numbers.items()},
    )


def _damage(
    random: np.random.Generator, wear: Floats, cause: Integers
) -> tuple[Floats, Floats, Floats]:
    """Damage of glass, cells and seal: correlated normal deviates about trends, cut at 0 and 1."""
    common = random.standard_normal(len(wear))
    is_early, has_failed = cause == ReturnTable.EARLY, cause != ReturnTable.RETIRED

    def part(base: Assumption, by_age: Assumption, by_fault: Floats) -> Floats:
        own = random.standard_normal(len(wear))
        rho = assumed.DAMAGE_CORRELATION
        deviate = np.sqrt(rho) * common + np.sqrt(1.0 - rho) * own
        mean = base + by_age * wear + by_fault
        damage: Floats = np.clip(mean + assumed.DAMAGE_SPREAD * deviate, 0.0, 1.0)
        return damage

    glass_fault = (
        assumed.GLASS_DAMAGE_IF_FAILED * has_failed + assumed.GLASS_DAMAGE_IF_EARLY * is_early
    )
    return (
        part(assumed.GLASS_DAMAGE_BASE, assumed.GLASS_DAMAGE_BY_AGE, glass_fault),
        part(
            assumed.CELL_DAMAGE_BASE,
            assumed.CELL_DAMAGE_BY_AGE,
            assumed.CELL_DAMAGE_IF_FAILED * has_failed,
        ),
        part(
            assumed.SEAL_DAMAGE_BASE,
            assumed.SEAL_DAMAGE_BY_AGE,
            assumed.SEAL_DAMAGE_IF_FAILED * has_failed,
        ),
    )


def _market(
    random: np.random.Generator, year: int, count: int
) -> tuple[Floats, Floats, Floats, Floats]:
    """Module price, metal factor, landfill fee and recycling charge: one market for all rows."""
    since = year - assumed.FIRST_RETURN_YEAR
    price = assumed.MODULE_PRICE_USD_PER_W.sample(random, 1)
    metal = assumed.METAL_PRICE_FACTOR.sample(random, 1)
    landfill = assumed.LANDFILL_USD_PER_KG.sample(random, 1)
    recycling = assumed.RECYCLING_USD_PER_KG.sample(random, 1)
    return (
        np.repeat(price * (1.0 + assumed.MODULE_PRICE_TREND) ** since, count),
        np.repeat(metal, count),
        np.repeat(landfill, count),
        np.repeat(recycling * (1.0 + assumed.RECYCLING_TREND) ** since, count),
    )
