"""DEQUANTIZE: int8 to real numbers, at a graph's exit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from export.ops.operator import Call, Operand, Shape, Signature, TfliteOperator

if TYPE_CHECKING:
    from types import ModuleType

    from numpy.typing import NDArray

    from device_profiles.core import Core
    from export.kernels.layer import KernelCode
    from export.render.onnx import OnnxWriter

NAME = "DEQUANTIZE"
SIGNATURE = Signature(
    inputs=(Operand("input", is_constant=False),),
    outputs=(Operand("output", ("float32",), is_constant=False),),
)


def infer(call: Call) -> tuple[Shape, ...]:
    """The input's shape."""
    return (call.input(0).shape,)


def macs(call: Call) -> int:
    """None."""
    return 0


def reference(call: Call, *inputs: NDArray[Any] | None) -> tuple[NDArray[Any], ...]:
    """The specification; int8 [rows, *shape] to float32."""
    source = call.input(0)
    centred = np.asarray(inputs[0], np.float32) - np.float32(source.zero_point)
    return (centred * source.scale,)


def emit_c(call: Call, symbol: str, core: Core) -> KernelCode:
    """Nothing: native modules compute in integers.

    Raises:
        UnsupportedModelError: always; `drop_float_boundary` removes every DEQUANTIZE at an exit.
    """
    raise call.unsupported(
        f"the float32 tensor {call.output.name} is left inside the graph",
        hint="quantise the whole model to int8",
    )


def write_onnx(call: Call, onnx: OnnxWriter) -> None:
    """DequantizeLinear alone."""
    onnx.leave(onnx.real(call.input(0)), call.output)


def write_tflite(call: Call, schema: ModuleType) -> TfliteOperator:
    """DEQUANTIZE; version 2 brought int8."""
    return TfliteOperator(NAME, 2, schema.DequantizeOptionsT())
