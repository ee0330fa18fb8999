"""RESHAPE: the same elements in another shape. Nothing is computed.

The plan may give input and output one place; the copy runs only where it cannot, between an input
and an output of the whole graph.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from export.c_text import copy_loop, macro_prefix, macros
from export.estimate import plain_c_instructions
from export.graph import Rounding
from export.kernels.layer import KernelCode
from export.ops.one_scale import demand_one_scale
from export.ops.operator import Call, Operand, Shape, Signature, TfliteOperator

if TYPE_CHECKING:
    from types import ModuleType

    from numpy.typing import NDArray

    from device_profiles.core import Core
    from export.render.onnx import OnnxWriter

NAME = "RESHAPE"
SIGNATURE = Signature(inputs=(Operand("input", is_constant=False),))


def infer(call: Call) -> tuple[Shape, ...]:
    """The output's shape, which must hold as many elements."""
    if call.input(0).size != call.output.size:
        raise call.unsupported(f"{call.input(0).shape} does not fit into {call.output.shape}")
    demand_one_scale(call)
    return (call.output.shape,)


def macs(call: Call) -> int:
    """None."""
    return 0


def reference(call: Call, *inputs: NDArray[Any] | None) -> tuple[NDArray[Any], ...]:
    """The specification; int8 [rows, *shape]."""
    source = np.asarray(inputs[0])
    return (source.reshape(len(source), *call.output.shape),)


def emit_c(call: Call, symbol: str, core: Core) -> KernelCode:
    """A copy."""
    prefix = macro_prefix(symbol)
    body = f"""\
static void {symbol}(const int8_t *in, int8_t *out) {{
{copy_loop("    ", "in[i]", f"{prefix}_SIZE")}\
}}
"""
    instructions = plain_c_instructions(
        core, outputs=call.output.size, rescales=0, rounding=Rounding.SINGLE
    )
    source = f"{macros(prefix, {'SIZE': call.output.size})}\n{body}"
    return KernelCode(symbol, source, ".c", 0, 0, instructions, 0, "copy", runs_in_place=True)


def write_onnx(call: Call, onnx: OnnxWriter) -> None:
    """Reshape."""
    onnx.quantize(onnx.reshape(onnx.real(call.input(0)), call.output.shape), call.output)


def write_tflite(call: Call, schema: ModuleType) -> TfliteOperator:
    """RESHAPE, its shape both as an option and as an input, for older and newer readers."""
    options = schema.ReshapeOptionsT()
    shape = np.array(call.output.shape, np.int32)
    options.newShape = shape
    return TfliteOperator(NAME, 1, options, (shape,))
