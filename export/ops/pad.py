"""PAD: zeros around a tensor, which in INT8 are its zero point.

TFLite demands one scale and zero point for input and output; so does this. Nothing is rounded.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from export.c_text import macro_prefix, macros, nested_loops
from export.estimate import plain_c_instructions
from export.graph import Rounding
from export.kernels.layer import KernelCode
from export.ops.attribute_values import Where, is_axes
from export.ops.one_scale import demand_one_scale
from export.ops.operator import Call, Operand, Shape, Signature, TfliteOperator

if TYPE_CHECKING:
    from types import ModuleType

    from numpy.typing import NDArray

    from device_profiles.core import Core
    from export.render.onnx import OnnxWriter

NAME = "PAD"


def _are_paddings(value: Any) -> bool:
    return isinstance(value, tuple) and all(
        is_axes(pair) and len(pair) == 2 and min(pair) >= 0 for pair in value
    )


SIGNATURE = Signature(
    inputs=(Operand("input", is_constant=False),), attributes={"paddings": Where(_are_paddings)}
)


def _paddings(call: Call) -> tuple[tuple[int, int], ...]:
    """(before, after) of each dimension."""
    paddings: tuple[tuple[int, int], ...] = call.node.attributes["paddings"]
    return paddings


def infer(call: Call) -> tuple[Shape, ...]:
    """Each dimension with what stands before and after it."""
    shape, paddings = call.input(0).shape, _paddings(call)
    if len(paddings) != len(shape):
        raise call.unsupported(f"{len(paddings)} pairs of padding for {len(shape)} dimensions")
    demand_one_scale(call)
    return (tuple(before + n + after for n, (before, after) in zip(shape, paddings, strict=True)),)


def macs(call: Call) -> int:
    """None."""
    return 0


def reference(call: Call, *inputs: NDArray[Any] | None) -> tuple[NDArray[Any], ...]:
    """The specification; int8 [rows, *shape]."""
    edges = ((0, 0), *_paddings(call))
    return (np.pad(np.asarray(inputs[0]), edges, constant_values=call.output.zero_point),)


def emit_c(call: Call, symbol: str, core: Core) -> KernelCode:
    """Fill with zeros, then put the input in its place."""
    prefix, shape = macro_prefix(symbol), call.output.shape
    sizes = {"SIZE": call.output.size, "ZERO_POINT": call.output.zero_point}
    sizes |= {f"D{axis}": size for axis, size in enumerate(call.input(0).shape)}
    sizes |= {f"STRIDE{axis}": math.prod(shape[axis + 1 :]) for axis in range(len(shape))}
    starts = [before for before, _ in _paddings(call)]
    sizes["START"] = sum(s * sizes[f"STRIDE{axis}"] for axis, s in enumerate(starts))
    place = [f"{prefix}_START", *(f"i{axis} * {prefix}_STRIDE{axis}" for axis in range(len(shape)))]
    place_lines = "int32_t place = " + place[0] + ";\n"
    place_lines += "".join(f"place += {term};\n" for term in place[1:])
    limits = [f"{prefix}_D{axis}" for axis in range(len(shape))]
    body = f"""\
static void {symbol}(const int8_t *in, int8_t *out) {{
    for (int32_t i = 0; i < {prefix}_SIZE; i++) {{
        out[i] = {prefix}_ZERO_POINT;
    }}
{nested_loops("    ", limits, place_lines + "out[place] = *in++;" + chr(10))}\
}}
"""
    instructions = plain_c_instructions(
        core, outputs=2 * call.output.size, rescales=0, rounding=Rounding.SINGLE
    )
    source = f"{macros(prefix, sizes)}\n{body}"
    return KernelCode(symbol, source, ".c", 0, 0, instructions, 0, "plain C")


def write_onnx(call: Call, onnx: OnnxWriter) -> None:
    """Pad with zeros."""
    before, after = zip(*_paddings(call), strict=True)
    padded = onnx.node("Pad", onnx.real(call.input(0)), onnx.integers((*before, *after)))
    onnx.quantize(padded, call.output)


def write_tflite(call: Call, schema: ModuleType) -> TfliteOperator:
    """PAD; version 2 brought int8."""
    paddings = np.array(_paddings(call), np.int32)
    return TfliteOperator(NAME, 2, schema.PadOptionsT(), (paddings,))
