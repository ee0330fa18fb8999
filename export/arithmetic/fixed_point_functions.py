"""exp, reciprocal, logistic and tanh in integers, bit for bit as gemmlowp computes them.

TensorFlow Lite's INT8 SOFTMAX, LOGISTIC and TANH are built on gemmlowp's fixed-point functions
(gemmlowp, fixedpoint/fixedpoint.h; TensorFlow Lite, kernels/internal/reference/softmax.h and
reference/integer_ops/logistic.h, tanh.h). A value Qm.n is an int32 with m integer and n = 31 − m
fractional bits. Arrays are int64 that hold int32 values, so that no product overflows.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Fixed = NDArray[np.int64]

INT32_MIN, INT32_MAX = -(2**31), 2**31 - 1
ONE_Q0 = INT32_MAX  # Q0.31 cannot hold 1; gemmlowp uses the largest value

# exp(−2^e) in Q0.31 for the bits of the integer part (gemmlowp, exp_on_negative_values)
_EXP_OF_MINUS_POWER_OF_TWO = (
    (-2, 1672461947),
    (-1, 1302514674),
    (0, 790015084),
    (1, 290630308),
    (2, 39332535),
    (3, 720401),
    (4, 242),
)


def doubling_high_multiply(a: Fixed, b: Fixed | int) -> Fixed:
    """As gemmlowp's SaturatingRoundingDoublingHighMul: round(a × b / 2^31), ties upwards.

    Args:
        a: int32 values.
        b: int32 values, or one.
    """
    # Only (−2^31)² exceeds int32.
    rounded: Fixed = (a * np.int64(b) + (1 << 30)) >> 31
    return np.minimum(rounded, INT32_MAX)


def rounding_shift(value: Fixed, bits: Fixed | int) -> Fixed:
    """As gemmlowp's RoundingDivideByPOT: value / 2^bits, ties away from zero; 0 <= bits <= 31."""
    mask = (np.int64(1) << np.int64(bits)) - 1
    remainder = value & mask
    threshold = (mask >> 1) + (value < 0)
    return (value >> np.int64(bits)) + (remainder > threshold)


def _saturate(value: Fixed) -> Fixed:
    return np.clip(value, INT32_MIN, INT32_MAX)


def exp_on_negative_values(value: Fixed, integer_bits: int) -> Fixed:
    """The exponential of values <= 0 in Q(integer_bits), 1..5 of them; the result is Q0.31."""
    fractional_bits = 31 - integer_bits
    quarter = np.int64(1) << (fractional_bits - 2)
    from_quarter = (value & (quarter - 1)) - quarter
    result = _exp_between_minus_quarter_and_0(_saturate(from_quarter << integer_bits))
    remainder = from_quarter - value
    for exponent, multiplier in _EXP_OF_MINUS_POWER_OF_TWO:
        if exponent < integer_bits:
            is_set = (remainder >> (fractional_bits + exponent)) & 1 != 0
            result = np.where(is_set, doubling_high_multiply(result, multiplier), result)
    return np.where(value == 0, ONE_Q0, result)


def _exp_between_minus_quarter_and_0(value: Fixed) -> Fixed:
    """Taylor's series to the fourth order around −1/8; Q0.31 in and out."""
    exp_of_minus_eighth, third = 1895147668, 715827883
    x = value + (1 << 28)
    x2 = doubling_high_multiply(x, x)
    x3 = doubling_high_multiply(x2, x)
    x4 = doubling_high_multiply(x2, x2)
    x4_over_4 = rounding_shift(x4, 2)
    series = rounding_shift(doubling_high_multiply(x4_over_4 + x3, third) + x2, 1)
    return exp_of_minus_eighth + doubling_high_multiply(x + series, exp_of_minus_eighth)


def _newton_reciprocal(value: Fixed) -> Fixed:
    """2 / (1 + value) for value in [0, 1), Q0.31; the result is Q2.29."""
    half_denominator = (value + ONE_Q0 + 1) >> 1  # both are >= 0
    x = 1515870810 + doubling_high_multiply(half_denominator, -1010580540)  # 48/17 − 32/17 d
    for _ in range(3):
        error = (1 << 29) - doubling_high_multiply(half_denominator, x)
        x = x + _saturate(doubling_high_multiply(x, error) << 2)
    return x


def one_over_one_plus(value: Fixed) -> Fixed:
    """1 / (1 + value) for value in [0, 1), Q0.31 in and out."""
    return _saturate(_newton_reciprocal(value) << 1)


def logistic(value: Fixed) -> Fixed:
    """The logistic function 1 / (1 + exp(−value)), Q4.27 in, Q0.31 out."""
    positive = one_over_one_plus(exp_on_negative_values(-np.abs(value), 4))
    result = np.where(value > 0, positive, ONE_Q0 - positive)
    return np.where(value == 0, 1 << 30, result)


def tanh(value: Fixed) -> Fixed:
    """The hyperbolic tangent, Q4.27 in, Q0.31 out."""
    # 2 × value: the same bits read as Q5.26.
    reciprocal = _newton_reciprocal(exp_on_negative_values(-np.abs(value), 5))
    magnitude = _saturate((reciprocal - (1 << 29)) << 2)
    return np.where(value == 0, 0, np.where(value > 0, magnitude, -magnitude))


def input_radius(integer_bits: int, left_shift: int) -> int:
    """Largest input that the rescaling to Q(integer_bits) keeps (CalculateInputRadius)."""
    span = ((1 << integer_bits) - 1) * 2.0 ** (31 - integer_bits)
    return math.floor(span / 2.0**left_shift)


def softmax(
    rows: NDArray[np.int8], multiplier: int, left_shift: int, diff_min: int
) -> NDArray[np.int8]:
    """INT8 softmax over the last axis; output scale 1/256, zero point −128.

    Args:
        rows: int8 [rows, depth].
        multiplier: beta × input scale × 2^26 as a Q0.31 mantissa.
        left_shift: its exponent, 0..31.
        diff_min: differences below it count as zero (−`input_radius(5, left_shift)`).

    Returns:
        int8 [rows, depth].
    """
    difference = rows.astype(np.int64) - rows.max(axis=-1, keepdims=True).astype(np.int64)
    counts = difference >= diff_min
    rescaled = doubling_high_multiply(
        np.where(counts, difference, 0) << np.int64(left_shift), multiplier
    )
    exps = exp_on_negative_values(rescaled, 5)
    accumulated = np.where(counts, rounding_shift(exps, 12), 0).sum(axis=-1, keepdims=True)
    headroom = 32 - np.vectorize(int.bit_length, otypes=[np.int64])(accumulated.astype(object))
    shifted = (accumulated << headroom) - (np.int64(1) << 31)
    product = doubling_high_multiply(exps, one_over_one_plus(shifted))
    output = rounding_shift(product, 12 - headroom + 31 - 8) - 128
    return np.where(counts, np.clip(output, -128, 127), -128).astype(np.int8)
