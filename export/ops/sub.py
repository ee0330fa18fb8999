"""SUB: the difference of two int8 tensors, broadcast as NumPy does, then a fused activation.

See `sums.py` for the rules.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from export.ops.binary import BINARY_SIGNATURE, binary_tflite, infer_binary
from export.ops.operator import Call, Shape, TfliteOperator
from export.ops.sums import emit_sum, sum_reference, sum_scaling

if TYPE_CHECKING:
    from types import ModuleType

    from numpy.typing import NDArray

    from device_profiles.core import Core
    from export.kernels.layer import KernelCode
    from export.render.onnx import OnnxWriter

NAME = "SUB"
SIGNATURE = BINARY_SIGNATURE
SIGN = -1


def infer(call: Call) -> tuple[Shape, ...]:
    """The broadcast shape."""
    sum_scaling(call, SIGN)
    return infer_binary(call)


def macs(call: Call) -> int:
    """None."""
    return 0


def reference(call: Call, *inputs: NDArray[Any] | None) -> tuple[NDArray[Any], ...]:
    """The specification; two int8 arrays [rows, *shape]."""
    return sum_reference(call, inputs, SIGN)


def emit_c(call: Call, symbol: str, core: Core) -> KernelCode:
    """Plain loops."""
    return emit_sum(call, symbol, core, SIGN)


def write_onnx(call: Call, onnx: OnnxWriter) -> None:
    """Sub."""
    value = onnx.node("Sub", onnx.real(call.input(0)), onnx.real(call.input(1)))
    onnx.quantize(onnx.activate(value, call), call.output)


def write_tflite(call: Call, schema: ModuleType) -> TfliteOperator:
    """SUB."""
    return binary_tflite(call, schema.SubOptionsT(), schema)
