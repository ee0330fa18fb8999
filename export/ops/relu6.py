"""RELU6: the part between 0 and 6, scaled where input and output have different scales.

LiteRT rounds twice here, under either rule. TensorFlow Lite Micro does not scale in RELU6, so it
agrees where input and output have one scale and zero point, as a converter writes them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from export.arithmetic.activation import activation_range
from export.ops.operator import Call, Operand, Shape, Signature, TfliteOperator
from export.ops.unary import UnaryScaling, emit_unary, unary_reference, unary_scaling

if TYPE_CHECKING:
    from types import ModuleType

    from numpy.typing import NDArray

    from device_profiles.core import Core
    from export.kernels.layer import KernelCode
    from export.render.onnx import OnnxWriter

NAME = "RELU6"
SIGNATURE = Signature(inputs=(Operand("input", is_constant=False),))


def infer(call: Call) -> tuple[Shape, ...]:
    """The input's shape."""
    return (call.input(0).shape,)


def macs(call: Call) -> int:
    """None."""
    return 0


def _scaling(call: Call) -> UnaryScaling:
    return unary_scaling(call, *activation_range(NAME, call.output.quantization))


def reference(call: Call, *inputs: NDArray[Any] | None) -> tuple[NDArray[Any], ...]:
    """The specification; int8 [rows, *shape]."""
    return (unary_reference(call, _scaling(call), np.asarray(inputs[0])),)


def emit_c(call: Call, symbol: str, core: Core) -> KernelCode:
    """One plain loop."""
    return emit_unary(call, _scaling(call), symbol, core)


def write_onnx(call: Call, onnx: OnnxWriter) -> None:
    """Clip to [0, 6]."""
    onnx.quantize(onnx.clip(onnx.real(call.input(0)), 0.0, 6.0), call.output)


def write_tflite(call: Call, schema: ModuleType) -> TfliteOperator:
    """RELU6; version 2 brought int8."""
    return TfliteOperator(NAME, 2)
