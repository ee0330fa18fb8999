"""The baselines are PV_ICE's, in SI units, and a file that is not is refused."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest

from jouleloop.errors import MachineError, MissingToolError, ScenarioError
from scenarios import pv_data
from scenarios.pv_data import MATERIALS, load_baseline, weibull

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = pytest.mark.pure


@pytest.fixture
def copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A copy of the baselines that a test may damage."""
    folder = tmp_path / "baselines"
    shutil.copytree(str(pv_data._baselines()), folder, ignore=shutil.ignore_patterns("*[A-Z]*_*"))
    for name in (pv_data.MODULES_FILE, pv_data.MODULE_ENERGY_FILE):
        shutil.copy(str(pv_data._baselines() / name), folder)
    load_baseline.cache_clear()
    monkeypatch.setattr(pv_data, "_baselines", lambda: folder)
    yield folder
    load_baseline.cache_clear()


def test_figures_of_2025_are_those_of_the_files() -> None:
    data, row = load_baseline(), 2025 - 1995
    assert data.years[row] == 2025
    assert data.installed_mw[row] == 18114.89427
    assert data.efficiency[row] == pytest.approx(0.2247034948)
    assert data.weibull_shape[row] == pytest.approx(8.51, abs=5e-3)
    assert data.weibull_scale_years[row] == pytest.approx(34.45, abs=5e-3)
    assert data.degradation_per_year[row] == pytest.approx(0.006)
    assert data.project_life_years[row] == 35
    assert data.collected_share[row] == pytest.approx(0.15)
    assert data.failed_landfill_share[row] == pytest.approx(0.6)
    assert data.certify_j_per_m2[row] == pytest.approx(0.2 * 3600)
    glass = MATERIALS.index("glass")
    assert data.mass_kg_per_m2[row, glass] == pytest.approx(9.9402375)
    assert data.recycling_target[row, glass] == pytest.approx(0.9)
    assert data.recycling_yield[row, glass] == pytest.approx(0.4)
    silicon = MATERIALS.index("silicon")
    assert data.manufacture_j_per_kg[row, silicon] == pytest.approx(169.38 * 3.6e6)


def test_lifetimes_pass_through_both_quantiles_of_every_year() -> None:
    data = load_baseline()
    modules = pv_data._read(pv_data.MODULES_FILE)
    for column, share in (("mod_reliability_t50", 0.5), ("mod_reliability_t90", 0.9)):
        age = modules.column(column, "years")
        failed = 1.0 - np.exp(-((age / data.weibull_scale_years) ** data.weibull_shape))
        np.testing.assert_allclose(failed, share, rtol=1e-12)


def test_an_exponential_lifetime_has_shape_one() -> None:
    shape, scale = weibull(np.array([20.0 * np.log(2)]), np.array([20.0 * np.log(10)]))
    assert shape == pytest.approx(1.0)
    assert scale == pytest.approx(20.0)


@pytest.mark.parametrize("year", [1994, 2051])
def test_a_year_outside_is_an_error(year: int) -> None:
    with pytest.raises(ScenarioError, match=str(year)) as caught:
        load_baseline().row(np.array([2000, year]))
    assert "1995 to 2050" in caught.value.hint


def test_pv_ice_is_read_but_never_imported() -> None:
    code = (
        "import sys; from scenarios import pv; pv.make_scenarios(1, 0); "
        "sys.exit(any(name in sys.modules for name in ('PV_ICE', 'pandas', 'matplotlib', 'torch')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_without_pv_ice_the_error_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "PV_ICE" else find(name)
    )
    load_baseline.cache_clear()
    with pytest.raises(MissingToolError, match="PV_ICE"):
        load_baseline()


def replace(old: str, new: str) -> Callable[[Path], None]:
    def damage(path: Path) -> None:
        text = path.read_text(encoding="utf-8-sig")
        assert old in text
        path.write_text(text.replace(old, new), encoding="utf-8")

    return damage


@pytest.mark.parametrize(
    ("name", "damage", "reason"),
    [
        (pv_data.MODULES_FILE, replace("mod_eff", "efficiency"), "mod_eff in %"),
        (pv_data.MODULE_ENERGY_FILE, replace("Wh/m2", "kWh/m2"), "found: kWh/m2"),
        (pv_data.MODULES_FILE, replace("\n1996,", "\n1996,x"), "not a table"),
        (pv_data.MODULES_FILE, replace("\n1996,", "\n1994,"), "not consecutive"),
        (pv_data.MODULES_FILE, replace("\n1996,9.66", "\n1996,nan#"), "not a table"),
        ("baseline_material_mass_glass.csv", replace("8000", "nan"), "not a number"),
        ("baseline_material_mass_glass.csv", replace(",90,40,", ",90,400,"), "0..100 %"),
        ("baseline_material_mass_glass.csv", lambda p: p.write_text(""), "not a table"),
        ("baseline_material_energy_silver.csv", lambda p: p.unlink(), "No such file"),
        (
            "baseline_material_mass_glass.csv",
            lambda p: p.write_text("\n".join(p.read_text().splitlines()[:-1])),
            "its years are not those",
        ),
    ],
)
def test_a_file_that_is_not_the_known_one_is_an_error(
    copy: Path, name: str, damage: Callable[[Path], None], reason: str
) -> None:
    damage(copy / name)
    with pytest.raises(MachineError, match=reason) as caught:
        load_baseline()
    assert name in caught.value.message
    assert "PV_ICE==" in caught.value.hint
