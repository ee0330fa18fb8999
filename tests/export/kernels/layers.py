"""Random layers whose outputs spread over the whole int8 range, and rows that stress them."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from export.graph import Rounding
from export.kernels.layer import Convolution, FullyConnected, Requantisation


def requantisation(
    random: np.random.Generator,
    channels: int,
    spread: float,
    *,
    rounding: Rounding = Rounding.DOUBLE,
    per_channel: bool = True,
    power_of_two: bool = False,
    scale_octaves: float = 3.0,
    zero_point: int | None = None,
    minimum: int = -128,
    maximum: int = 127,
) -> Requantisation:
    """Scales that map accumulators of standard deviation `spread` to about ±60.

    Args:
        random: source of randomness.
        channels: how many.
        spread: of the accumulators.
        rounding: the rule.
        per_channel: each channel its own scale; else one for all.
        power_of_two: scales that make every second result a tie.
        scale_octaves: the channels' scales lie within a factor of 2^this.
        zero_point: of the output, or None for a random one.
        minimum: lower clamp.
        maximum: upper clamp.
    """
    scale = (
        60
        / spread
        * 2.0 ** (scale_octaves * random.uniform(-0.5, 0.5, channels if per_channel else 1))
    )
    if power_of_two:
        scale = 2.0 ** np.floor(np.log2(scale))
    fraction, exponent = np.frexp(np.broadcast_to(scale, channels))
    multiplier = np.minimum(np.round(fraction * (1 << 31)), (1 << 31) - 1).astype(np.int32)
    if zero_point is None:
        zero_point = int(random.integers(-128, 128))
    return Requantisation(
        multiplier, exponent.astype(np.int32), zero_point, minimum, maximum, rounding
    )


def relu(rule: Requantisation) -> Requantisation:
    """The same with a fused ReLU."""
    return Requantisation(
        rule.multiplier, rule.shift, rule.zero_point, rule.zero_point, 127, rule.rounding
    )


def fully_connected(
    random: np.random.Generator,
    name: str,
    inputs: int,
    outputs: int,
    *,
    input_zero_point: int = 0,
    rows: int = 1,
    **scales: Any,
) -> FullyConnected:
    """A layer of random weights, −127..127."""
    deviation = 40 if inputs < 1000 else 10  # so that the sum stays below 2^23
    spread = 45.0 * deviation * inputs**0.5
    weights = np.clip(random.normal(0, deviation, (outputs, inputs)).round(), -127, 127)
    bias = random.normal(0, spread / 4, outputs).astype(np.int32)
    rule = requantisation(random, outputs, spread, **scales)
    return FullyConnected(name, weights.astype(np.int8), bias, input_zero_point, rule, rows)


def test_rows(random: np.random.Generator, count: int, size: int) -> NDArray[np.int8]:
    """Uniform rows, then rows of extremes alone: all lowest, all highest, mixed."""
    uniform = random.integers(-128, 128, (count, size))
    mixed = random.choice([-128, 127], (2, size))
    ends = np.stack([np.full(size, -128), np.full(size, 127)])
    return np.concatenate([uniform, mixed, ends]).astype(np.int8)


def convolution(
    random: np.random.Generator,
    name: str,
    input_shape: tuple[int, int, int],
    outputs: int,
    kernel: tuple[int, int],
    *,
    stride: tuple[int, int] = (1, 1),
    dilation: tuple[int, int] = (1, 1),
    is_same: bool = True,
    is_depthwise: bool = False,
    input_zero_point: int = 0,
    **scales: Any,
) -> Convolution:
    """A convolution of random weights, padded as TFLite's SAME or VALID."""
    height, width, channels = input_shape
    sizes, padding = [], []
    for size, taps, step, spacing in zip((height, width), kernel, stride, dilation, strict=True):
        span = (taps - 1) * spacing + 1
        count = -(-size // step) if is_same else (size - span) // step + 1
        sizes.append(count)
        padding.append(max((count - 1) * step + span - size, 0) // 2)
    inputs = kernel[0] * kernel[1] * (1 if is_depthwise else channels)
    deviation = 40 if inputs < 1000 else 10
    shape = (*kernel, outputs) if is_depthwise else (outputs, *kernel, channels)
    weights = np.clip(random.normal(0, deviation, shape).round(), -127, 127)
    spread = 45.0 * deviation * inputs**0.5
    return Convolution(
        name,
        input_shape,
        (sizes[0], sizes[1], outputs),
        stride,
        dilation,
        (padding[0], padding[1]),
        weights.astype(np.int8),
        random.normal(0, spread / 4, outputs).astype(np.int32),
        input_zero_point,
        requantisation(random, outputs, spread, **scales),
        is_depthwise,
    )
