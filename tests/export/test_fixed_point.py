"""The two rounding rules against exact fractions, and LiteRT's float rule against brute force."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from export.arithmetic.fixed_point import (
    INT32_MAX,
    INT32_MIN,
    quantize_multiplier,
    requantize,
    scale_once,
    scale_twice,
)
from export.arithmetic.float_rule import agrees_with_float, float_factor
from export.graph import Rounding
from export.kernels.layer import Requantisation

pytestmark = pytest.mark.pure

int32 = st.integers(INT32_MIN, INT32_MAX)
multipliers = st.integers(2**30, INT32_MAX)
shifts = st.integers(-31, 30)


def at_once(value: int, multiplier: int, shift: int) -> int:
    """Ties upwards, by definition."""
    return math.floor(Fraction(value * multiplier, 2 ** (31 - shift)) + Fraction(1, 2))


def at_twice(value: int, multiplier: int, shift: int) -> int:
    """gemmlowp's two functions, word for word, with C's truncating division."""
    shifted = max(INT32_MIN, min(INT32_MAX, value << max(shift, 0)))
    product = shifted * multiplier
    nudge = 2**30 if product >= 0 else 1 - 2**30
    high = abs(product + nudge) // 2**31 * (1 if product + nudge >= 0 else -1)
    exponent = max(-shift, 0)
    mask = (1 << exponent) - 1
    remainder = high & mask
    threshold = (mask >> 1) + (1 if high < 0 else 0)
    return (high >> exponent) + (1 if remainder > threshold else 0)


@given(int32, multipliers, shifts)
def test_single_is_the_exact_product_rounded_once(value: int, multiplier: int, shift: int) -> None:
    got = scale_once(np.array([value], np.int64), np.int32(multiplier), np.int32(shift))
    assert int(got[0]) == at_once(value, multiplier, shift)


@given(int32, multipliers, shifts)
def test_double_is_gemmlowps(value: int, multiplier: int, shift: int) -> None:
    got = scale_twice(np.array([value], np.int64), np.int32(multiplier), np.int32(shift))
    assert int(got[0]) == at_twice(value, multiplier, shift)


def test_the_rules_differ_on_ties() -> None:
    half = (np.int32(2**30), np.int32(0))  # the factor 1/2
    values = np.array([-3, -1, 1, 3], np.int64)
    assert scale_once(values, *half).tolist() == [-1, 0, 1, 2]
    # The doubling high multiply rounds ties upwards; the shift by nothing changes nothing.
    assert scale_twice(values, *half).tolist() == [-1, 0, 1, 2]
    quarter = (np.int32(2**30), np.int32(-1))
    values = np.array([-6, -2, 2, 6], np.int64)
    assert scale_once(values, *quarter).tolist() == [-1, 0, 1, 2]
    assert scale_twice(values, *quarter).tolist() == [-2, -1, 1, 2]


@given(st.floats(min_value=2.0**-31, max_value=2.0**29))
def test_a_multiplier_is_the_nearest_to_its_factor(factor: float) -> None:
    multiplier, shift = quantize_multiplier(np.float64(factor))
    assert 2**30 <= int(multiplier) <= INT32_MAX
    assert -31 <= int(shift) <= 30
    step = Fraction(1, 2 ** (31 - int(shift)))
    assert abs(int(multiplier) * step - Fraction(factor)) <= step / 2


def test_factors_beyond_the_range_become_zero_or_the_largest() -> None:
    multiplier, shift = quantize_multiplier(np.array([0.0, 2.0**-40, 2.0**40, 1.0 - 2.0**-40]))
    assert multiplier.tolist() == [0, 0, INT32_MAX, 2**30]
    assert shift.tolist() == [0, 0, 30, 1]


@pytest.mark.parametrize("rounding", list(Rounding))
def test_requantising_saturates_at_the_clamps(rounding: Rounding) -> None:
    multiplier, shift = quantize_multiplier(np.array([0.5, 2.0**20]))
    how = Requantisation(multiplier, shift, 3, -100, 90, rounding)
    extremes = np.array([[INT32_MIN, INT32_MIN], [INT32_MAX, INT32_MAX], [0, 0]], np.int64)
    assert requantize(extremes, how).tolist() == [[-100, -100], [90, 90], [3, 3]]


@given(
    st.floats(min_value=2.0**-13, max_value=0.25, width=32),
    st.sampled_from([-128, -7, 0, 127]),
)
def test_agreement_with_the_float_rule_is_proven(factor: float, zero: int) -> None:
    low, high = -120_000, 130_000
    scale = np.array([factor], np.float32)
    multiplier, shift = quantize_multiplier(scale.astype(np.float64))
    how = Requantisation(multiplier, shift, zero, -128, 127, Rounding.SINGLE)
    claimed = agrees_with_float(how, scale, np.array([low]), np.array([high]))[0]
    sums = np.arange(low, high + 1, dtype=np.int64)[:, None]
    by_float = np.clip(np.rint(sums.astype(np.float32) * scale) + zero, -128, 127).astype(np.int8)
    assert claimed == np.array_equal(requantize(sums, how), by_float)


def test_a_factor_of_one_half_cannot_agree() -> None:
    scale = np.array([0.5], np.float32)
    multiplier, shift = quantize_multiplier(scale.astype(np.float64))
    how = Requantisation(multiplier, shift, 0, -128, 127, Rounding.SINGLE)
    # Ties go upwards here and to even there: 1/2 becomes 1 here and 0 there.
    assert not agrees_with_float(how, scale, np.array([-10]), np.array([10]))[0]
    assert agrees_with_float(how, scale, np.array([0]), np.array([0]))[0]


def test_the_float_factor_is_computed_in_float32() -> None:
    scales = np.array([0.1, 0.2, 0.3], np.float32)
    factor = float_factor(scales[:1], scales[1:2], scales[2])
    assert factor.dtype == np.float32
    assert factor[0] == (scales[0] * scales[1]) / scales[2]
