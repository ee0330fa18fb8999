"""What the operators with one input and one output of the same shape share.

out = clamp(scale(in − input zero point) + output zero point)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from export.arithmetic.fixed_point import quantize_multiplier, scale
from export.c_text import SCALE_HELPERS, macros
from export.estimate import PLAIN_C, plain_c_instructions
from export.graph import Rounding
from export.kernels.layer import KernelCode

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from device_profiles.core import Core
    from export.ops.operator import Call


@dataclass(frozen=True)
class UnaryScaling:
    """One factor for a whole tensor: multiplier and shift as in `fixed_point`, and the clamps."""

    multiplier: int
    shift: int
    minimum: int
    maximum: int
    rounding: Rounding


def unary_scaling(
    call: Call, minimum: int, maximum: int, rounding: Rounding = Rounding.DOUBLE
) -> UnaryScaling:
    """Input scale / output scale, divided in float64 as TFLite does."""
    factor = np.float64(call.input(0).scale) / np.float64(call.output.scale)
    multiplier, shift = quantize_multiplier(factor)
    return UnaryScaling(int(multiplier), int(shift), minimum, maximum, rounding)


def unary_reference(call: Call, how: UnaryScaling, source: NDArray[Any]) -> NDArray[np.int8]:
    """The specification; int8 [rows, *shape]."""
    centred = source.astype(np.int64) - call.input(0).zero_point
    scaled = scale(centred, np.int64(how.multiplier), np.int64(how.shift), how.rounding)
    return np.clip(scaled + call.output.zero_point, how.minimum, how.maximum).astype(np.int8)


def emit_unary(call: Call, how: UnaryScaling, symbol: str, core: Core) -> KernelCode:
    """One plain loop."""
    prefix, scale_helper = symbol.upper(), SCALE_HELPERS[how.rounding]
    sizes = macros(
        prefix,
        {
            "SIZE": call.output.size,
            "INPUT_ZERO_POINT": call.input(0).zero_point,
            "MULTIPLIER": how.multiplier,
            "SHIFT": how.shift,
            "ZERO_POINT": call.output.zero_point,
            "MINIMUM": how.minimum,
            "MAXIMUM": how.maximum,
        },
    )
    body = f"""\
static void {symbol}(const int8_t *in, int8_t *out) {{
    for (int32_t i = 0; i < {prefix}_SIZE; i++) {{
        const int32_t value = in[i] - {prefix}_INPUT_ZERO_POINT;
        const int64_t scaled = {scale_helper}(value, {prefix}_MULTIPLIER, {prefix}_SHIFT);
        out[i] = jl_clamp(scaled + {prefix}_ZERO_POINT, {prefix}_MINIMUM, {prefix}_MAXIMUM);
    }}
}}
"""
    return KernelCode(
        symbol,
        f"{sizes}\n{body}",
        ".c",
        scratch_bytes=0,
        weights_bytes=0,
        instructions=plain_c_instructions(
            core, outputs=call.output.size, rescales=1, rounding=how.rounding
        ),
        stack_bytes=0,
        note=PLAIN_C,
        runs_in_place=True,
    )
