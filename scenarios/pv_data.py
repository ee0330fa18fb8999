"""What PV_ICE's baselines say of photovoltaic modules, 1995 to 2050, in SI units and shares.

Source: NREL's PV_ICE (BSD-3-Clause), the CSV files under `PV_ICE/baselines` of its wheel:
crystalline silicon modules in the United States. The first row of each file names the columns, the
second their units. The package itself is never imported: it would bring pandas and matplotlib.
"""

from __future__ import annotations

import csv
import importlib.resources
import importlib.util
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from jouleloop.errors import MachineError, ScenarioError
from jouleloop.programs import require_package

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Integers = NDArray[np.int64]

MATERIALS = (
    "glass",
    "aluminium_frames",
    "silicon",
    "silver",
    "copper",
    "encapsulant",
    "backsheet",
)
MODULES_FILE = "baseline_modules_mass_US.csv"
MODULE_ENERGY_FILE = "baseline_modules_energy.csv"
JOULES_PER_KWH = 3.6e6


@dataclass(frozen=True, eq=False)
class Baseline:
    """The baselines by year; arrays are float64, [years] for modules and [years, MATERIALS].

    Args:
        years: consecutive years, int64.
        installed_mw: capacity installed in the year, MW.
        efficiency: of a module made in the year, 0..1.
        weibull_shape: of the lifetime of a module made in the year.
        weibull_scale_years: of the same, years.
        degradation_per_year: share of power lost per year.
        project_life_years: after which a plant retires what still works.
        collected_share: share of the modules at end of life that is collected.
        failed_landfill_share: of collected modules that cannot be sold, how many are landfilled.
        scrap_recycled_share: of modules that fail in remanufacture, how many are recycled.
        module_manufacture_j_per_m2: energy of assembling a module.
        certify_j_per_m2: of testing a module for resale.
        disassembly_j_per_m2: of opening a module for remanufacture.
        crush_j_per_m2: of crushing a module for recycling.
        mass_kg_per_m2: of each material in a module made in the year.
        manufacture_yield: share of each material bought that ends up in the module.
        recycling_target: share of each material that a recycler tries to recover.
        recycling_yield: share of the tried that is recovered.
        high_quality_share: share of the recovered that replaces new material.
        extraction_j_per_kg: energy of extracting a material.
        manufacture_j_per_kg: energy of making the part from it.
        recycle_j_per_kg: energy of recycling a kilogram that a recycler tries to recover.
        purify_j_per_kg: further energy of a kilogram that replaces new material.
        clean_j_per_kg: energy of cleaning a material for remanufacture.
        landfill_j_per_kg: energy of landfilling a kilogram.
    """

    years: Integers
    installed_mw: Floats
    efficiency: Floats
    weibull_shape: Floats
    weibull_scale_years: Floats
    degradation_per_year: Floats
    project_life_years: Floats
    collected_share: Floats
    failed_landfill_share: Floats
    scrap_recycled_share: Floats
    module_manufacture_j_per_m2: Floats
    certify_j_per_m2: Floats
    disassembly_j_per_m2: Floats
    crush_j_per_m2: Floats
    mass_kg_per_m2: Floats
    manufacture_yield: Floats
    recycling_target: Floats
    recycling_yield: Floats
    high_quality_share: Floats
    extraction_j_per_kg: Floats
    manufacture_j_per_kg: Floats
    recycle_j_per_kg: Floats
    purify_j_per_kg: Floats
    clean_j_per_kg: Floats
    landfill_j_per_kg: Floats

    def row(self, year: Integers) -> Integers:
        """Index of each year.

        Raises:
            ScenarioError: a year that the baselines do not cover.
        """
        outside = (year < self.years[0]) | (year > self.years[-1])
        if outside.any():
            raise ScenarioError(
                f"year {year[outside][0]} is outside PV_ICE's baselines",
                hint=f"they cover {self.years[0]} to {self.years[-1]}",
            )
        index: Integers = year - self.years[0]
        return index


def weibull(t50_years: Floats, t90_years: Floats) -> tuple[Floats, Floats]:
    """Shape and scale, in years, of the Weibull lifetime with these 50 % and 90 % quantiles.

    >>> shape, scale = weibull(np.array([33.0]), np.array([38.0]))  # made in 2025
    >>> round(float(shape[0]), 2), round(float(scale[0]), 2)
    (8.51, 34.45)
    """
    half, tenth = -np.log(0.5), -np.log(0.1)
    shape = np.log(tenth / half) / np.log(t90_years / t50_years)
    return shape, t50_years / half ** (1.0 / shape)


@cache
def load_baseline() -> Baseline:
    """Read the baselines; once per process.

    Raises:
        MissingToolError: PV_ICE is not installed.
        MachineError: a file of it is not what jouleloop knows.
    """
    modules, module_energy = _read(MODULES_FILE), _read(MODULE_ENERGY_FILE)
    mass = [_read(f"baseline_material_mass_{material}.csv") for material in MATERIALS]
    energy = [_read(f"baseline_material_energy_{material}.csv") for material in MATERIALS]
    for table in (module_energy, *mass, *energy):
        if not np.array_equal(table.years, modules.years):
            raise _unknown_file(table.name, f"its years are not those of {MODULES_FILE}")
    shape, scale = weibull(
        modules.column("mod_reliability_t50", "years"),
        modules.column("mod_reliability_t90", "years"),
    )

    def of_mass(column: str) -> Floats:
        return np.stack([table.share(column) for table in mass], axis=1)

    def of_energy(column: str) -> Floats:
        kwh = np.stack([table.column(column, "kWh/kg") for table in energy], axis=1)
        return kwh * JOULES_PER_KWH

    def of_module(column: str) -> Floats:
        return module_energy.column(column, "Wh/m2") * (JOULES_PER_KWH / 1e3)

    return Baseline(
        years=modules.years,
        installed_mw=modules.column("new_Installed_Capacity_[MW]", "MW"),
        efficiency=modules.share("mod_eff"),
        weibull_shape=shape,
        weibull_scale_years=scale,
        degradation_per_year=modules.share("mod_degradation"),
        project_life_years=modules.column("mod_lifetime", "years"),
        collected_share=modules.share("mod_EOL_collection_eff"),
        failed_landfill_share=modules.share("mod_EOL_pb1_landfill"),
        scrap_recycled_share=modules.share("mod_EOL_sp_reMFG_recycle"),
        module_manufacture_j_per_m2=of_module("e_mod_MFG"),
        certify_j_per_m2=of_module("e_mod_Resell_Certify"),
        disassembly_j_per_m2=of_module("e_mod_ReMFG_Disassembly"),
        crush_j_per_m2=of_module("e_mod_Recycle_Crush"),
        mass_kg_per_m2=np.stack([t.column("mat_massperm2", "g") for t in mass], axis=1) / 1e3,
        manufacture_yield=of_mass("mat_MFG_eff"),
        recycling_target=of_mass("mat_PG4_Recycling_target"),
        recycling_yield=of_mass("mat_Recycling_yield"),
        high_quality_share=of_mass("mat_EOL_Recycled_into_HQ"),
        extraction_j_per_kg=of_energy("e_mat_extraction"),
        manufacture_j_per_kg=of_energy("e_mat_MFG"),
        recycle_j_per_kg=of_energy("e_mat_Recycled_LQ"),
        purify_j_per_kg=of_energy("e_mat_Recycled_HQ"),
        clean_j_per_kg=of_energy("e_mat_EoL_ReMFG_clean"),
        landfill_j_per_kg=of_energy("e_mat_Landfill"),
    )


@dataclass(frozen=True, eq=False)
class _Table:
    name: str
    units: dict[str, str]
    years: Integers
    columns: dict[str, Floats]

    def column(self, name: str, unit: str) -> Floats:
        if self.units.get(name) != unit:
            found = self.units.get(name, "no such column")
            raise _unknown_file(self.name, f"{name} in {unit} is expected, found: {found}")
        return self.columns[name]

    def share(self, name: str) -> Floats:
        share = self.column(name, "%") / 100.0
        if not ((share >= 0.0) & (share <= 1.0)).all():
            raise _unknown_file(self.name, f"{name} is not within 0..100 %")
        return share


def _read(name: str) -> _Table:
    # The files carry a byte order mark.
    try:
        text = (_baselines() / name).read_text(encoding="utf-8-sig")
    except OSError as error:
        raise _unknown_file(name, str(error.strerror)) from error
    try:
        header, units, *rows = csv.reader(text.splitlines())
        values = np.array(rows, dtype=np.float64).T
        columns = dict(zip(header, values, strict=True))
        years = columns["year"].astype(np.int64)
    except (ValueError, KeyError) as error:
        raise _unknown_file(name, f"not a table of numbers by year: {error}") from error
    if not np.isfinite(values).all() or (np.diff(years) != 1).any():
        raise _unknown_file(name, "its years are not consecutive, or a value is not a number")
    return _Table(name, dict(zip(header, units, strict=True)), years, columns)


def _baselines() -> Traversable:
    require_package("PV_ICE")
    spec = importlib.util.find_spec("PV_ICE")
    assert spec is not None  # noqa: S101 - require_package just found it
    # A module object that is never executed tells importlib.resources where the package lies.
    return importlib.resources.files(importlib.util.module_from_spec(spec)) / "baselines"


def _unknown_file(name: str, reason: str) -> MachineError:
    return MachineError(
        f"PV_ICE's {name} is not the one that jouleloop knows: {reason}",
        hint="install the version that jouleloop asks for: pip install PV_ICE==0.4.3",
    )
