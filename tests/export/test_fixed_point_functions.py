"""exp, logistic and tanh in integers: gemmlowp's roundings, and how near they come."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from export.arithmetic import fixed_point_functions as functions

pytestmark = pytest.mark.pure

INT32 = st.one_of(
    st.integers(-(2**31), 2**31 - 1), st.sampled_from([-(2**31), -1, 0, 1, 2**30, 2**31 - 1])
)


@given(INT32, INT32)
def test_the_high_product_is_rounded_with_ties_upwards(a: int, b: int) -> None:
    exact = Fraction(a * b, 2**31) + Fraction(1, 2)
    expected = min(exact.numerator // exact.denominator, 2**31 - 1)
    assert functions.doubling_high_multiply(np.array(a, np.int64), b) == expected


@given(INT32, st.integers(0, 31))
def test_the_shift_is_rounded_with_ties_away_from_zero(value: int, bits: int) -> None:
    exact = Fraction(abs(value), 2**bits) + Fraction(1, 2)
    expected = (exact.numerator // exact.denominator) * (1 if value >= 0 else -1)
    assert functions.rounding_shift(np.array(value, np.int64), bits) == expected


def test_exp_comes_within_two_parts_of_ten_million() -> None:
    real = -np.linspace(0, 31.9, 2001)
    got = functions.exp_on_negative_values(np.round(real * 2**26).astype(np.int64), 5)
    assert np.abs(got / 2**31 - np.exp(real)).max() < 2e-7


def test_logistic_and_tanh_come_within_two_parts_of_ten_million() -> None:
    real = np.linspace(-15.9, 15.9, 2001)
    fixed = np.round(real * 2**27).astype(np.int64)
    logistic, tanh = functions.logistic(fixed) / 2**31, functions.tanh(fixed) / 2**31
    assert np.abs(logistic - 1 / (1 + np.exp(-real))).max() < 2e-7
    assert np.abs(tanh - np.tanh(real)).max() < 2e-7
