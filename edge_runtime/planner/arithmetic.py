"""The numbers that a projection is computed in: float64, float32, or fixed point.

Every quantity is counted in units of a grid, a power of two of kg, so that the largest bound of a
network is 2^52 units in float64, and 2^24 in float32 and in fixed point. Flows are brought onto the
grid before a plan is completed; whole numbers of units add up exactly in every one of the three.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Numbers = NDArray[Any]

FRACTION_BITS = 30  # of a fixed-point constant
CANDIDATE_LIMIT_BITS = 2  # a candidate is cut to 2^2 times the span; see `Projector.project`
DUAL_LIMIT_BITS = 4
SUM_LIMIT_BITS = 6  # 2^(24 + 6): sums of three such numbers stay in int32


@dataclass(frozen=True)
class FloatArithmetic:
    """IEEE 754 in the order that the code states; float32 has the same bits in C.

    Args:
        dtype: float64, the specification, or float32, what a core with an FPU computes in.
    """

    dtype: type[np.float64 | np.float32] = np.float64

    @property
    def grid_bits(self) -> int:
        """log2 of the largest number of units."""
        return 52 if self.dtype is np.float64 else 24

    def constant(self, values: Numbers | float) -> Numbers:
        """A factor as this arithmetic holds it."""
        return np.asarray(values, self.dtype)

    def number(self, units: Numbers) -> Numbers:
        """Whole or broken units as this arithmetic holds them."""
        return np.asarray(units, self.dtype)

    def times(self, constant: Numbers, values: Numbers) -> Numbers:
        """A factor from `constant` times numbers."""
        product: Numbers = constant * values
        return product

    def weighted_sum(self, rows: Numbers, values: Numbers) -> Numbers:
        """`values @ rows` for a symmetric matrix, added up in the order of its columns."""
        total = np.zeros_like(values)
        for column in range(len(rows)):
            total = total + rows[column] * values[:, column, None]
        return total

    def limit(self, values: Numbers, bits: int) -> Numbers:
        """Unchanged: floats have room."""
        del bits
        return values

    def between(self, left: Numbers, right: Numbers, drop: Numbers, whole: Numbers) -> Numbers:
        """`left + (right - left) * drop / whole`; left where `whole` is not above 0."""
        share = drop * (right - left) / np.where(whole > 0, whole, self.dtype(1))
        moved: Numbers = np.where(whole > 0, left + share, left)
        return moved


@dataclass(frozen=True)
class FixedArithmetic:
    """Whole units in int32, products in int64: for cores without an FPU.

    Args:
        dtype: what candidates and bounds come in.
        grid_bits: log2 of the largest number of units.
    """

    dtype: type[np.float32] = np.float32
    grid_bits: int = 24

    def constant(self, values: Numbers | float) -> Numbers:
        """A factor below 2 as this arithmetic holds it: 30 fractional bits."""
        return np.rint(np.asarray(values, np.float64) * 2.0**FRACTION_BITS).astype(np.int64)

    def number(self, units: Numbers) -> Numbers:
        """Whole units, halves away from zero."""
        return nearest(np.asarray(units))

    def times(self, constant: Numbers, values: Numbers) -> Numbers:
        """A factor from `constant` times numbers, rounded once, limited."""
        return self.limit(_scale(constant * values), SUM_LIMIT_BITS)

    def weighted_sum(self, rows: Numbers, values: Numbers) -> Numbers:
        """`values @ rows` for a symmetric matrix, rounded once."""
        return _scale(values @ rows)

    def limit(self, values: Numbers, bits: int) -> Numbers:
        """Cut to 2^bits times the span."""
        most = 1 << (self.grid_bits + bits)
        limited: Numbers = np.clip(values, -most, most)
        return limited

    def between(self, left: Numbers, right: Numbers, drop: Numbers, whole: Numbers) -> Numbers:
        """As of floats, rounded up."""
        divisor = np.where(whole > 0, whole, 1)
        share = -(-(drop * (right - left)) // divisor)
        moved: Numbers = np.where(whole > 0, left + share, left)
        return moved


Arithmetic = FloatArithmetic | FixedArithmetic


def nearest(values: Numbers) -> NDArray[np.int64]:
    """Whole numbers, halves away from zero, computed in the precision of the values."""
    if values.dtype.kind != "f":
        return values
    half = np.copysign(values.dtype.type(0.5), values)
    whole: NDArray[np.int64] = np.trunc(values + half).astype(np.int64)
    return whole


def _scale(products: Numbers) -> Numbers:
    scaled: Numbers = (products + (1 << (FRACTION_BITS - 1))) >> FRACTION_BITS
    return scaled
