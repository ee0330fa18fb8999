"""AVERAGE_POOL_2D: the mean of a window, of what lies inside the image, ties away from zero.

Input and output have one scale and zero point. TensorFlow Lite Micro and LiteRT agree, so both
rules are the same.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from device_profiles.core import Isa
from export.c_text import macro_prefix
from export.estimate import PLAIN_C
from export.kernels.layer import KernelCode
from export.ops.operator import Call, Shape, TfliteOperator
from export.ops.pooling import (
    POOL_SIGNATURE,
    emit_pool,
    infer_pool,
    pool_clamps,
    pool_function,
    pool_tflite,
    pool_window,
    write_onnx_pool,
)

if TYPE_CHECKING:
    from types import ModuleType

    from numpy.typing import NDArray

    from device_profiles.core import Core
    from export.render.onnx import OnnxWriter

NAME = "AVERAGE_POOL_2D"
SIGNATURE = POOL_SIGNATURE
CHANNELS = 4  # in a word
MAX_COUNT = (2**16 - 1) // 255  # elements whose sum fits into half a word

_MEAN = """\
/* The mean of `count` elements from the sum of each plus 128, ties away from zero. */
static inline int8_t {symbol}_mean(uint32_t sum, int32_t count) {{
    const int32_t value = (int32_t)sum - 128 * count;
    const int32_t mean = (value > 0 ? value + count / 2 : value - count / 2) / count;
    return jl_clamp(mean, {prefix}_MINIMUM, {prefix}_MAXIMUM);
}}
"""
_GROUPS = """\
const int32_t count = (bottom - top) * (right - left);
for (int32_t channel = 0; channel < {prefix}_CHANNELS; channel += 4) {{
{last}\
    uint32_t even = 0; // sums of channels 0 and 2, in halves
    uint32_t odd = 0;  // of channels 1 and 3
    for (int32_t row = top; row < bottom; row++) {{
        const int32_t first = row * {prefix}_IN_WIDTH + left;
        const int8_t *pixel = &in[first * {prefix}_CHANNELS + channel];
        _Pragma("GCC unroll 4") for (int32_t column = left; column < right; column++) {{
            const uint32_t bytes = jl_load_bytes(pixel) ^ 0x80808080u; // plus 128
            even = jl_add_bytes(even, bytes);
            odd = jl_add_bytes(odd, bytes >> 8 | bytes << 24);
            pixel += {prefix}_CHANNELS;
        }}
    }}
    out[channel] = {symbol}_mean(even & 0xffff, count);
    out[channel + 1] = {symbol}_mean(odd & 0xffff, count);
    out[channel + 2] = {symbol}_mean(even >> 16, count);
    out[channel + 3] = {symbol}_mean(odd >> 16, count);
}}
out += {prefix}_CHANNELS;
"""
_LAST_GROUP = """\
    if (channel > {prefix}_CHANNELS - 4) {{
        channel = {prefix}_CHANNELS - 4; // again with some that are done
    }}
"""


def infer(call: Call) -> tuple[Shape, ...]:
    """[1, h, w, channels] → [1, h', w', channels]."""
    return infer_pool(call)


def macs(call: Call) -> int:
    """None."""
    return 0


def reference(call: Call, *inputs: NDArray[Any] | None) -> tuple[NDArray[Any], ...]:
    """The specification; int8 [rows, 1, height, width, channels]."""
    source, window = np.asarray(inputs[0]), pool_window(call)
    images = source.reshape(-1, *call.input(0).shape[1:]).astype(np.int32)
    total = sum(seen for _, _, seen in window.taps(images, 0))
    count = window.counts((images.shape[1], images.shape[2]))[:, :, None]
    magnitude = (np.abs(total) + count // 2) // count
    mean = np.where(total > 0, magnitude, -magnitude)
    out = np.clip(mean, *pool_clamps(call)).astype(np.int8)
    return (out.reshape(len(source), *call.output.shape),)


def emit_c(call: Call, symbol: str, core: Core) -> KernelCode:
    """Four channels at a time where their sums fit into halves of words; else plain loops."""
    if call.output.shape[3] < CHANNELS or math.prod(pool_window(call).size) > MAX_COUNT:
        mean = """\
const int32_t count = (bottom - top) * (right - left);
value = (value > 0 ? value + count / 2 : value - count / 2) / count;
"""
        return emit_pool(call, symbol, core, start=0, take="value += element;", finish=mean)
    prefix = macro_prefix(symbol)
    channels = call.output.shape[3]
    last = "" if channels % CHANNELS == 0 else _LAST_GROUP.format(prefix=prefix)
    source = pool_function(
        call,
        symbol,
        _GROUPS.format(prefix=prefix, symbol=symbol, last=last),
        _MEAN.format(prefix=prefix, symbol=symbol),
    )
    return KernelCode(symbol, source, ".c", 0, 0, _instructions(call, core), 0, PLAIN_C)


def _instructions(call: Call, core: Core) -> int:
    """Estimated; without Thumb-2, words are loaded byte by byte and most divisions are calls."""
    window = pool_window(call)
    count = math.prod(window.size)
    a_word, an_output = 6, 18
    if Isa.THUMB2 not in core.isa:
        a_word, an_output = 22, 15 if count.bit_count() == 1 else 200
        if window.is_padded:
            an_output = 300
    groups = math.prod(window.output) * -(-call.output.shape[3] // CHANNELS)
    return groups * (25 + count * a_word + CHANNELS * an_output)


def write_onnx(call: Call, onnx: OnnxWriter) -> None:
    """AveragePool between two transpositions."""
    write_onnx_pool(call, onnx, "AveragePool", count_include_pad=0)


def write_tflite(call: Call, schema: ModuleType) -> TfliteOperator:
    """AVERAGE_POOL_2D."""
    return pool_tflite(call, schema)
