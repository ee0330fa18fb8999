"""Sums of products: their range, proven per layer, and how they are scaled to int8."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from export.arithmetic.activation import activation_range
from export.arithmetic.fixed_point import INT32_MAX, quantize_multiplier
from export.kernels.layer import Requantisation

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from export.graph import Quant, Rounding, Tensor


def exact_product(rows: NDArray[np.int64], weights: NDArray[np.int8]) -> NDArray[np.int64]:
    """Rows [..., inputs] × weights [outputs, inputs] → int64 [..., outputs], exact.

    In float64, where NumPy has a fast product: the sums stay below 2^53.
    """
    product = rows.astype(np.float64) @ weights.T.astype(np.float64)
    return product.astype(np.int64)


def accumulator_range(
    weights: NDArray[np.int8], bias: NDArray[np.int32], input_zero_point: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Smallest and largest sum that any int8 input can reach, int64 [outputs].

    Args:
        weights: int8 [outputs, products].
        bias: int32 [outputs].
        input_zero_point: −128..127.
    """
    at_lowest = weights.astype(np.int64) * (-128 - input_zero_point)
    at_highest = weights.astype(np.int64) * (127 - input_zero_point)
    low = bias + np.minimum(at_lowest, at_highest).sum(axis=1)
    high = bias + np.maximum(at_lowest, at_highest).sum(axis=1)
    return low, high


def fits_int32(
    weights: NDArray[np.int8], bias: NDArray[np.int32], input_zero_point: int
) -> NDArray[np.bool_]:
    """Per output: can no partial sum, in whatever order, leave int32?

    The bound holds for (in − zero point) × w and for the zero point folded into the bias.
    """
    largest = np.abs(weights.astype(np.int64)).sum(axis=1)
    bound = np.abs(bias.astype(np.int64)) + largest * (128 + abs(input_zero_point))
    fits: NDArray[np.bool_] = bound <= INT32_MAX
    return fits


def product_factor(
    input_scale: np.float32,
    weight_scale: NDArray[np.float32],
    output_scale: np.float32,
    *,
    is_per_channel: bool,
) -> NDArray[np.float64]:
    """Input scale × weight scale / output scale, [channels].

    TFLite multiplies the first two in float32 when weights have one scale, and in float64 when they
    have one per channel.
    """
    if is_per_channel:
        product = np.float64(input_scale) * weight_scale.astype(np.float64)
    else:
        product = (input_scale * weight_scale).astype(np.float64)
    return np.asarray(product / np.float64(output_scale), np.float64)


def product_requantisation(
    source: Tensor, weights: Tensor, output: Tensor, activation: str, rounding: Rounding
) -> Requantisation:
    """How sums of input × weight become an int8 output, per output channel."""
    is_per_channel = weights.quantization.axis is not None
    scales = weights.quantization.scale
    factor = product_factor(source.scale, scales, output.scale, is_per_channel=is_per_channel)
    channels = weights.shape[weights.quantization.axis or 0]
    multiplier, shift = quantize_multiplier(np.broadcast_to(factor, (channels,)))
    minimum, maximum = activation_range(activation, output.quantization)
    return Requantisation(multiplier, shift, output.zero_point, minimum, maximum, rounding)


def bias_scale_matches(source: Tensor, weights: Tensor, bias: Tensor, output: Tensor) -> bool:
    """Is the bias scaled as the sums are, input scale × weight scale, as TFLite demands?"""
    quant: Quant | None = bias.quant
    if quant is None:
        return False
    sums: NDArray[Any] = np.float64(source.scale) * weights.quantization.scale.astype(np.float64)
    difference = np.abs(quant.scale.astype(np.float64) - sums)
    # TFLite's limit, kernel_util.cc: 2 % of an output step.
    return bool(np.all(difference / np.float64(output.scale) <= 0.02))
