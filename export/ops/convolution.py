"""What CONV_2D and DEPTHWISE_CONV_2D share: geometry and scaling.

out[y, x, o] = requantise(bias[o] + Σ (in − input zero point) × weights); the padding is the input's
zero point, so it adds nothing.

`double` is TensorFlow Lite Micro's rule and that of LiteRT's reference kernels. `single` rounds the
exact product once; LiteRT's default kernels, XNNPACK's, round once in float32, which differs where
the product lies closer to a tie than float32 resolves (`arithmetic/float_rule.py`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from export.arithmetic.accumulator import bias_scale_matches, fits_int32, product_factor
from export.arithmetic.activation import ACTIVATIONS, activation_range
from export.arithmetic.fixed_point import quantize_multiplier
from export.arithmetic.window import Window
from export.kernels.layer import Convolution, Requantisation
from export.ops.attribute_values import PAIR
from export.ops.operator import Call, Operand, Shape, Signature

if TYPE_CHECKING:
    from numpy.typing import NDArray

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
    """A convolution's factor is computed as if per channel, also where weights have one scale."""
    source, weights, output = call.input(0), call.input(1), call.output
    scales = weights.quantization.scale
    factor = product_factor(source.scale, scales, output.scale, is_per_channel=True)
    multiplier, shift = quantize_multiplier(np.broadcast_to(factor, (channels,)))
    activation = call.node.attributes.get("activation", "NONE")
    minimum, maximum = activation_range(activation, output.quantization)
    return Requantisation(multiplier, shift, output.zero_point, minimum, maximum, call.rounding)


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
