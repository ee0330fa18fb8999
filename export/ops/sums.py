"""What ADD and SUB share: two inputs brought to one scale, and their sum or difference.

`double` is TFLite's rule: each input is scaled up by 2^20, scaled to twice the larger input scale,
added or subtracted, and scaled to the output, rounding twice each time. `single` is that of
LiteRT's default kernel, XNNPACK: (bias + a × multiplier_a ± b × multiplier_b) >> shift with
multipliers below 2^21, rounded once. XNNPACK takes scale ratios input/output in [2^-10, 2^8);
outside of that LiteRT falls back, and so does `single`, to rounding twice.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from export.arithmetic.fixed_point import quantize_multiplier, scale_twice
from export.c_text import macro_prefix
from export.graph import Rounding
from export.ops.binary import centred_operands, emit_binary, to_output

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from device_profiles.core import Core
    from export.kernels.layer import KernelCode
    from export.ops.operator import Call

LEFT_SHIFT = 20  # TFLite's headroom: 8-bit inputs, centred, fit in 29 bits
MULTIPLIER_BITS = 20  # XNNPACK's


@dataclass(frozen=True)
class OnceRounded:
    """(half + a × multipliers[0] + b × multipliers[1]) >> shift, of centred inputs."""

    multipliers: tuple[int, int]
    shift: int


@dataclass(frozen=True)
class TwiceRounded:
    """Multiplier and shift (<= 0) of the two inputs and of the output."""

    multipliers: tuple[int, int, int]
    shifts: tuple[int, int, int]


def sum_scaling(call: Call, sign: int) -> OnceRounded | TwiceRounded:
    """How the sum is scaled; decided by the graph's rule and the ratios of the scales.

    Args:
        call: the operator.
        sign: 1 to add the second input, −1 to subtract it.

    Raises:
        UnsupportedModelError: the output's scale is too small for TFLite's headroom.
    """
    tensors = (call.input(0), call.input(1))
    if call.rounding is Rounding.SINGLE:
        ratios = [tensor.scale / call.output.scale for tensor in tensors]  # float32
        if all(2.0**-10 <= ratio < 2.0**8 for ratio in ratios):
            # The larger ratio gets a multiplier in [2^20, 2^21).
            shift = MULTIPLIER_BITS - (int(np.frexp(max(ratios))[1]) - 1)
            first, second = (int(np.rint(np.float64(ratio) * 2.0**shift)) for ratio in ratios)
            return OnceRounded((first, sign * second), shift)
    twice_largest = 2.0 * np.float64(max(tensor.scale for tensor in tensors))
    factors = [np.float64(tensor.scale) / twice_largest for tensor in tensors]
    factors.append(twice_largest / (2.0**LEFT_SHIFT * np.float64(call.output.scale)))
    if factors[2] >= 1.0:
        raise call.unsupported("the output's scale is too small for the inputs' scales")
    (m_first, m_second, m_out), (s_first, s_second, s_out) = (
        values.tolist() for values in quantize_multiplier(np.array(factors))
    )
    return TwiceRounded((m_first, m_second, m_out), (s_first, s_second, s_out))


def sum_reference(
    call: Call, inputs: tuple[NDArray[Any] | None, ...], sign: int
) -> tuple[NDArray[np.int8]]:
    """The specification; two int8 arrays [rows, *shape]."""
    how, (first, second) = sum_scaling(call, sign), centred_operands(call, inputs)
    if isinstance(how, OnceRounded):
        half = 1 << (how.shift - 1)
        total = half + first * how.multipliers[0] + second * how.multipliers[1]
        return to_output(call, total >> how.shift)
    scales = [(np.array(m), np.array(s)) for m, s in zip(how.multipliers, how.shifts, strict=True)]
    a = scale_twice(first << LEFT_SHIFT, *scales[0])
    b = scale_twice(second << LEFT_SHIFT, *scales[1])
    return to_output(call, scale_twice(a + sign * b, *scales[2]))


def emit_sum(call: Call, symbol: str, core: Core, sign: int) -> KernelCode:
    """Plain loops."""
    how, prefix = sum_scaling(call, sign), macro_prefix(symbol)
    numbers = {
        "A_ZERO_POINT": call.input(0).zero_point,
        "B_ZERO_POINT": call.input(1).zero_point,
        "A_MULTIPLIER": how.multipliers[0],
        "B_MULTIPLIER": how.multipliers[1],
    }
    if isinstance(how, OnceRounded):
        numbers |= {"HALF": 1 << (how.shift - 1), "SHIFT": how.shift}
        statements = f"""\
const int32_t a_part = (a - {prefix}_A_ZERO_POINT) * {prefix}_A_MULTIPLIER;
const int32_t b_part = (b - {prefix}_B_ZERO_POINT) * {prefix}_B_MULTIPLIER;
const int32_t scaled = (a_part + b_part + {prefix}_HALF) >> {prefix}_SHIFT;
"""
        rescales = 0
    else:
        numbers |= {"HEADROOM": 1 << LEFT_SHIFT, "OUT_MULTIPLIER": how.multipliers[2]}
        shifts = zip(("A", "B", "OUT"), how.shifts, strict=True)
        numbers |= {f"{name}_SHIFT": shift for name, shift in shifts}
        total = "a_part + b_part" if sign > 0 else "a_part - b_part"
        statements = f"""\
const int32_t a_wide = (a - {prefix}_A_ZERO_POINT) * {prefix}_HEADROOM;
const int32_t b_wide = (b - {prefix}_B_ZERO_POINT) * {prefix}_HEADROOM;
const int64_t a_part = jl_scale_twice(a_wide, {prefix}_A_MULTIPLIER, {prefix}_A_SHIFT);
const int64_t b_part = jl_scale_twice(b_wide, {prefix}_B_MULTIPLIER, {prefix}_B_SHIFT);
const int32_t sum = (int32_t)({total});
const int64_t scaled = jl_scale_twice(sum, {prefix}_OUT_MULTIPLIER, {prefix}_OUT_SHIFT);
"""
        rescales = 3
    return emit_binary(
        call,
        symbol,
        core,
        numbers=numbers,
        statements=statements,
        rescales=rescales,
        rounding=Rounding.DOUBLE,
    )
