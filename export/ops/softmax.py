"""SOFTMAX: exp(beta × x) over its sum, along the last axis; output scale 1/256, zero point −128.

TensorFlow Lite Micro and LiteRT's reference kernels compute it in fixed point (gemmlowp), and so
do both rules here. LiteRT's default kernel gives the same in all that the tests compare. A row
whose exponentials sum to 512 or more, on which TFLite's reference kernel aborts, has shares of 0.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from export.arithmetic.fixed_point_functions import (
    doubling_high_multiply,
    exp_on_negative_values,
    input_radius,
    softmax,
)
from export.c_text import constant_table, constants_block, macro_prefix, macros
from export.estimate import plain_c_instructions
from export.graph import Rounding
from export.kernels.layer import KernelCode
from export.ops.attribute_values import Where
from export.ops.lookup import demand_output
from export.ops.operator import Call, Operand, Shape, Signature, TfliteOperator

if TYPE_CHECKING:
    from types import ModuleType

    from numpy.typing import NDArray

    from device_profiles.core import Core
    from export.render.onnx import OnnxWriter

NAME = "SOFTMAX"
SIGNATURE = Signature(
    inputs=(Operand("input", is_constant=False),),
    attributes={"beta": Where(lambda beta: math.isfinite(beta) and beta > 0)},
)
INTEGER_BITS = 5  # of the argument of exp, Q5.26
MAX_DEPTH = 4096  # gemmlowp's sum has 12 integer bits


def infer(call: Call) -> tuple[Shape, ...]:
    """The input's shape."""
    shape = call.input(0).shape
    if not shape or shape[-1] >= MAX_DEPTH:
        raise call.unsupported(f"an input of {shape}; the last dimension must be below {MAX_DEPTH}")
    demand_output(call, 8, -128)
    _scaling(call)
    return (shape,)


def macs(call: Call) -> int:
    """None."""
    return 0


def _scaling(call: Call) -> tuple[int, int, int]:
    """Multiplier and left shift from a difference of inputs to Q5.26, and the least difference."""
    beta = float(np.float32(call.node.attributes.get("beta", 1.0)))
    scaled = beta * float(call.input(0).scale) * 2.0 ** (31 - INTEGER_BITS)
    fraction, shift = math.frexp(min(scaled, 2.0**31 - 1.0))
    multiplier = math.floor(fraction * 2.0**31 + 0.5)
    if multiplier == 2**31:
        multiplier, shift = 2**30, shift + 1
    if scaled <= 1.0:
        raise call.unsupported(
            f"beta × input scale is {beta * float(call.input(0).scale):.3g}; it must be above 2^-26"
        )
    return multiplier, shift, -input_radius(INTEGER_BITS, shift)


def reference(call: Call, *inputs: NDArray[Any] | None) -> tuple[NDArray[Any], ...]:
    """The specification; int8 [rows, *shape]."""
    return (softmax(np.asarray(inputs[0]), *_scaling(call)),)


def _exponentials(call: Call) -> NDArray[np.int32]:
    """The exponentials of differences 0, −1, −2… from the largest input that count, in Q0.31."""
    multiplier, shift, least = _scaling(call)
    differences = -np.arange(min(-least, 255) + 1, dtype=np.int64)
    rescaled = doubling_high_multiply(differences << np.int64(shift), multiplier)
    return exp_on_negative_values(rescaled, INTEGER_BITS).astype(np.int32)


def emit_c(call: Call, symbol: str, core: Core) -> KernelCode:
    """The exponentials in a table; the sum's reciprocal by Newton's method, as gemmlowp."""
    prefix, exponentials = macro_prefix(symbol), _exponentials(call)
    depth = call.output.shape[-1]
    sizes = {"ROWS": call.output.size // depth, "DEPTH": depth, "EXPS": len(exponentials)}
    tables = constants_block(
        (constant_table(f"{symbol}_exps", exponentials, "exp(-beta scale i) * 2^31"),)
    )
    body = f"""\
static void {symbol}(const int8_t *in, int8_t *out) {{
    for (int32_t row = 0; row < {prefix}_ROWS; row++) {{
        int32_t largest = -128;
        for (int32_t i = 0; i < {prefix}_DEPTH; i++) {{
            largest = in[i] > largest ? in[i] : largest;
        }}
        int32_t sum = 0; // 12 integer bits
        for (int32_t i = 0; i < {prefix}_DEPTH; i++) {{
            const int32_t below = largest - in[i];
            sum += below < {prefix}_EXPS ? jl_rounding_shift({symbol}_exps[below], 12) : 0;
        }}
        int32_t headroom = 0;
        while (((uint32_t)sum << headroom >> 31) == 0) {{
            headroom++;
        }}
        // The sum is 2^(12 - headroom) * (1 + fraction).
        const int32_t fraction = (int32_t)(((uint32_t)sum << headroom) - 0x80000000u);
        const int32_t places = 12 - headroom + 23;
        const int32_t reciprocal = jl_one_over_one_plus(fraction);
        for (int32_t i = 0; i < {prefix}_DEPTH; i++) {{
            const int32_t below = largest - in[i];
            int32_t share = 0;
            if (below < {prefix}_EXPS) {{
                share = jl_doubling_high_multiply({symbol}_exps[below], reciprocal);
                share = places > 31 ? 0 : jl_rounding_shift(share, places);
            }}
            out[i] = jl_clamp(share - 128, -128, 127);
        }}
        in += {prefix}_DEPTH;
        out += {prefix}_DEPTH;
    }}
}}
"""
    instructions = plain_c_instructions(
        core, outputs=call.output.size, rescales=2, rounding=Rounding.DOUBLE
    )
    source = f"{macros(prefix, sizes)}\n{tables}\n{body}"
    return KernelCode(
        symbol, source, ".c", 0, 0, instructions, 0, "table of exponentials", runs_in_place=True
    )


def write_onnx(call: Call, onnx: OnnxWriter) -> None:
    """Softmax along the last axis."""
    value, beta = onnx.real(call.input(0)), float(call.node.attributes.get("beta", 1.0))
    if beta != 1.0:
        value = onnx.node("Mul", value, onnx.number(beta))
    onnx.quantize(onnx.node("Softmax", value, axis=-1), call.output)


def write_tflite(call: Call, schema: ModuleType) -> TfliteOperator:
    """SOFTMAX; version 2 brought int8."""
    options = schema.SoftmaxOptionsT()
    options.beta = float(call.node.attributes.get("beta", 1.0))
    return TfliteOperator(NAME, 2, options)
