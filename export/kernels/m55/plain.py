"""The fallback: plain C for depthwise shapes that no tile fits. Exact for every shape, and slow."""

from __future__ import annotations

import numpy as np

from export.graph import Rounding
from export.kernels.c_text import integer_array
from export.kernels.layer import Convolution, KernelCode

_PER_TAP_INSTRUCTIONS = 14
_PER_OUTPUT_INSTRUCTIONS = 40
_STACK_BYTES = 120

# One rounding: the 64-bit product, half added, shifted down. Two: the doubling high multiply, then
# the shift with ties away from zero, behind a left shift that saturates.
_SCALE = {
    Rounding.SINGLE: """\
static int32_t scaled(int32_t value, int32_t multiplier, int32_t shift) {
    const int32_t places = 31 - shift;
    return (int32_t)(((int64_t)value * multiplier + ((int64_t)1 << (places - 1))) >> places);
}
""",
    Rounding.DOUBLE: """\
static int32_t scaled(int32_t value, int32_t multiplier, int32_t shift) {
    const int32_t right = shift < 0 ? -shift : 0;
    int64_t wide = (int64_t)value * ((int64_t)1 << (shift > 0 ? shift : 0));
    wide = wide > INT32_MAX ? INT32_MAX : wide < INT32_MIN ? INT32_MIN : wide;
    const int32_t high = (int32_t)((wide * multiplier + ((int64_t)1 << 30)) >> 31);
    const int32_t mask = (int32_t)(((int64_t)1 << right) - 1);
    const int32_t threshold = (mask >> 1) + (high < 0);
    return (high >> right) + ((high & mask) > threshold);
}
""",
}


def plain_depthwise(layer: Convolution) -> KernelCode:
    """C for a depthwise convolution of any shape."""
    name, rule = layer.name, layer.requantisation
    (height, width, channels), (in_height, in_width, in_channels) = (
        layer.output_shape,
        layer.input_shape,
    )
    kernel_height, kernel_width = layer.weights.shape[:2]
    taps = kernel_height * kernel_width
    # A huge accumulator times 2^31 leaves int32 in the single rule before it is clamped.
    source = f"""\
#include <stdint.h>

{_SCALE[rule.rounding]}
{integer_array(f"{name}_weights", layer.weights)}
{integer_array(f"{name}_bias", layer.bias)}
{integer_array(f"{name}_multiplier", rule.multiplier.astype(np.int32))}
{integer_array(f"{name}_shift", rule.shift.astype(np.int32))}
/* {name}: depthwise {kernel_height}x{kernel_width}, plain C */
void {name}(const int8_t *in, int8_t *out, void *scratch);
void {name}(const int8_t *in, int8_t *out, void *scratch) {{
    (void)scratch;
    for (int32_t at = 0; at < {height * width * channels}; at++) {{
        const int32_t channel = at % {channels};
        const int32_t top = at / {width * channels} * {layer.stride[0]} - {layer.padding[0]};
        const int32_t left =
            at / {channels} % {width} * {layer.stride[1]} - {layer.padding[1]};
        int32_t sum = {name}_bias[channel];
        for (int32_t i = 0; i < {kernel_height}; i++) {{
            const int32_t y = top + i * {layer.dilation[0]};
            for (int32_t j = 0; j < {kernel_width}; j++) {{
                const int32_t x = left + j * {layer.dilation[1]};
                if (y >= 0 && y < {in_height} && x >= 0 && x < {in_width}) {{
                    const int32_t place = (y * {in_width} + x) * {in_channels};
                    const int32_t pixel = in[place + channel / {channels // in_channels}];
                    sum += (pixel - ({layer.input_zero_point})) *
                           {name}_weights[(i * {kernel_width} + j) * {channels} + channel];
                }}
            }}
        }}
        const int32_t value =
            scaled(sum, {name}_multiplier[channel], {name}_shift[channel]) + ({rule.zero_point});
        const int32_t raised = value < {rule.minimum} ? {rule.minimum} : value;
        out[at] = (int8_t)(raised > {rule.maximum} ? {rule.maximum} : raised);
    }}
}}
"""
    return KernelCode(
        symbol=name,
        source=source,
        suffix=".c",
        scratch_bytes=0,
        weights_bytes=layer.weights.size + 12 * channels,
        instructions=height
        * width
        * channels
        * (_PER_OUTPUT_INSTRUCTIONS + taps * _PER_TAP_INSTRUCTIONS),
        stack_bytes=_STACK_BYTES,
        note="plain C: no tile of 16 bytes holds the kernel's window",
    )
