"""Scaling int32 accumulators to int8 in integers: multipliers, shifts, and the two rounding rules.

A real factor becomes `multiplier × 2^(shift − 31)` with 2^30 <= multiplier < 2^31.

`single` rounds the exact product once, ties upwards (LiteRT's reference kernels). `double` rounds
twice, first in a doubling high multiply, then in a shift with ties away from zero (TensorFlow Lite
Micro and CMSIS-NN).

LiteRT's default kernels round once too, but in float32: see `float_rule.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from export.graph import Rounding

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from export.kernels.layer import Requantisation

    Integers = NDArray[np.int64]
    # Multipliers and shifts: one, or one per channel.
    Factors = NDArray[Any] | np.integer[Any]

INT32_MIN, INT32_MAX = -(2**31), 2**31 - 1


def quantize_multiplier(
    factor: NDArray[np.float64] | np.float64,
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Multipliers and shifts nearest to real factors.

    Args:
        factor: float64, >= 0, finite.

    Returns:
        multiplier int32 (0, or 2^30..2^31 − 1) and shift int32 (−31..30), of factor's shape.
        A factor below 2^-32 becomes 0 and one above 2^30 the largest, as in TFLite's
        `QuantizeMultiplier`.
    """
    fraction, exponent = np.frexp(np.asarray(factor, np.float64))
    multiplier = np.floor(fraction * 2.0**31 + 0.5).astype(np.int64)
    carried = multiplier == 2**31
    multiplier = np.where(carried, 2**30, multiplier)
    shift = exponent + carried
    vanishes, overflows = shift < -31, shift > 30
    multiplier = np.where(vanishes, 0, np.where(overflows, INT32_MAX, multiplier))
    shift = np.where(vanishes, 0, np.where(overflows, 30, shift))
    return multiplier.astype(np.int32), shift.astype(np.int32)


def scale_once(value: Integers, multiplier: Factors, shift: Factors) -> Integers:
    """`single`: floor(value × multiplier / 2^(31 − shift) + 1/2), exact.

    Args:
        value: int64 holding int32 values.
        multiplier: as from `quantize_multiplier`, broadcast against `value`.
        shift: likewise.
    """
    places = 31 - shift.astype(np.int64)
    # |value × multiplier| < 2^62 and places >= 1, so int64 holds the sum.
    half = np.int64(1) << (places - 1)
    scaled: Integers = (value * multiplier.astype(np.int64) + half) >> places
    return scaled


def scale_twice(value: Integers, multiplier: Factors, shift: Factors) -> Integers:
    """`double`: doubling high multiply, rounded; then a rounding shift, ties away from zero.

    A positive shift is applied before, saturating at int32 (TFLite leaves that undefined).
    Arguments as for `scale_once`. Reference: gemmlowp's SaturatingRoundingDoublingHighMul and
    RoundingDivideByPOT.
    """
    left, right = np.maximum(shift, 0).astype(np.int64), np.maximum(-shift, 0).astype(np.int64)
    shifted = np.clip(value << left, INT32_MIN, INT32_MAX)
    high = (shifted * multiplier.astype(np.int64) + 2**30) >> 31
    remainder = high & ((np.int64(1) << right) - 1)
    threshold = (((np.int64(1) << right) - 1) >> 1) + (high < 0)
    scaled: Integers = (high >> right) + (remainder > threshold)
    return scaled


def scale(value: Integers, multiplier: Factors, shift: Factors, rounding: Rounding) -> Integers:
    """Scale by the rule `rounding`; arguments as for `scale_once`."""
    rule = scale_once if rounding is Rounding.SINGLE else scale_twice
    return rule(value, multiplier, shift)


def requantize(accumulator: Integers, how: Requantisation) -> NDArray[np.int8]:
    """Accumulators to int8.

    Args:
        accumulator: int64 holding int32 values, [..., channels].
        how: multipliers per channel, clamps, zero point and rule.
    """
    scaled = scale(accumulator, how.multiplier, how.shift, how.rounding)
    return np.clip(scaled + how.zero_point, how.minimum, how.maximum).astype(np.int8)
