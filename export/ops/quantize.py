"""QUANTIZE: real numbers to int8 at a graph's entry, or int8 to int8 with another scale inside.

Inside, `double` is TensorFlow Lite Micro's rule. `single` is LiteRT's default kernel, XNNPACK's
conversion: a factor of 8 fractional bits, rounded once, for factors from 2^-8 to 2^7; LiteRT falls
back to rounding twice outside of that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from export.arithmetic.fixed_point import quantize_multiplier
from export.graph import Rounding
from export.ops.operator import Call, Operand, Shape, Signature, TfliteOperator
from export.ops.unary import UnaryScaling, emit_unary, unary_reference, unary_scaling

if TYPE_CHECKING:
    from types import ModuleType

    from numpy.typing import NDArray

    from device_profiles.core import Core
    from export.kernels.layer import KernelCode
    from export.render.onnx import OnnxWriter

NAME = "QUANTIZE"
SIGNATURE = Signature(inputs=(Operand("input", ("float32", "int8"), is_constant=False),))


def infer(call: Call) -> tuple[Shape, ...]:
    """The input's shape."""
    return (call.input(0).shape,)


def macs(call: Call) -> int:
    """None."""
    return 0


def _scaling(call: Call) -> UnaryScaling:
    factor = call.input(0).scale / call.output.scale  # float32, as XNNPACK
    if call.rounding is Rounding.SINGLE and 2.0**-8 <= factor <= 2.0**7:
        eight_bits = np.rint(np.float32(256.0) * factor).astype(np.float64) / 256.0
        multiplier, shift = quantize_multiplier(eight_bits)
        return UnaryScaling(int(multiplier), int(shift), -128, 127, Rounding.SINGLE)
    return unary_scaling(call, -128, 127)


def reference(call: Call, *inputs: NDArray[Any] | None) -> tuple[NDArray[Any], ...]:
    """The specification; float32 or int8 [rows, *shape]. Real numbers round to even on ties."""
    source = np.asarray(inputs[0])
    if call.input(0).dtype == "int8":
        return (unary_reference(call, _scaling(call), source),)
    scaled = np.rint(source.astype(np.float32) / call.output.scale) + call.output.zero_point
    return (np.clip(scaled, -128, 127).astype(np.int8),)


def emit_c(call: Call, symbol: str, core: Core) -> KernelCode:
    """One plain loop, from int8 alone.

    Raises:
        UnsupportedModelError: the input is float32.
    """
    if call.input(0).dtype != "int8":
        raise call.unsupported(
            f"the float32 tensor {call.input(0).name} is left inside the graph",
            hint="quantise the whole model to int8",
        )
    return emit_unary(call, _scaling(call), symbol, core)


def write_onnx(call: Call, onnx: OnnxWriter) -> None:
    """QuantizeLinear alone."""
    onnx.quantize(onnx.real(call.input(0)), call.output)


def write_tflite(call: Call, schema: ModuleType) -> TfliteOperator:
    """QUANTIZE."""
    return TfliteOperator(NAME, 1, schema.QuantizeOptionsT())
