"""DEPTHWISE_CONV_2D: each output channel sums over a window of one input channel.

See `convolution.py` for the rules.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from export.arithmetic.fixed_point import requantize
from export.ops.convolution import (
    convolution_layer,
    convolution_signature,
    convolution_window,
    infer_convolution,
    write_onnx_convolution,
)
from export.ops.operator import Call, Shape, TfliteOperator

if TYPE_CHECKING:
    from types import ModuleType

    from numpy.typing import NDArray

    from export.kernels.layer import Convolution
    from export.render.onnx import OnnxWriter

NAME = "DEPTHWISE_CONV_2D"
SIGNATURE = convolution_signature(channel_axis=3)


def infer(call: Call) -> tuple[Shape, ...]:
    """[1, h, w, inputs] and [1, kernel h, kernel w, outputs] → [1, h', w', outputs]."""
    convolution_window(call)
    source, weights = call.input(0), call.input(1)
    outputs = weights.shape[3]
    if weights.shape[0] != 1 or outputs % source.shape[3]:
        raise call.unsupported(
            f"weights of {weights.shape} do not fit {source.shape[3]} input channels; they must be "
            "[1, height, width, a multiple of the input channels]"
        )
    return infer_convolution(call, outputs, weights.values.reshape(-1, outputs).T)


def layer(call: Call, symbol: str = "layer") -> Convolution:
    """The layer with every number resolved, as kernels take it."""
    return convolution_layer(call, symbol, call.input(1).values[0], is_depthwise=True)


def macs(call: Call) -> int:
    """Output elements × kernel height × kernel width; padding counts."""
    return call.output.size * int(np.prod(call.input(1).shape[1:3]))


def reference(call: Call, *inputs: NDArray[Any] | None) -> tuple[NDArray[Any], ...]:
    """The specification; `inputs[0]` is int8 [rows, 1, height, width, channels]."""
    source, resolved = inputs[0], layer(call)
    assert source is not None  # noqa: S101 - the signature has no optional first input
    images = source.reshape(-1, *call.input(0).shape[1:]).astype(np.int32)
    centred = images - np.int32(resolved.input_zero_point)
    multiplier = resolved.output_shape[2] // resolved.input_shape[2]
    # `infer` has proven that no partial sum leaves int32.
    sums = np.empty((len(images), *resolved.output_shape), np.int32)
    sums[...] = resolved.bias
    for row, column, seen in convolution_window(call).taps(centred, 0):
        weights = resolved.weights[row, column].astype(np.int32)
        sums += np.repeat(seen, multiplier, axis=-1) * weights
    out = requantize(sums.astype(np.int64), resolved.requantisation)
    return (out.reshape(len(source), *call.output.shape),)


def write_onnx(call: Call, onnx: OnnxWriter) -> None:
    """Conv with a group per input channel, between two transpositions."""
    write_onnx_convolution(call, onnx, (3, 0, 1, 2), call.input(0).shape[3])


def write_tflite(call: Call, schema: ModuleType) -> TfliteOperator:
    """DEPTHWISE_CONV_2D; version 3 brought int8 with a scale per channel."""
    options, attributes = schema.DepthwiseConv2DOptionsT(), call.node.attributes
    options.strideH, options.strideW = attributes["stride"]
    options.dilationHFactor, options.dilationWFactor = attributes.get("dilation", (1, 1))
    options.padding = getattr(schema.Padding, attributes["padding"])
    options.depthMultiplier = call.output.shape[3] // call.input(0).shape[3]
    activation = attributes.get("activation", "NONE")
    options.fusedActivationFunction = getattr(schema.ActivationFunctionType, activation)
    return TfliteOperator(NAME, 3, options)
