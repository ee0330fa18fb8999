"""What must be proven about a layer before its weights may be packed and its scaling shortened."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

INT8_MIN, INT8_MAX = -128, 127
INT16_MIN = -(1 << 15)
# A packed pair holds 256 × the high row's sum in 32 bits.
PACKED_LIMIT = 1 << 23


@dataclass(frozen=True, eq=False)
class Accumulators:
    """The interval in which each channel's accumulator lies for every possible input.

    Args:
        lowest: int64 [channels].
        highest: int64 [channels].
    """

    lowest: NDArray[np.int64]
    highest: NDArray[np.int64]

    @property
    def magnitude(self) -> NDArray[np.int64]:
        """Largest |accumulator| per channel, int64 [channels]."""
        magnitude: NDArray[np.int64] = np.maximum(-self.lowest, self.highest)
        return magnitude


def accumulator_interval(
    weights: NDArray[np.int8], bias: NDArray[np.int32], input_zero_point: int
) -> Accumulators:
    """Interval of bias + Σ (x − zero point) × w over all int8 x, where padding is x = zero point.

    Args:
        weights: int8 [channels, terms].
        bias: int32 [channels].
        input_zero_point: −128..127.
    """
    wide = weights.astype(np.int64)
    at_minimum = wide * (INT8_MIN - input_zero_point)
    at_maximum = wide * (INT8_MAX - input_zero_point)
    start = bias.astype(np.int64)
    return Accumulators(
        start + np.minimum(at_minimum, at_maximum).sum(axis=1),
        start + np.maximum(at_minimum, at_maximum).sum(axis=1),
    )


def folded_bias(
    weights: NDArray[np.int8], bias: NDArray[np.int32], input_zero_point: int
) -> NDArray[np.int64]:
    """Bias with the input's zero point folded in, so that kernels multiply the stored bytes."""
    folded: NDArray[np.int64] = bias.astype(np.int64) - input_zero_point * weights.astype(
        np.int64
    ).sum(axis=1)
    return folded


def packing_obstacle(
    low: NDArray[np.int8], high: NDArray[np.int8], accumulators: Accumulators
) -> str:
    """Why two rows cannot share 16-bit halves `256 × high + low`, or "" when they can.

    SMLAD on the halves adds 256 × (sum of the high row) + (sum of the low row) modulo 2^32; the
    low sum is also computed alone, so the high one is exact while it stays below 2^23.

    Args:
        low: int8 [pairs, terms].
        high: int8 [pairs, terms].
        accumulators: of all rows.
    """
    largest = int(accumulators.magnitude.max(initial=0))
    if largest >= PACKED_LIMIT:
        return f"an accumulator may reach {largest}, 2^23 = {PACKED_LIMIT} or more"
    if bool(np.any((high == INT8_MIN) & (low < 0))):
        return "a weight of -128 lies above a negative one, and their pair needs 17 bits"
    return ""


def packed_halves(low: NDArray[np.int8], high: NDArray[np.int8]) -> NDArray[np.int16]:
    """`256 × high + low` per element; `packing_obstacle` has shown that it fits."""
    wide = 256 * high.astype(np.int32) + low.astype(np.int32)
    if wide.size and int(wide.min()) < INT16_MIN:
        raise ValueError("rows packed although packing_obstacle names an obstacle")
    return wide.astype(np.int16)
