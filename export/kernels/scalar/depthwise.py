"""Depthwise layers in plain C: a channel becomes a padded plane, so that no window leaves it."""

from __future__ import annotations

import numpy as np

from export.kernels.bounds import accumulator_interval, folded_bias
from export.kernels.c_text import integer_array
from export.kernels.layer import Convolution, KernelCode
from export.kernels.scalar.requantise import scale_function

_STACK_BYTES = 128

_LARGEST_UNROLLED = 25  # taps; a larger window is a loop

_GATHER = """\
/* One channel of the image, without its padding, which is there already. */
static void {name}_gather(const int8_t *in, int8_t *plane) {{
    for (uint32_t row = 0; row < {rows}; row++) {{
        for (uint32_t column = 0; column < {columns}; column++)
            plane[{plane_width} * row + column] = in[{channels} * ({width} * row + column)];
    }}
}}

"""

_CHANNEL = """\
static void {name}_channel(const int8_t *plane, int8_t *out, uint32_t channel) {{
    const int8_t *const weights = {name}_weights + {taps} * channel;
    const uint32_t bias = (uint32_t){name}_bias[channel];
{locals}    for (uint32_t row = 0; row < {out_height}; row++) {{
        const int8_t *from = plane + {row_step} * row;
        for (uint32_t column = 0; column < {out_width}; column++, from += {stride_x}) {{
            uint32_t sum = bias;
{products}            *out = {name}_scale(sum, channel);
            out += {outputs};
        }}
    }}
}}

"""

_LOOP = """\
            for (uint32_t i = 0; i < {kernel_height}; i++) {{
                for (uint32_t j = 0; j < {kernel_width}; j++)
                    sum += (uint32_t)(from[{tap_row} * i + {tap_column} * j] *
                                      weights[{kernel_width} * i + j]);
            }}
"""

_FUNCTION = """\
/* {name}: depthwise {kernel_height}x{kernel_width}, {input_shape} -> {output_shape} */
void {name}(const int8_t *in, int8_t *out, void *scratch);
void {name}(const int8_t *in, int8_t *out, void *scratch) {{
    int8_t *const plane = scratch;
    for (uint32_t i = 0; i < {plane_bytes}; i++) plane[i] = {zero_point};
    for (uint32_t c = 0; c < {channels}; c++) {{
        {name}_gather(in + c, plane + {inner});
        for (uint32_t n = {multiplier} * c; n < {multiplier} * (c + 1); n++)
            {name}_channel(plane, out + n, n);
    }}
}}
"""


def depthwise(layer: Convolution) -> KernelCode:
    """Code for a depthwise layer of any shape and scale."""
    outputs, channels = layer.output_shape[2], layer.input_shape[2]
    flat = layer.weights.reshape(-1, outputs).T
    scale, note = scale_function(
        layer.name,
        layer.requantisation,
        accumulator_interval(flat, layer.bias, layer.input_zero_point),
    )
    folded = folded_bias(flat, layer.bias, layer.input_zero_point).astype(np.uint32)
    numbers = _numbers(layer)
    plane_height, plane_width = _plane_shape(layer)
    source = (
        "#include <stdint.h>\n\n"
        f"{integer_array(f'{layer.name}_weights', np.ascontiguousarray(flat))}"
        f"/* the input's zero point is folded in */\n"
        f"{integer_array(f'{layer.name}_bias', folded.view(np.int32))}{scale}"
        f"{_GATHER.format(**numbers)}{_CHANNEL.format(**numbers)}{_FUNCTION.format(**numbers)}"
    )
    positions = layer.output_shape[0] * layer.output_shape[1]
    gathered = layer.input_shape[0] * layer.input_shape[1] * channels
    return KernelCode(
        symbol=layer.name,
        source=source,
        suffix=".c",
        scratch_bytes=plane_height * plane_width,
        weights_bytes=layer.weights.size + 12 * outputs,
        instructions=positions * outputs * (3 * flat.shape[1] + 20) + 5 * gathered,
        stack_bytes=_STACK_BYTES,
        note=f"plain C, a channel's padded plane at a time; {note}",
        runs_in_place=outputs == channels,
    )


def _plane_shape(layer: Convolution) -> tuple[int, int]:
    """Rows and columns that the windows cover, padding included."""
    height, width = (
        (layer.output_shape[axis] - 1) * layer.stride[axis]
        + (layer.weights.shape[axis] - 1) * layer.dilation[axis]
        + 1
        for axis in range(2)
    )
    return height, width


def _numbers(layer: Convolution) -> dict[str, object]:
    """What the C is filled in with."""
    kernel_height, kernel_width, outputs = layer.weights.shape
    height, width, channels = layer.input_shape
    out_height, out_width, _ = layer.output_shape
    plane_height, plane_width = _plane_shape(layer)
    tap_row, tap_column = layer.dilation[0] * plane_width, layer.dilation[1]
    numbers: dict[str, object] = {
        "name": layer.name,
        "taps": kernel_height * kernel_width,
        "kernel_height": kernel_height,
        "kernel_width": kernel_width,
        "tap_row": tap_row,
        "tap_column": tap_column,
        "channels": channels,
        "outputs": outputs,
        "multiplier": outputs // channels,
        "width": width,
        "rows": max(min(height, plane_height - layer.padding[0]), 0),
        "columns": max(min(width, plane_width - layer.padding[1]), 0),
        "plane_width": plane_width,
        "plane_bytes": plane_height * plane_width,
        "inner": plane_width * layer.padding[0] + layer.padding[1],
        "row_step": layer.stride[0] * plane_width,
        "stride_x": layer.stride[1],
        "out_height": out_height,
        "out_width": out_width,
        "zero_point": layer.input_zero_point,
        "input_shape": layer.input_shape,
        "output_shape": layer.output_shape,
    }
    places = [
        tap_row * i + tap_column * j for i in range(kernel_height) for j in range(kernel_width)
    ]
    if len(places) > _LARGEST_UNROLLED:
        return numbers | {"locals": "", "products": _LOOP.format(**numbers)}
    names = [f"    const int32_t w{tap} = weights[{tap}];\n" for tap in range(len(places))]
    lines = [
        f"            sum += (uint32_t)(from[{place}] * w{tap});\n"
        for tap, place in enumerate(places)
    ]
    return numbers | {"locals": "".join(names), "products": "".join(lines)}
