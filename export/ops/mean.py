"""MEAN: the mean along some axes, scaled to the output.

out = scale(Σ (in − input zero point)) + output zero point, where the factor is input scale /
(output scale × count): TFLite divides its fixed-point multiplier by the count, after a shift that
keeps its bits. `double` rounds it twice, as TensorFlow Lite Micro and LiteRT's reference kernels
do; `single` rounds once.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from export.arithmetic.fixed_point import quantize_multiplier, scale
from export.c_text import SCALE_HELPERS, macro_prefix, macros, nested_loops
from export.estimate import plain_c_instructions
from export.kernels.layer import KernelCode
from export.ops.attribute_values import AXES
from export.ops.operator import Call, Operand, Shape, Signature, TfliteOperator

if TYPE_CHECKING:
    from types import ModuleType

    from numpy.typing import NDArray

    from device_profiles.core import Core
    from export.render.onnx import OnnxWriter

NAME = "MEAN"
SIGNATURE = Signature(inputs=(Operand("input", is_constant=False),), attributes={"axes": AXES})
MAX_COUNT = 2**22  # 511 × this still fits int32


def _axes(call: Call) -> tuple[int, ...]:
    """The axes in order, each once, counted from the front."""
    rank = len(call.input(0).shape)
    wrong = [axis for axis in call.node.attributes["axes"] if not -rank <= axis < rank]
    if wrong:
        raise call.unsupported(f"axis {wrong[0]} of {rank} dimensions")
    return tuple(sorted({axis % rank for axis in call.node.attributes["axes"]}))


def _keeps_dims(call: Call) -> bool:
    return len(call.output.shape) == len(call.input(0).shape)


def _count(call: Call) -> int:
    """How many elements each mean is of."""
    return math.prod(call.input(0).shape[axis] for axis in _axes(call))


def infer(call: Call) -> tuple[Shape, ...]:
    """The input's shape with 1 along the axes, or without them where the output's rank says so."""
    axes, shape = _axes(call), call.input(0).shape
    if _count(call) > MAX_COUNT:
        raise call.unsupported(f"a mean of {_count(call)} elements; at most {MAX_COUNT}")
    if _keeps_dims(call):
        return (tuple(1 if axis in axes else size for axis, size in enumerate(shape)),)
    return (tuple(size for axis, size in enumerate(shape) if axis not in axes),)


def macs(call: Call) -> int:
    """None."""
    return 0


def scaling(call: Call) -> tuple[int, int]:
    """Multiplier and shift of the sum."""
    factor = np.float64(call.input(0).scale) / np.float64(call.output.scale)
    multiplier, shift = (int(value) for value in quantize_multiplier(np.asarray(factor)))
    count = _count(call)
    # The largest power of two that is no larger than the count, as far as shifts go.
    bits = min(count.bit_length() - 1, 31 + shift)
    return (multiplier << bits) // count, shift - bits


def reference(call: Call, *inputs: NDArray[Any] | None) -> tuple[NDArray[Any], ...]:
    """The specification; int8 [rows, *shape]."""
    source = np.asarray(inputs[0])
    axes = tuple(axis + 1 for axis in _axes(call))
    sums = source.sum(axis=axes, dtype=np.int64) - _count(call) * call.input(0).zero_point
    multiplier, shift = map(np.array, scaling(call))
    scaled = scale(sums, multiplier, shift, call.rounding) + call.output.zero_point
    return (np.clip(scaled, -128, 127).astype(np.int8).reshape(len(source), *call.output.shape),)


def emit_c(call: Call, symbol: str, core: Core) -> KernelCode:
    """Loops over the outputs around loops over the axes."""
    prefix, shape, axes = macro_prefix(symbol), call.input(0).shape, _axes(call)
    multiplier, shift = scaling(call)
    sizes = {f"D{axis}": size for axis, size in enumerate(shape)}
    sizes |= {f"STRIDE{axis}": math.prod(shape[axis + 1 :]) for axis in range(len(shape))}
    sizes |= {
        "START": -_count(call) * call.input(0).zero_point,
        "MULTIPLIER": multiplier,
        "SHIFT": shift,
        "OUT_ZERO_POINT": call.output.zero_point,
    }
    kept = [axis for axis in range(len(shape)) if axis not in axes]

    def loops(over: list[int], indent: str, body: str) -> str:
        limits = [f"{prefix}_D{axis}" for axis in over]
        return nested_loops(indent, limits, body, names=[f"i{axis}" for axis in over])

    place = [f"place += i{axis} * {prefix}_STRIDE{axis};\n" for axis in range(len(shape))]
    added = "int32_t place = 0;\n" + "".join(place) + "sum += in[place];\n"
    inner = loops(list(axes), "", added)
    scaled = f"{SCALE_HELPERS[call.rounding]}(sum, {prefix}_MULTIPLIER, {prefix}_SHIFT)"
    per_output = (
        f"int32_t sum = {prefix}_START; // input zero point\n{inner}"
        f"const int64_t scaled = {scaled};\n"
        f"*out++ = jl_clamp(scaled + {prefix}_OUT_ZERO_POINT, -128, 127);\n"
    )
    body = f"""\
static void {symbol}(const int8_t *in, int8_t *out) {{
{loops(kept, "    ", per_output)}\
}}
"""
    instructions = plain_c_instructions(
        core,
        outputs=call.output.size,
        rescales=1,
        rounding=call.rounding,
        macs=call.input(0).size,
    )
    source = f"{macros(prefix, sizes)}\n{body}"
    return KernelCode(symbol, source, ".c", 0, 0, instructions, 0, "plain C")


def write_onnx(call: Call, onnx: OnnxWriter) -> None:
    """ReduceMean."""
    mean = onnx.node(
        "ReduceMean",
        onnx.real(call.input(0)),
        onnx.integers(_axes(call)),
        keepdims=int(_keeps_dims(call)),
    )
    onnx.quantize(mean, call.output)


def write_tflite(call: Call, schema: ModuleType) -> TfliteOperator:
    """MEAN; version 2 brought int8."""
    options = schema.ReducerOptionsT()
    options.keepDims = _keeps_dims(call)
    axes = np.array(call.node.attributes["axes"], np.int32)
    return TfliteOperator(NAME, 2, options, (axes,))
