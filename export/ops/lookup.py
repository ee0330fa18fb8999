"""What LOGISTIC and TANH share: a function of one int8, so a table of 256, made here."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from export.arithmetic.fixed_point import scale_twice
from export.arithmetic.fixed_point_functions import rounding_shift
from export.c_text import constant_table, constants_block, macro_prefix, macros
from export.estimate import plain_c_instructions
from export.graph import Rounding
from export.kernels.layer import KernelCode

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from device_profiles.core import Core
    from export.ops.operator import Call

INTEGER_BITS = 4  # of the functions' argument, Q4.27


def fixed_point_table(
    call: Call, function: Callable[[NDArray[np.int64]], NDArray[np.int64]], fraction_bits: int
) -> NDArray[np.int8]:
    """The function of every int8 input, as TFLite's reference kernels compute it.

    TensorFlow Lite Micro also takes every argument from some whole number of steps on as infinite.
    At scales above 2 that number is so small that moderate arguments, from 8 on even 0, give an
    end of the range. Here they give what LiteRT gives: the function's value.

    Args:
        call: the operator.
        function: Q4.27 to Q0.31.
        fraction_bits: of the output's scale, 2^-fraction_bits.

    Returns:
        int8 [256], for −128..127.
    """
    source = call.input(0)
    real = float(source.scale) * 2.0 ** (31 - INTEGER_BITS)
    fraction, exponent = math.frexp(real)
    multiplier = np.array(min(math.floor(fraction * 2.0**31 + 0.5), 2**31 - 1))
    # Everything but 0 saturates from here on.
    shift = np.array(min(exponent, 31))
    centred = np.arange(-128, 128, dtype=np.int64) - source.zero_point
    result = function(scale_twice(centred, multiplier, shift))
    scaled = rounding_shift(result, 31 - fraction_bits) + call.output.zero_point
    return np.clip(scaled, -128, 127).astype(np.int8)


def demand_output(call: Call, fraction_bits: int, zero_point: int) -> None:
    """See that the output has the scale and zero point that TFLite fixes for the operator.

    Raises:
        UnsupportedModelError: it has others.
    """
    output, wanted = call.output, 2.0**-fraction_bits
    if float(output.scale) != wanted or output.zero_point != zero_point:
        raise call.unsupported(
            f"its output {output.name} has scale {output.scale:.9g} and zero point "
            f"{output.zero_point}; TFLite fixes them at {wanted} and {zero_point}"
        )


def look_up(table: NDArray[np.int8], source: NDArray[Any] | None) -> NDArray[np.int8]:
    """The table's entry for each int8."""
    return table[np.asarray(source, np.int64) + 128]


def emit_lookup(call: Call, table: NDArray[np.int8], symbol: str, core: Core) -> KernelCode:
    """One plain loop over a constant table."""
    prefix = macro_prefix(symbol)
    constants = constants_block((constant_table(f"{symbol}_table", table, "for -128..127"),))
    body = f"""\
static void {symbol}(const int8_t *in, int8_t *out) {{
    for (int32_t i = 0; i < {prefix}_SIZE; i++) {{
        out[i] = {symbol}_table[in[i] + 128];
    }}
}}
"""
    instructions = plain_c_instructions(
        core, outputs=call.output.size, rescales=0, rounding=Rounding.SINGLE
    )
    source = f"{macros(prefix, {'SIZE': call.output.size})}\n{constants}\n{body}"
    return KernelCode(
        symbol, source, ".c", 0, 0, instructions, 0, "table of 256", runs_in_place=True
    )
