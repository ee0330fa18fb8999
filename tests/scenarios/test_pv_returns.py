"""Which modules come back, when, and in what condition."""

from __future__ import annotations

import numpy as np
import pytest

from scenarios import pv, pv_assumptions
from scenarios.assumption import Assumption, Spread
from scenarios.pv_data import load_baseline
from scenarios.pv_returns import ReturnTable, collected_modules, return_table, sample_returns

pytestmark = pytest.mark.pure


def many(count: int = 20_000, year: int = 2040) -> pv.ReturnedModules:
    return sample_returns(np.random.default_rng(1), year, count)


def test_every_module_comes_back_once() -> None:
    share = return_table().share
    assert (share >= 0.0).all()
    everything = share.sum(axis=(0, 2))
    assert (everything <= 1.0 + 1e-12).all()
    life = np.maximum(np.floor(load_baseline().project_life_years), 15.0)
    has_ended = load_baseline().years + life <= 2050
    assert has_ended.any()
    np.testing.assert_allclose(everything[has_ended], 1.0, rtol=1e-12)


def test_nothing_comes_back_before_it_was_made() -> None:
    assert (return_table().share.transpose(2, 0, 1)[:, ~np.tri(56, dtype=bool)] == 0.0).all()
    assert (many().age_years >= 0.0).all()


def test_failures_follow_the_weibull_lifetime_where_nothing_else_happens() -> None:
    data = load_baseline()
    cohort = 2010 - 1995
    share = return_table().share[:, cohort, ReturnTable.FAILED]
    years = int(pv_assumptions.FIRST_REPOWERING_YEARS)
    failed = 1.0 - np.exp(
        -((years / data.weibull_scale_years[cohort]) ** data.weibull_shape[cohort])
    )
    late = 1.0 - pv_assumptions.EARLY_LOSS_SHARE[-1]
    assert share[cohort : cohort + years].sum() == pytest.approx(late * failed, rel=1e-12)


def test_early_losses_reach_their_declared_share() -> None:
    share = return_table().share[:, 2000 - 1995, ReturnTable.EARLY]
    assert share[2000 - 1995 : 2000 - 1995 + 2].sum() == pytest.approx(0.01)
    assert share.sum() == pytest.approx(0.04)


def test_sampled_ages_are_those_of_the_table() -> None:
    returns, table = many(), return_table().modules[2040 - 1995]
    made = np.bincount(returns.made_year - 1995, minlength=56) / len(returns)
    expected = table.sum(axis=1) / table.sum()
    assert np.abs(made - expected).max() < 0.015  # four sigma of 20 000 draws
    retired = table[:, ReturnTable.RETIRED].sum() / table.sum()
    assert (~returns.has_failed).mean() == pytest.approx(retired, abs=0.015)


def test_the_baseline_collects_more_each_decade() -> None:
    collected = [collected_modules(year) for year in (2025, 2035, 2045)]
    assert collected == sorted(collected)
    assert collected[0] == pytest.approx(return_table().modules[30].sum() * 0.15)


def test_condition_goes_with_age() -> None:
    returns = many()
    retired = returns[~returns.has_failed]

    def correlation(values: np.ndarray[tuple[int], np.dtype[np.float64]]) -> float:
        return float(np.corrcoef(values, retired.age_years)[0, 1])

    assert correlation(retired.power_share) < -0.3
    assert correlation(retired.seal_damage) > 0.1
    assert correlation(retired.cell_damage) > 0.05


def test_failed_modules_are_in_a_worse_state_and_faults_come_together() -> None:
    returns = many()
    failed, retired = returns[returns.has_failed], returns[~returns.has_failed]
    for name in ("glass_damage", "cell_damage", "seal_damage"):
        assert getattr(failed, name).mean() > getattr(retired, name).mean(), name
    assert np.corrcoef(failed.cell_damage, failed.seal_damage)[0, 1] > 0.2


def test_a_module_weighs_what_its_year_of_making_says() -> None:
    returns = many(500)
    per_m2 = load_baseline().mass_kg_per_m2[returns.made_year - 1995]
    np.testing.assert_allclose(
        returns.materials_kg, per_m2 * returns.area_m2[:, None], rtol=0, atol=1e-5
    )
    np.testing.assert_array_equal(returns.mass_kg, returns.materials_kg.sum(axis=1))


@pytest.mark.parametrize("year", [1995, 2025, 2050])
def test_values_are_possible(year: int) -> None:
    returns = many(2000, year)
    for name in ("power_share", "glass_damage", "cell_damage", "seal_damage"):
        values = getattr(returns, name)
        assert ((values >= 0.0) & (values <= 1.0)).all(), name
    for name in ("area_m2", "nameplate_w", "power_share", "repair_quote_usd", "freight_km"):
        assert (getattr(returns, name) > 0.0).all(), name
    for name in ("module_price_usd_per_w", "landfill_usd_per_kg", "recycling_usd_per_kg"):
        assert len(np.unique(getattr(returns, name))) == 1, f"one market: {name}"


def test_spread_keeps_its_interval() -> None:
    spread = Spread(2.0, 0.5, "kg", "a test")
    values = spread.sample(np.random.default_rng(0), 10_000)
    low, high = spread.interval
    assert values.min() == pytest.approx(low)
    assert values.max() == pytest.approx(high)
    assert np.median(values) == pytest.approx(2.0, rel=0.03)


def test_every_number_that_is_not_pv_ice_says_why() -> None:
    ranges = {"FIRST_RETURN_YEAR", "LAST_RETURN_YEAR", "EARLY_LOSS_YEARS"}
    for name, value in vars(pv_assumptions).items():
        if not name.isupper() or name in ranges:
            continue
        values = value.values() if isinstance(value, dict) else value
        for each in values if isinstance(value, dict | tuple) else (value,):
            assert isinstance(each, Assumption | Spread), name
            assert len(each.reason.split()) >= 3, f"{name} has no reason"
            assert each.unit, f"{name} has no unit"
