"""MUL: the product of two int8 tensors, broadcast as NumPy does, then a fused activation.

out = scale((a − a's zero point) × (b − b's zero point)), with a factor of a's scale × b's scale /
out's scale. `double` is TensorFlow Lite Micro's rule, the factor in float64; LiteRT's reference
kernel rounds twice as well but computes the factor in float32, which moves about one product of a
million. `single` rounds the exact product once; LiteRT's default kernel, XNNPACK's, rounds once in
float32, which differs where a product lies on a tie or within float32's error of one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from export.arithmetic.fixed_point import quantize_multiplier, scale
from export.c_text import SCALE_HELPERS, macro_prefix
from export.ops.binary import (
    BINARY_SIGNATURE,
    binary_tflite,
    centred_operands,
    emit_binary,
    infer_binary,
    to_output,
)
from export.ops.operator import Call, Shape, TfliteOperator

if TYPE_CHECKING:
    from types import ModuleType

    from numpy.typing import NDArray

    from device_profiles.core import Core
    from export.kernels.layer import KernelCode
    from export.render.onnx import OnnxWriter

NAME = "MUL"
SIGNATURE = BINARY_SIGNATURE


def infer(call: Call) -> tuple[Shape, ...]:
    """The broadcast shape."""
    return infer_binary(call)


def macs(call: Call) -> int:
    """None."""
    return 0


def _scaling(call: Call) -> tuple[int, int]:
    factor = np.float64(call.input(0).scale) * np.float64(call.input(1).scale)
    multiplier, shift = quantize_multiplier(np.asarray(factor / np.float64(call.output.scale)))
    return int(multiplier), int(shift)


def reference(call: Call, *inputs: NDArray[Any] | None) -> tuple[NDArray[Any], ...]:
    """The specification; two int8 arrays [rows, *shape]."""
    first, second = centred_operands(call, inputs)
    multiplier, shift = map(np.array, _scaling(call))
    return to_output(call, scale(first * second, multiplier, shift, call.rounding))


def emit_c(call: Call, symbol: str, core: Core) -> KernelCode:
    """Plain loops."""
    prefix, (multiplier, shift) = macro_prefix(symbol), _scaling(call)
    numbers = {
        "A_ZERO_POINT": call.input(0).zero_point,
        "B_ZERO_POINT": call.input(1).zero_point,
        "MULTIPLIER": multiplier,
        "SHIFT": shift,
    }
    helper = SCALE_HELPERS[call.rounding]
    statements = f"""\
const int32_t product = (a - {prefix}_A_ZERO_POINT) * (b - {prefix}_B_ZERO_POINT);
const int64_t scaled = {helper}(product, {prefix}_MULTIPLIER, {prefix}_SHIFT);
"""
    return emit_binary(
        call,
        symbol,
        core,
        numbers=numbers,
        statements=statements,
        rescales=1,
        rounding=call.rounding,
    )


def write_onnx(call: Call, onnx: OnnxWriter) -> None:
    """Mul."""
    value = onnx.node("Mul", onnx.real(call.input(0)), onnx.real(call.input(1)))
    onnx.quantize(onnx.activate(value, call), call.output)


def write_tflite(call: Call, schema: ModuleType) -> TfliteOperator:
    """MUL."""
    return binary_tflite(call, schema.MulOptionsT(), schema)
