"""From int32 accumulators to int8 in vectors: the instructions, and what they may leave out.

Exactness, for an accumulator a, multiplier m and shift s (Requantisation):

`double`: VQSHL by the left shift saturates as the rule does; VQRDMULH is gemmlowp's
SaturatingRoundingDoublingHighMul; VRSHL to the right rounds half upwards where the rule rounds
half away from zero, so one is taken from negative values first ("ties"). Ties cannot show, and are
left out, where the lower clamp is at or above the zero point: they change negative values alone.

`single`: floor(a m 2^(s-31) + 1/2) = floor((floor(a m / 2^31) + 2^(r-1)) / 2^r) with r = -s >= 1:
VQDMULH, which rounds down, then VRSHL by r. For s >= 0 the same with a 2^(s+1) and r = 1. VQSHL may
saturate there only where |a| 2^(s+1) >= 2^31, hence |result| >= 2^28, which both clamp alike.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from export.graph import Rounding

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from export.kernels.layer import Requantisation

INT8_MIN, INT8_MAX = -128, 127


@dataclass(frozen=True)
class Recipe:
    """Which instructions a layer's scaling needs; part of a routine's name.

    Args:
        rounding: the rule.
        has_left: some channel shifts left first.
        has_ties: ties of negative values must be mended.
        has_unshifted: some channel shifts by nothing, where a tie must not be mended.
        has_minimum: the lower clamp is above −128.
        has_maximum: the upper clamp is below 127.
        is_uniform: all channels share multiplier and shifts.
    """

    rounding: Rounding
    has_left: bool
    has_ties: bool
    has_unshifted: bool
    has_minimum: bool
    has_maximum: bool
    is_uniform: bool

    @property
    def suffix(self) -> str:
        """Letters for a symbol: equal suffixes mean equal instructions."""
        flags = {
            "l": self.has_left,
            "t": self.has_ties,
            "z": self.has_unshifted,
            "n": self.has_minimum,
            "x": self.has_maximum,
        }
        return self.rounding.value[0] + "".join(letter for letter, on in flags.items() if on)


@dataclass(frozen=True, eq=False)
class Scaling:
    """A layer's scaling, resolved.

    Args:
        recipe: which instructions.
        multiplier: int32 [channels].
        right: int32 [channels], shift to the right as VRSHL takes it: zero or negative.
        left: int32 [channels], shift to the left before, zero or positive.
        zero_point: of the output.
        minimum: lower clamp.
        maximum: upper clamp.
    """

    recipe: Recipe
    multiplier: NDArray[np.int32]
    right: NDArray[np.int32]
    left: NDArray[np.int32]
    zero_point: int
    minimum: int
    maximum: int

    @property
    def words_per_channel(self) -> int:
        """Table words that a channel's scaling takes."""
        return 3 if self.recipe.has_left else 2

    def words(self, channels: NDArray[np.int64]) -> list[NDArray[np.int32]]:
        """Table parts of these channels: multipliers, right shifts, left shifts if any."""
        parts = [self.multiplier[channels], self.right[channels]]
        return [*parts, self.left[channels]] if self.recipe.has_left else parts


def plan_scaling(rule: Requantisation) -> Scaling:
    """Choose the instructions that a rule needs."""
    shift = rule.shift.astype(np.int32)
    if rule.rounding is Rounding.DOUBLE:
        left, right = np.maximum(shift, 0), np.minimum(shift, 0)
    else:
        left, right = np.maximum(shift + 1, 0), np.minimum(shift, -1)
    is_double = rule.rounding is Rounding.DOUBLE
    has_ties = is_double and rule.minimum < rule.zero_point and bool((right < 0).any())
    recipe = Recipe(
        rule.rounding,
        has_left=bool(left.any()),
        has_ties=has_ties,
        has_unshifted=has_ties and bool((right == 0).any()),
        has_minimum=rule.minimum > INT8_MIN,
        has_maximum=rule.maximum < INT8_MAX,
        is_uniform=all((each == each[0]).all() for each in (rule.multiplier, shift)),
    )
    return Scaling(
        recipe, rule.multiplier, right, left, rule.zero_point, rule.minimum, rule.maximum
    )


def scale_lines(
    recipe: Recipe, values: tuple[str, ...], multiplier: str, right: str, left: str, temporary: str
) -> list[str]:
    """Instructions that scale vectors of int32 in place.

    Args:
        recipe: which.
        values: Q registers.
        multiplier: Q register, or core register for all lanes alike.
        right: likewise.
        left: likewise; not read without `recipe.has_left`.
        temporary: a free Q register, used for ties.
    """
    lines = []
    multiply = "vqrdmulh" if recipe.rounding is Rounding.DOUBLE else "vqdmulh"
    if recipe.has_left:
        lines += [f"vqshl.s32 {value}, {_shift(value, left)}" for value in values]
    lines += [f"{multiply}.s32 {value}, {value}, {multiplier}" for value in values]
    if recipe.has_ties:
        for value in values:
            lines += _mend_ties(recipe, value, right, temporary)
    lines += [f"vrshl.s32 {value}, {_shift(value, right)}" for value in values]
    return lines


def _shift(value: str, by: str) -> str:
    """Operands behind the destination: a core register shifts a vector in place."""
    return f"{value}, {by}" if by.startswith("q") else by


def _mend_ties(recipe: Recipe, value: str, right: str, temporary: str) -> list[str]:
    lines = []
    sign = value
    if recipe.has_unshifted:  # right is negative exactly where something is shifted out
        if not right.startswith("q"):
            lines.append(f"vdup.32 {temporary}, {right}")
            right = temporary
        lines.append(f"vand {temporary}, {value}, {right}")
        sign = temporary
    return [
        *lines,
        f"vshr.s32 {temporary}, {sign}, #31",
        f"vqadd.s32 {value}, {value}, {temporary}",
    ]


def narrow_lines(
    recipe: Recipe,
    bottom: str,
    top: str,
    zero_point: str,
    clamps: tuple[str, str],
    temporary: str,
) -> list[str]:
    """Instructions from two vectors of int32 to eight int8, in the even bytes of `bottom`.

    Halfwords take turns: lane 0 of `bottom`, lane 0 of `top`, lane 1 of `bottom`, ...

    Args:
        recipe: which.
        bottom: Q register, also the result.
        top: Q register.
        zero_point: core register.
        clamps: core registers that hold minimum and maximum, read only where they clamp.
        temporary: a free Q register, used for clamps.
    """
    lines = [
        f"vqmovnb.s32 {bottom}, {bottom}",
        f"vqmovnt.s32 {bottom}, {top}",
        f"vqadd.s16 {bottom}, {bottom}, {zero_point}",
    ]
    for is_on, operation, bound in (
        (recipe.has_minimum, "vmax", clamps[0]),
        (recipe.has_maximum, "vmin", clamps[1]),
    ):
        if is_on:
            lines += [
                f"vdup.16 {temporary}, {bound}",
                f"{operation}.s16 {bottom}, {bottom}, {temporary}",
            ]
    return [*lines, f"vqmovnb.s16 {bottom}, {bottom}"]
