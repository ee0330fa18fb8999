"""A joule keeps its kind, its source and its interval through every operation."""

import json
import math

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from jouleloop.energy import Energy, Kind
from jouleloop.errors import MixedEnergyError

pytestmark = pytest.mark.pure

# From a femtojoule to a terajoule: what a device may spend in an instruction, or a fleet in a year.
joules = st.floats(1e-15, 1e12)
sources = st.text(st.characters(exclude_characters=";"), min_size=1).filter(str.strip)


@st.composite
def energies(draw: st.DrawFn, kind: Kind = Kind.MODELLED) -> Energy:
    low, middle, high = sorted(draw(st.tuples(joules, joules, joules)))
    return Energy(middle, kind, draw(sources), low, high)


@given(energies(), energies())
def test_a_sum_holds_both_intervals_and_both_sources(one: Energy, other: Energy) -> None:
    total = one + other
    assert total.joules == one.joules + other.joules
    assert total.interval == (
        one.interval[0] + other.interval[0],
        one.interval[1] + other.interval[1],
    )
    assert total.kind is Kind.MODELLED
    assert set(total.source.split("; ")) == {one.source, other.source}


@given(energies(), energies())
def test_a_sum_is_never_surer_than_the_less_sure_part_says(one: Energy, other: Energy) -> None:
    ceiling = max(one.relative_error, other.relative_error)
    assert (one + other).relative_error <= ceiling * (1 + 1e-9)


@given(energies(Kind.MEASURED), energies(Kind.MODELLED))
def test_measured_and_modelled_never_mix(measured: Energy, modelled: Energy) -> None:
    for left, right in ((measured, modelled), (modelled, measured)):
        with pytest.raises(MixedEnergyError, match=r"measured.*modelled|modelled.*measured"):
            _ = left + right


@given(energies(), st.floats(1e-3, 1e3))
def test_scaling_keeps_the_relative_error(energy: Energy, factor: float) -> None:
    scaled = energy.scaled(factor)
    assert scaled.joules == energy.joules * factor
    assert math.isclose(scaled.relative_error, energy.relative_error, rel_tol=1e-6, abs_tol=1e-12)
    assert (scaled.kind, scaled.source) == (energy.kind, energy.source)


@given(energies())
def test_a_record_is_plain_json_and_tells_all(energy: Energy) -> None:
    record = json.loads(json.dumps(energy.as_record(), allow_nan=False))
    assert record["kind"] == "modelled"
    assert record["source"] == energy.source
    assert record["low_joules"] <= record["joules"] <= record["high_joules"]
    assert record["relative_error"] == energy.relative_error


@given(energies(Kind.MEASURED), energies(Kind.MODELLED))
def test_figures_of_two_kinds_are_never_equal(measured: Energy, modelled: Energy) -> None:
    assume(measured.joules == measured.joules)
    assert measured != modelled
    with pytest.raises(TypeError):
        _ = measured < modelled  # type: ignore[operator]  # that it has no order is the point


@pytest.mark.parametrize(
    ("value", "low", "high"),
    [
        (-1e-6, None, None),
        (1e-6, 2e-6, 3e-6),
        (1e-6, 0.0, 5e-7),
        (1e-6, -1e-6, 2e-6),
        (math.nan, None, None),
        (1e-6, math.nan, None),
        (math.inf, None, None),
        (1e-6, 0.0, math.inf),
        (0.0, 0.0, 1e-6),
    ],
)
def test_what_is_no_interval_is_refused(
    value: float, low: float | None, high: float | None
) -> None:
    with pytest.raises(ValueError, match="interval"):
        Energy(value, Kind.MODELLED, "profile", low, high)


def test_a_figure_without_source_is_refused() -> None:
    with pytest.raises(ValueError, match="source"):
        Energy(1e-6, Kind.MEASURED, "")


@pytest.mark.parametrize("factor", [-1.0, math.inf, math.nan])
def test_a_factor_that_makes_no_energy_is_refused(factor: float) -> None:
    with pytest.raises(ValueError, match="interval"):
        Energy(1e-6, Kind.MEASURED, "meter").scaled(factor)


def test_nothing_spent_is_exact() -> None:
    nothing = Energy(0.0, Kind.MODELLED, "no radio")
    assert nothing.relative_error == 0.0
    some = Energy(2e-6, Kind.MODELLED, "profile", 1e-6, 4e-6)
    assert (some + nothing).relative_error == some.relative_error == 1.0
