"""What AVERAGE_POOL_2D and MAX_POOL_2D share: a window over each channel, with one scale."""

from __future__ import annotations

import math
import textwrap
from typing import TYPE_CHECKING, Any

from export.arithmetic.activation import ACTIVATIONS, activation_range
from export.arithmetic.window import Window
from export.c_text import macro_prefix, macros
from export.estimate import PLAIN_C, plain_c_instructions
from export.graph import Rounding
from export.kernels.layer import KernelCode
from export.ops.attribute_values import PAIR
from export.ops.one_scale import demand_one_scale
from export.ops.operator import Call, Operand, Shape, Signature, TfliteOperator

if TYPE_CHECKING:
    from types import ModuleType

    from device_profiles.core import Core
    from export.render.onnx import OnnxWriter

POOL_SIGNATURE = Signature(
    inputs=(Operand("input", is_constant=False),),
    attributes={
        "stride": PAIR,
        "filter": PAIR,
        "padding": ("SAME", "VALID"),
        "activation": ACTIVATIONS,
    },
)


def pool_window(call: Call) -> Window:
    """Where the window stands over the image.

    Raises:
        UnsupportedModelError: rank, batch, or a window larger than the image.
    """
    shape = call.input(0).shape
    if len(shape) != 4 or shape[0] != 1:
        raise call.unsupported(f"an input of {shape}; supported: [1, height, width, channels]")
    try:
        return Window.over(shape[1:3], call.node.attributes["filter"], call.node.attributes)
    except ValueError as error:
        raise call.unsupported(str(error)) from error


def infer_pool(call: Call) -> tuple[Shape, ...]:
    """[1, h, w, channels] → [1, h', w', channels], of one scale."""
    demand_one_scale(call, tolerance=1e-6)
    return ((1, *pool_window(call).output, call.input(0).shape[3]),)


def pool_clamps(call: Call) -> tuple[int, int]:
    """Smallest and largest output."""
    return activation_range(
        call.node.attributes.get("activation", "NONE"), call.output.quantization
    )


def emit_pool(
    call: Call, symbol: str, core: Core, *, start: int, take: str, finish: str
) -> KernelCode:
    """Plain loops over outputs and the part of the window that lies inside the image.

    Args:
        call: what to compute.
        symbol: name of the function.
        core: what the count of instructions is estimated for.
        start: value of `value` before a window.
        take: C that brings `element` into `value`.
        finish: C that makes `value` the output before its clamp; it sees what `pool_function` says.
    """
    prefix = macro_prefix(symbol)
    body = f"""\
for (int32_t channel = 0; channel < {prefix}_CHANNELS; channel++) {{
    int32_t value = {start};
    for (int32_t row = top; row < bottom; row++) {{
        for (int32_t column = left; column < right; column++) {{
            const int32_t pixel = row * {prefix}_IN_WIDTH + column;
            const int32_t element = in[pixel * {prefix}_CHANNELS + channel];
            {take}
        }}
    }}
{textwrap.indent(finish, "    ")}\
    *out++ = jl_clamp(value, {prefix}_MINIMUM, {prefix}_MAXIMUM);
}}
"""
    instructions = plain_c_instructions(
        core,
        outputs=call.output.size,
        rescales=0,
        rounding=Rounding.SINGLE,
        macs=call.output.size * math.prod(pool_window(call).size),
    )
    source = pool_function(call, symbol, body)
    return KernelCode(symbol, source, ".c", 0, 0, instructions, 0, PLAIN_C)


def pool_function(call: Call, symbol: str, body: str, helper: str = "") -> str:
    """C that runs `body` at every position of the window.

    Args:
        call: what to compute.
        symbol: name of the function.
        body: C for one position; it sees `in`, the image, `top`, `bottom`, `left` and `right`, the
            edges of the part of the window that lies inside it, and `out`, which it advances.
        helper: C that stands before the function.
    """
    prefix = macro_prefix(symbol)
    image, window = _as_line(call.input(0).shape, pool_window(call))
    minimum, maximum = pool_clamps(call)
    sizes = {
        "IN_HEIGHT": image[0],
        "IN_WIDTH": image[1],
        "OUT_HEIGHT": window.output[0],
        "OUT_WIDTH": window.output[1],
        "CHANNELS": call.output.shape[3],
        "KERNEL_HEIGHT": window.size[0],
        "KERNEL_WIDTH": window.size[1],
        "STRIDE_Y": window.stride[0],
        "STRIDE_X": window.stride[1],
        "PAD_TOP": window.before[0],
        "PAD_LEFT": window.before[1],
        "MINIMUM": minimum,
        "MAXIMUM": maximum,
    }
    edges = (_CLIPPED_EDGES if window.is_padded else _EDGES).format(prefix=prefix)
    function = f"""\
static void {symbol}(const int8_t *in, int8_t *out) {{
    for (int32_t position = 0; position < {prefix}_OUT_HEIGHT * {prefix}_OUT_WIDTH; position++) {{
{textwrap.indent(edges + body, " " * 8)}\
    }}
}}
"""
    used = {name: value for name, value in sizes.items() if f"{prefix}_{name}" in helper + function}
    return "\n".join(part for part in (macros(prefix, used), helper, function) if part)


_EDGES = """\
const int32_t top = position / {prefix}_OUT_WIDTH * {prefix}_STRIDE_Y;
const int32_t left = position % {prefix}_OUT_WIDTH * {prefix}_STRIDE_X;
const int32_t bottom = top + {prefix}_KERNEL_HEIGHT;
const int32_t right = left + {prefix}_KERNEL_WIDTH;
"""
_CLIPPED_EDGES = """\
const int32_t y = position / {prefix}_OUT_WIDTH * {prefix}_STRIDE_Y - {prefix}_PAD_TOP;
const int32_t x = position % {prefix}_OUT_WIDTH * {prefix}_STRIDE_X - {prefix}_PAD_LEFT;
const int32_t below = y + {prefix}_KERNEL_HEIGHT;
const int32_t beside = x + {prefix}_KERNEL_WIDTH;
const int32_t top = y < 0 ? 0 : y;
const int32_t left = x < 0 ? 0 : x;
const int32_t bottom = below > {prefix}_IN_HEIGHT ? {prefix}_IN_HEIGHT : below;
const int32_t right = beside > {prefix}_IN_WIDTH ? {prefix}_IN_WIDTH : beside;
"""


def _as_line(shape: Shape, window: Window) -> tuple[tuple[int, int], Window]:
    """Height and width of the image, and the window; one long row where it spans whole rows.

    A loop over one row of many pixels costs less than one over rows of few.
    """
    height, width = shape[1:3]
    if window.size[1] != width or window.output[1] != 1 or window.before[1] or window.after[1]:
        return (height, width), window
    line = Window(
        size=(1, window.size[0] * width),
        stride=(1, window.stride[0] * width),
        dilation=(1, 1),
        before=(0, window.before[0] * width),
        after=(0, window.after[0] * width),
        output=(1, window.output[0]),
    )
    return (1, height * width), line


def write_onnx_pool(call: Call, onnx: OnnxWriter, op_type: str, **attributes: Any) -> None:
    """The pool between two transpositions, for ONNX's images have their channels first."""
    window = pool_window(call)
    image = onnx.node("Transpose", onnx.real(call.input(0)), perm=[0, 3, 1, 2])
    result = onnx.node(
        op_type,
        image,
        kernel_shape=window.size,
        strides=window.stride,
        pads=(*window.before, *window.after),
        **attributes,
    )
    activated = onnx.activate(onnx.node("Transpose", result, perm=[0, 2, 3, 1]), call)
    onnx.quantize(activated, call.output)


def pool_tflite(call: Call, schema: ModuleType) -> TfliteOperator:
    """The operator; version 2 brought int8."""
    options, attributes = schema.Pool2DOptionsT(), call.node.attributes
    options.strideH, options.strideW = attributes["stride"]
    options.filterHeight, options.filterWidth = attributes["filter"]
    options.padding = getattr(schema.Padding, attributes["padding"])
    activation = attributes.get("activation", "NONE")
    options.fusedActivationFunction = getattr(schema.ActivationFunctionType, activation)
    return TfliteOperator(call.node.op, 2, options)
