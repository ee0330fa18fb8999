"""What CONV_2D and DEPTHWISE_CONV_2D share: geometry, scaling, and the loops around their sums.

out[y, x, o] = requantise(bias[o] + Σ (in − input zero point) × weights); the padding is the input's
zero point, so it adds nothing.

`double` is TensorFlow Lite Micro's rule and that of LiteRT's reference kernels. `single` rounds the
exact product once; LiteRT's default kernels, XNNPACK's, round once in float32, which differs where
the product lies closer to a tie than float32 resolves (`arithmetic/float_rule.py`).
"""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

import numpy as np

from export.arithmetic.accumulator import bias_scale_matches, fits_int32
from export.arithmetic.activation import ACTIVATIONS, activation_range
from export.arithmetic.fixed_point import quantize_multiplier
from export.arithmetic.window import Window
from export.c_text import SCALE_HELPERS, constant_table, constants_block, macro_prefix, macros
from export.estimate import plain_c_instructions
from export.kernels.layer import Convolution, KernelCode, Requantisation
from export.ops.attribute_values import PAIR
from export.ops.operator import Call, Operand, Shape, Signature

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from device_profiles.core import Core
    from export.render.onnx import OnnxWriter


def convolution_signature(channel_axis: int) -> Signature:
    """The legal form; `channel_axis` is the weights' axis of output channels.

    The bias must be there: LiteRT refuses a CONV_2D without, and its default kernels crash on a
    DEPTHWISE_CONV_2D without (2.3).
    """
    return Signature(
        inputs=(
            Operand("input", is_constant=False),
            Operand("weights", is_constant=True, channel_axis=channel_axis),
            Operand("bias", ("int32",), is_constant=True, channel_axis=0),
        ),
        attributes={
            "stride": PAIR,
            "dilation": PAIR,
            "padding": ("SAME", "VALID"),
            "activation": ACTIVATIONS,
        },
    )


def convolution_window(call: Call) -> Window:
    """Where the weights stand over the image.

    Raises:
        UnsupportedModelError: ranks, a batch, or weights larger than the image.
    """
    source, weights = call.input(0), call.input(1)
    if len(source.shape) != 4 or source.shape[0] != 1 or len(weights.shape) != 4:
        raise call.unsupported(
            f"an input of {source.shape} and weights of {weights.shape}; supported: "
            "[1, height, width, channels] and four dimensions of weights"
        )
    try:
        return Window.over(source.shape[1:3], weights.shape[1:3], call.node.attributes)
    except ValueError as error:
        raise call.unsupported(str(error)) from error


def infer_convolution(call: Call, channels: int, by_channel: NDArray[np.int8]) -> tuple[Shape, ...]:
    """[1, height, width, channels], once scales and sums are checked.

    Args:
        call: with an input and weights that fit together.
        channels: of the output.
        by_channel: weights as [output channels, products].
    """
    source, weights, bias = call.input(0), call.input(1), call.input(2)
    if any(weights.quantization.zero_point):
        raise call.unsupported(f"weights {weights.name} must have zero point 0")
    if bias.size != channels:
        raise call.unsupported(f"bias {bias.name} has {bias.size} elements for {channels} channels")
    if not bias_scale_matches(source, weights, bias, call.output):
        raise call.unsupported(f"bias {bias.name} must have scale input scale × weight scale")
    if not fits_int32(by_channel, bias.values.reshape(channels), source.zero_point).all():
        raise call.unsupported("a sum can leave int32 (too many weights, or too large a bias)")
    return ((1, *convolution_window(call).output, channels),)


def convolution_layer(
    call: Call, symbol: str, weights: NDArray[np.int8], *, is_depthwise: bool
) -> Convolution:
    """The layer with every number resolved, as kernels take it.

    Args:
        call: verified.
        symbol: name of the layer in C.
        weights: in the order that `Convolution` wants.
        is_depthwise: one input channel per output channel.
    """
    source, window = call.input(0), convolution_window(call)
    channels = call.output.shape[-1]
    return Convolution(
        symbol,
        _image(source.shape),
        _image(call.output.shape),
        window.stride,
        window.dilation,
        window.before,
        weights,
        call.input(2).values.reshape(channels),
        source.zero_point,
        _requantisation(call, channels),
        is_depthwise,
    )


def _image(shape: Shape) -> tuple[int, int, int]:
    return shape[1], shape[2], shape[3]


def _requantisation(call: Call, channels: int) -> Requantisation:
    """TFLite computes input scale × weight scale / output scale in float64 for convolutions."""
    source, weights, output = call.input(0), call.input(1), call.output
    scales = weights.quantization.scale.astype(np.float64)
    factor = np.float64(source.scale) * scales / np.float64(output.scale)
    multiplier, shift = quantize_multiplier(np.broadcast_to(factor, (channels,)))
    activation = call.node.attributes.get("activation", "NONE")
    minimum, maximum = activation_range(activation, output.quantization)
    return Requantisation(multiplier, shift, output.zero_point, minimum, maximum, call.rounding)


def emit_convolution(
    call: Call, layer: Convolution, core: Core, *, sums: str, macs: int
) -> KernelCode:
    """Plain loops over the outputs, rows and columns of the window.

    Args:
        call: what the layer was made from.
        layer: the layer.
        core: what the count of instructions is estimated for.
        sums: C that adds one pixel's products to `sum`; it sees `pixel`, the first channel of the
            pixel, `tap`, the number of the window's element, and `o`, the output channel.
        macs: of one inference.
    """
    symbol, how, prefix = layer.name, layer.requantisation, macro_prefix(layer.name)
    tables = constants_block(
        (
            constant_table(f"{symbol}_weights", layer.weights, _weights_order(layer)),
            constant_table(f"{symbol}_bias", layer.bias, "[output channels]"),
            constant_table(f"{symbol}_multiplier", how.multiplier, "2^30..2^31 - 1, or 0"),
            constant_table(f"{symbol}_shift", how.shift.astype(np.int8), "left where positive"),
        )
    )
    body = f"""\
static void {symbol}(const int8_t *in, int8_t *out) {{
    for (int32_t position = 0; position < {prefix}_OUT_HEIGHT * {prefix}_OUT_WIDTH; position++) {{
        const int32_t top = position / {prefix}_OUT_WIDTH * {prefix}_STRIDE_Y - {prefix}_PAD_TOP;
        const int32_t left = position % {prefix}_OUT_WIDTH * {prefix}_STRIDE_X - {prefix}_PAD_LEFT;
        for (int32_t o = 0; o < {prefix}_OUT_CHANNELS; o++) {{
            int32_t sum = {symbol}_bias[o];
            for (int32_t tap = 0; tap < {prefix}_TAPS; tap++) {{
                const int32_t y = top + tap / {prefix}_KERNEL_WIDTH * {prefix}_DILATION_Y;
                const int32_t x = left + tap % {prefix}_KERNEL_WIDTH * {prefix}_DILATION_X;
                if (y < 0 || y >= {prefix}_IN_HEIGHT || x < 0 || x >= {prefix}_IN_WIDTH) {{
                    continue; // padding stands for zero
                }}
                const int32_t place = (y * {prefix}_IN_WIDTH + x) * {prefix}_IN_CHANNELS;
                const int8_t *const pixel = &in[place];
{textwrap.indent(sums, " " * 16)}\
            }}
            const int32_t multiplier = {symbol}_multiplier[o];
            const int32_t shift = {symbol}_shift[o];
            const int64_t scaled = {SCALE_HELPERS[how.rounding]}(sum, multiplier, shift);
            *out++ = jl_clamp(scaled + {prefix}_OUT_ZERO_POINT, {prefix}_MINIMUM, {prefix}_MAXIMUM);
        }}
    }}
}}
"""
    outputs = call.output.size
    return KernelCode(
        symbol,
        f"{macros(prefix, _sizes(layer))}\n{tables}\n{body}",
        ".c",
        scratch_bytes=0,
        weights_bytes=layer.weights.size + len(layer.bias) * (4 + 4 + 1),
        instructions=plain_c_instructions(
            core, outputs=outputs, rescales=1, rounding=how.rounding, macs=macs
        ),
        stack_bytes=0,
        note="plain C",
    )


def _weights_order(layer: Convolution) -> str:
    if layer.is_depthwise:
        return "[kernel height][kernel width][output channels]"
    return "[output channels][kernel height][kernel width][input channels]"


def _sizes(layer: Convolution) -> dict[str, int]:
    kernel = layer.weights.shape[:2] if layer.is_depthwise else layer.weights.shape[1:3]
    how = layer.requantisation
    return {
        "IN_HEIGHT": layer.input_shape[0],
        "IN_WIDTH": layer.input_shape[1],
        "IN_CHANNELS": layer.input_shape[2],
        "IN_ZERO_POINT": layer.input_zero_point,
        "OUT_HEIGHT": layer.output_shape[0],
        "OUT_WIDTH": layer.output_shape[1],
        "OUT_CHANNELS": layer.output_shape[2],
        "OUT_ZERO_POINT": how.zero_point,
        "TAPS": kernel[0] * kernel[1],
        "KERNEL_WIDTH": kernel[1],
        "STRIDE_Y": layer.stride[0],
        "STRIDE_X": layer.stride[1],
        "DILATION_Y": layer.dilation[0],
        "DILATION_X": layer.dilation[1],
        "PAD_TOP": layer.padding[0],
        "PAD_LEFT": layer.padding[1],
        "MINIMUM": how.minimum,
        "MAXIMUM": how.maximum,
    }


def write_onnx_convolution(call: Call, onnx: OnnxWriter, order: Shape, groups: int) -> None:
    """Conv between two transpositions, for ONNX's images have their channels first.

    Args:
        call: what to write.
        onnx: the model.
        order: of the weights' axes, to [output channels, input channels, height, width].
        groups: of input channels.
    """
    window = convolution_window(call)
    image = onnx.node("Transpose", onnx.real(call.input(0)), perm=[0, 3, 1, 2])
    weights = onnx.real(onnx.transposed(call.input(1), order))
    result = onnx.node(
        "Conv",
        image,
        weights,
        onnx.real(call.input(2)),
        strides=window.stride,
        dilations=window.dilation,
        pads=(*window.before, *window.after),
        group=groups,
    )
    activated = onnx.activate(onnx.node("Transpose", result, perm=[0, 2, 3, 1]), call)
    onnx.quantize(activated, call.output)
