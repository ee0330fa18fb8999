"""What a kernel must compute, in plain NumPy: int32 accumulators modulo 2^32, exact scaling."""

import numpy as np
from numpy.typing import NDArray

from export.graph import Rounding
from export.kernels.layer import Convolution, FullyConnected, Requantisation


def _wrap(values: NDArray[np.int64]) -> NDArray[np.int64]:
    return ((values + (1 << 31)) & 0xFFFFFFFF) - (1 << 31)


def requantise(accumulator: NDArray[np.int64], rule: Requantisation) -> NDArray[np.int8]:
    """[..., channels] int32 to int8, after TFLM (double) and LiteRT (single)."""
    value = _wrap(accumulator)
    multiplier, shift = rule.multiplier.astype(np.int64), rule.shift.astype(np.int64)
    if rule.rounding is Rounding.DOUBLE:
        value = np.clip(value << np.maximum(shift, 0), -(1 << 31), (1 << 31) - 1)
        # SaturatingRoundingDoublingHighMul, then RoundingDivideByPOT
        value = (value * multiplier + (1 << 30)) >> 31
        right = np.maximum(-shift, 0)
        mask = (np.int64(1) << right) - 1
        threshold = (mask >> 1) + (value < 0)
        value = (value >> right) + ((value & mask) > threshold)
    else:
        total = 31 - shift
        value = (value * multiplier + (np.int64(1) << (total - 1))) >> total
    value = np.clip(value + rule.zero_point, rule.minimum, rule.maximum)
    return value.astype(np.int8)


def fully_connected(layer: FullyConnected, row: NDArray[np.int8]) -> NDArray[np.int8]:
    """[rows × inputs] to [rows × outputs], flat."""
    x = row.reshape(layer.rows, -1).astype(np.int64) - layer.input_zero_point
    accumulator = x @ layer.weights.astype(np.int64).T + layer.bias
    return requantise(accumulator, layer.requantisation).ravel()


def convolution(layer: Convolution, image: NDArray[np.int8]) -> NDArray[np.int8]:
    """Flat NHWC to flat NHWC."""
    height, width, channels = layer.input_shape
    out_height, out_width, outputs = layer.output_shape
    kernel_height, kernel_width = (
        layer.weights.shape[:2] if layer.is_depthwise else (layer.weights.shape[1:3])
    )
    x = image.reshape(height, width, channels).astype(np.int64) - layer.input_zero_point
    weights = layer.weights.astype(np.int64)
    result = np.tile(layer.bias.astype(np.int64), (out_height, out_width, 1))
    for row in range(out_height):
        for column in range(out_width):
            for i in range(kernel_height):
                for j in range(kernel_width):
                    y = row * layer.stride[0] + i * layer.dilation[0] - layer.padding[0]
                    z = column * layer.stride[1] + j * layer.dilation[1] - layer.padding[1]
                    if not (0 <= y < height and 0 <= z < width):
                        continue
                    if layer.is_depthwise:
                        spread = np.repeat(x[y, z], outputs // channels)
                        result[row, column] += spread * weights[i, j]
                    else:
                        result[row, column] += weights[:, i, j] @ x[y, z]
    return requantise(result, layer.requantisation).ravel()


def run(layer: FullyConnected | Convolution, row: NDArray[np.int8]) -> NDArray[np.int8]:
    """A layer of any kind, flat to flat."""
    if isinstance(layer, FullyConnected):
        return fully_connected(layer, row)
    return convolution(layer, row)
