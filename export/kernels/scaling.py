"""int32 accumulator to int8 with one product and one shift, exact under both rounding rules.

One right shift S serves all channels, so that it is an immediate in the code. Channel c, whose own
right shift is e = -shift[c], first shifts its accumulator left by p = 1 + S - e:

    out = clamp((high word of ((acc << p) × multiplier) + offset) >> S)

`offset` = zero point × 2^S + 2^(S-1) rounds the last shift half up: that is `single` rounding.
`double` rounding first rounds the product to a multiple of 2^(31+p-1), which is another 2^(p-2) in
the offset; it then rounds ties away from zero, which is one unit of the first rounding less,
`tie` = 2^(p-1), where the accumulator is negative. Where a fused ReLU clamps those results to the
zero point, the correction cannot show and is left out. Channels with e <= 0 round once under
either rule.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from export.graph import Rounding
from export.kernels.bounds import INT8_MAX, INT8_MIN

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from export.kernels.bounds import Accumulators
    from export.kernels.layer import Requantisation

INT32_LIMIT = 1 << 31
# |high word of the product| < 2^30; the offset may take the other half of int32.
_OFFSET_LIMIT = 1 << 30
# A packed high row arrives multiplied by 2^8: one shift right by 8 - p scales it while p <= 8.
PACKED_SHIFT = 8
_LARGEST_LEFT_SHIFT = 31


@dataclass(frozen=True)
class Clamp:
    """Saturation to minimum..maximum after the shift.

    SSAT saturates to -128..127. A narrower range is moved to one end of it, saturated, moved to
    the other end and saturated again.

    Args:
        minimum: −128..127.
        maximum: `minimum`..127.
    """

    minimum: int
    maximum: int

    @property
    def entry_move(self) -> int:
        """What the offset adds beside the zero point: brings the first end to SSAT's."""
        if self.minimum > INT8_MIN:
            return INT8_MIN - self.minimum
        return INT8_MAX - self.maximum


@dataclass(frozen=True)
class Recipe:
    """The part of a scaling that is in the code, not in tables.

    Args:
        shift: S.
        needs_tie: whether the correction of negative ties is made.
        is_wide: whether a left shift p exceeds `PACKED_SHIFT`.
        clamp: after the shift.
    """

    shift: int
    needs_tie: bool
    is_wide: bool
    clamp: Clamp

    @property
    def key(self) -> str:
        """The part of a routine's symbol that says how it scales."""
        kind = ("t" if self.needs_tie else "") + ("w" if self.is_wide else "")
        bounds = (self.clamp.minimum, self.clamp.maximum)
        clamp = f"_c{bounds[0] + 128}_{bounds[1] + 128}" if bounds != (INT8_MIN, INT8_MAX) else ""
        return f"s{self.shift}{kind}{clamp}"


@dataclass(frozen=True, eq=False)
class Scaling:
    """A layer's requantisation in the form that the kernels execute.

    Args:
        shift: S, the same for all channels.
        left_shift: p, int64 [channels].
        multiplier: int64 [channels].
        offset: int64 [channels].
        tie: int64 [channels], see the module.
        needs_tie: whether `tie` has an effect somewhere.
        clamp: after the shift.
    """

    shift: int
    left_shift: NDArray[np.int64]
    multiplier: NDArray[np.int64]
    offset: NDArray[np.int64]
    tie: NDArray[np.int64]
    needs_tie: bool
    clamp: Clamp

    @property
    def is_uniform(self) -> bool:
        """Whether all channels share their numbers."""
        table = np.stack([self.left_shift, self.multiplier, self.offset, self.tie])
        return bool(np.all(table == table[:, :1]))

    @property
    def is_wide(self) -> bool:
        """Whether a left shift p exceeds `PACKED_SHIFT`."""
        return int(self.left_shift.max()) > PACKED_SHIFT

    @property
    def high_shift(self) -> NDArray[np.int64]:
        """Right shift of a packed high row that arrives times 2^8; p itself when wide."""
        shift = self.left_shift if self.is_wide else PACKED_SHIFT - self.left_shift
        return np.asarray(shift)

    @property
    def recipe(self) -> Recipe:
        """What a routine is specialised for."""
        return Recipe(self.shift, self.needs_tie, self.is_wide, self.clamp)


def right_shifts(requantisation: Requantisation) -> NDArray[np.int64]:
    """Right shift e per live channel; a channel with multiplier 0 has none."""
    live = requantisation.multiplier != 0
    shifts: NDArray[np.int64] = -requantisation.shift[live].astype(np.int64)
    return shifts


def plan_scaling(
    requantisation: Requantisation,
    accumulators: Accumulators,
    *,
    common_shift: int | None = None,
) -> Scaling | str:
    """Choose S and prove that nothing overflows.

    Args:
        requantisation: of the layer.
        accumulators: their proven intervals.
        common_shift: S that other layers of the model use; taken where it fits without wide
            left shifts, so that layers share their code.

    Returns:
        The scaling, or one sentence that says which bound fails.
    """
    shifts = right_shifts(requantisation)
    own = max(int(shifts.max(initial=0)) + 1, 2)
    if common_shift is not None:
        shared = _scaling_with(requantisation, common_shift)
        if not shared.is_wide and not _obstacle(shared, accumulators):
            return shared
    scaling = _scaling_with(requantisation, own)
    return _obstacle(scaling, accumulators) or scaling


def _scaling_with(requantisation: Requantisation, shift: int) -> Scaling:
    live = requantisation.multiplier != 0
    right = np.where(live, -requantisation.shift.astype(np.int64), shift - 1)
    left = 1 + shift - right
    clamp = Clamp(requantisation.minimum, requantisation.maximum)
    is_double = (requantisation.rounding is Rounding.DOUBLE) & live & (right >= 1)
    first_rounding = np.where(is_double & (left >= 2), np.int64(1) << np.maximum(left - 2, 0), 0)
    zero_point = requantisation.zero_point + clamp.entry_move
    offset = zero_point * (1 << shift) + (1 << (shift - 1)) + first_rounding
    tie = np.where(is_double, np.int64(1) << np.maximum(left - 1, 0), 0)
    hidden = requantisation.minimum >= requantisation.zero_point
    tie = np.zeros_like(tie) if hidden else tie
    multiplier = requantisation.multiplier.astype(np.int64)
    return Scaling(shift, left, multiplier, offset, tie, bool(np.any(tie)), clamp)


def _obstacle(scaling: Scaling, accumulators: Accumulators) -> str:
    least, most = int(scaling.left_shift.min()), int(scaling.left_shift.max())
    if least < 2:
        return f"right shift {1 + scaling.shift - least} does not fit under S = {scaling.shift}"
    if most > _LARGEST_LEFT_SHIFT:
        return f"shifts differ by {most - least}, more than {_LARGEST_LEFT_SHIFT - 2}"
    if scaling.shift > 31:
        return f"a right shift of {scaling.shift} exceeds SSAT's 31"
    largest = int(accumulators.magnitude.max())
    if largest < INT32_LIMIT:
        largest = int((accumulators.magnitude << scaling.left_shift).max())
    if largest >= INT32_LIMIT:
        return f"an accumulator shifted left may reach {largest}, 2^31 or more"
    largest = int((np.abs(scaling.offset) + scaling.tie).max())
    if largest >= _OFFSET_LIMIT:
        return f"the rounding offset reaches {largest}, 2^30 or more"
    return ""
