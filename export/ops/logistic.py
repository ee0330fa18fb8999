"""LOGISTIC: 1 / (1 + exp(−x)), by a table of 256.

TensorFlow Lite Micro and LiteRT's reference kernels compute it in fixed point (gemmlowp), and so
do both rules here. LiteRT's default kernels give the same in all that the tests compare.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from export.arithmetic import fixed_point_functions
from export.ops.lookup import demand_output, emit_lookup, fixed_point_table, look_up
from export.ops.operator import Call, Operand, Shape, Signature, TfliteOperator

if TYPE_CHECKING:
    from types import ModuleType

    import numpy as np
    from numpy.typing import NDArray

    from device_profiles.core import Core
    from export.kernels.layer import KernelCode
    from export.render.onnx import OnnxWriter

NAME = "LOGISTIC"
SIGNATURE = Signature(inputs=(Operand("input", is_constant=False),))
FRACTION_BITS = 8


def infer(call: Call) -> tuple[Shape, ...]:
    """The input's shape; the output has scale 2^-8 and zero point −128."""
    demand_output(call, FRACTION_BITS, -128)
    return (call.input(0).shape,)


def macs(call: Call) -> int:
    """None."""
    return 0


def _table(call: Call) -> NDArray[np.int8]:
    return fixed_point_table(call, fixed_point_functions.logistic, FRACTION_BITS)


def reference(call: Call, *inputs: NDArray[Any] | None) -> tuple[NDArray[Any], ...]:
    """The specification; int8 [rows, *shape]."""
    return (look_up(_table(call), inputs[0]),)


def emit_c(call: Call, symbol: str, core: Core) -> KernelCode:
    """One plain loop over a table."""
    return emit_lookup(call, _table(call), symbol, core)


def write_onnx(call: Call, onnx: OnnxWriter) -> None:
    """Sigmoid."""
    onnx.quantize(onnx.node("Sigmoid", onnx.real(call.input(0))), call.output)


def write_tflite(call: Call, schema: ModuleType) -> TfliteOperator:
    """LOGISTIC; version 2 brought int8."""
    return TfliteOperator(NAME, 2)
