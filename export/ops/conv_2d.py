"""CONV_2D: each output channel sums over a window of every input channel; see `convolution.py`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from export.arithmetic.accumulator import exact_product
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

NAME = "CONV_2D"
SIGNATURE = convolution_signature(channel_axis=0)
# Products that the reference lays out at once: bounds its memory.
MAX_PRODUCTS = 2**22


def infer(call: Call) -> tuple[Shape, ...]:
    """[1, h, w, inputs] and [outputs, kernel h, kernel w, inputs] → [1, h', w', outputs]."""
    convolution_window(call)
    source, weights = call.input(0), call.input(1)
    if weights.shape[3] != source.shape[3]:
        raise call.unsupported(
            f"weights {weights.shape} read {weights.shape[3]} of {source.shape[3]} input channels; "
            "grouped convolutions are not supported"
        )
    outputs = weights.shape[0]
    return infer_convolution(call, outputs, weights.values.reshape(outputs, -1))


def layer(call: Call, symbol: str = "layer") -> Convolution:
    """The layer with every number resolved, as kernels take it."""
    return convolution_layer(call, symbol, call.input(1).values, is_depthwise=False)


def macs(call: Call) -> int:
    """Output elements × kernel height × kernel width × input channels; padding counts."""
    return call.output.size * int(np.prod(call.input(1).shape[1:]))


def reference(call: Call, *inputs: NDArray[Any] | None) -> tuple[NDArray[Any], ...]:
    """The specification; `inputs[0]` is int8 [rows, 1, height, width, channels]."""
    source, resolved = inputs[0], layer(call)
    assert source is not None  # noqa: S101 - the signature has no optional first input
    images = source.reshape(-1, *call.input(0).shape[1:])
    step = max(1, MAX_PRODUCTS // macs(call) * resolved.output_shape[2])
    parts = [_rows(call, resolved, images[at : at + step]) for at in range(0, len(images), step)]
    rows = np.concatenate(parts) if parts else np.zeros((0, *resolved.output_shape), np.int8)
    return (rows.reshape(len(source), *call.output.shape),)


def _rows(call: Call, resolved: Convolution, images: NDArray[np.int8]) -> NDArray[np.int8]:
    centred = images.astype(np.int64) - resolved.input_zero_point
    seen = [tap for _, _, tap in convolution_window(call).taps(centred, 0)]
    weights = resolved.weights.reshape(len(resolved.bias), -1)
    sums = exact_product(np.concatenate(seen, axis=-1), weights) + resolved.bias
    return requantize(sums, resolved.requantisation)


def write_onnx(call: Call, onnx: OnnxWriter) -> None:
    """Conv between two transpositions."""
    write_onnx_convolution(call, onnx, (0, 3, 1, 2), 1)


def write_tflite(call: Call, schema: ModuleType) -> TfliteOperator:
    """CONV_2D; version 3 brought int8 with a scale per channel."""
    options, attributes = schema.Conv2DOptionsT(), call.node.attributes
    options.strideH, options.strideW = attributes["stride"]
    options.dilationHFactor, options.dilationWFactor = attributes.get("dilation", (1, 1))
    options.padding = getattr(schema.Padding, attributes["padding"])
    activation = attributes.get("activation", "NONE")
    options.fusedActivationFunction = getattr(schema.ActivationFunctionType, activation)
    return TfliteOperator(NAME, 3, options)
