"""Windows of an image for convolutions, in C: each is copied so that its bytes lie in a row.

A small image is padded once, and no window leaves it any more; of a large one, a window that leaves
the image is copied tap by tap. A 1×1 window is read where it lies.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from export.kernels.m4.copy import INLINE_BYTES

if TYPE_CHECKING:
    from export.kernels.layer import Convolution

_INSTRUCTIONS_A_WINDOW = 24
_INSTRUCTIONS_A_TAP = 9
# What an image may take with its padding to be padded as a whole.
_LARGEST_PADDED_BYTES = 1024


def is_pointwise(layer: Convolution) -> bool:
    """Whether a window is one position of the image."""
    return layer.weights.shape[1:3] == (1, 1)


def is_dense(layer: Convolution) -> bool:
    """Whether windows lie one behind the other in the input."""
    return is_pointwise(layer) and layer.stride == (1, 1)


def window_bytes(layer: Convolution) -> int:
    """Room for one copied window, kept at a multiple of 4."""
    return 0 if is_pointwise(layer) else -(-layer.weights[0].size // 4) * 4


def _spans(layer: Convolution) -> tuple[int, int]:
    """Rows and columns that all windows together cover, padding included."""
    height, width = (
        (layer.output_shape[axis] - 1) * layer.stride[axis]
        + (layer.weights.shape[1 + axis] - 1) * layer.dilation[axis]
        + 1
        for axis in range(2)
    )
    return height, width


def _stays_inside(layer: Convolution) -> bool:
    height, width = _spans(layer)
    is_covered = height <= layer.input_shape[0] and width <= layer.input_shape[1]
    return layer.padding == (0, 0) and is_covered


def padded_bytes(layer: Convolution) -> int:
    """Size of the padded image, or 0 where it is not padded as a whole."""
    height, width = _spans(layer)
    size = height * width * layer.input_shape[2]
    is_needed = not is_pointwise(layer) and not _stays_inside(layer)
    return size if is_needed and size <= _LARGEST_PADDED_BYTES else 0


def _padded(layer: Convolution) -> Convolution:
    """The layer as it reads the padded image, or as it is."""
    if not padded_bytes(layer):
        return layer
    return replace(layer, input_shape=(*_spans(layer), layer.input_shape[2]), padding=(0, 0))


def _pad_function(layer: Convolution) -> str:
    height, width, channels = layer.input_shape
    padded_height, padded_width = _spans(layer)
    columns = min(width, padded_width - layer.padding[1])
    return _PAD.format(
        name=layer.name,
        zero_point=layer.input_zero_point,
        padded_bytes=padded_bytes(layer),
        first=channels * (padded_width * layer.padding[0] + layer.padding[1]),
        rows=min(height, padded_height - layer.padding[0]),
        copy=_copy_bytes(columns * channels, "in"),
        row_bytes=width * channels,
        padded_row_bytes=padded_width * channels,
    )


def copy_instructions(layer: Convolution) -> int:
    """Estimate for the windows that are copied, most of them inside the image."""
    if is_pointwise(layer):
        return 0
    if padded_bytes(layer):
        height, width, channels = layer.input_shape
        padding = 60 + int(0.8 * padded_bytes(layer) + height * (10 + _copied(width * channels)))
        return padding + copy_instructions(_padded(layer))
    inside = 1
    for axis in range(2):
        span = (layer.weights.shape[1 + axis] - 1) * layer.dilation[axis] + 1
        starts = np.arange(layer.output_shape[axis]) * layer.stride[axis] - layer.padding[axis]
        inside *= int(np.sum((starts >= 0) & (starts + span <= layer.input_shape[axis])))
    outside = layer.output_shape[0] * layer.output_shape[1] - inside
    _, kernel_height, kernel_width, channels = layer.weights.shape
    tap = _INSTRUCTIONS_A_TAP + _copied(channels)
    line = _copied(kernel_width * channels) if layer.dilation[1] == 1 else kernel_width * tap
    window = _INSTRUCTIONS_A_WINDOW + kernel_height * line
    border = _INSTRUCTIONS_A_WINDOW + kernel_height * kernel_width * tap
    return int(inside * window + outside * border)


def _copied(count: int) -> float:
    """Instructions that move `count` neighbouring bytes."""
    return 2 + count / 2 if count <= INLINE_BYTES else 22 + 0.7 * count + 3 * (count % 16)


_ANY_WINDOW = """\
/* Copies the window of an output position; where it leaves the image it reads the zero point. */
static const int8_t *{name}_window(const int8_t *in, int32_t row, int32_t column, int8_t *copy) {{
    const int32_t top = {stride_y} * row - {pad_y}, left = {stride_x} * column - {pad_x};
    int8_t *to = copy;
    if (top >= 0 && top + {span_y} <= {height} && left >= 0 && left + {span_x} <= {width}) {{
        const int8_t *line = in + {channels} * ({width} * top + left);
{unroll}        for (int32_t i = 0; i < {kernel_height}; i++) {{
{copy_row}            line += {row_step};
        }}
        return copy;
    }}
    for (int32_t i = 0; i < {kernel_height}; i++) {{
        const int32_t y = top + {dilation_y} * i;
        for (int32_t j = 0; j < {kernel_width}; j++) {{
            const int32_t x = left + {dilation_x} * j;
            if (y >= 0 && y < {height} && x >= 0 && x < {width}) {{
                const int8_t *from = in + {channels} * ({width} * y + x);
                {copy_tap}
            }} else {{
                {fill_tap}
            }}
            to += {channels};
        }}
    }}
    return copy;
}}

"""


_INSIDE_WINDOW = """\
/* Copies the window of an output position; none leaves the image. */
static const int8_t *{name}_window(const int8_t *in, int32_t row, int32_t column, int8_t *copy) {{
    const int8_t *line = in + {channels} * ({stride_y} * {width} * row + {stride_x} * column);
    int8_t *to = copy;
{unroll}    for (int32_t i = 0; i < {kernel_height}; i++) {{
{copy_row}        line += {row_step};
    }}
    return copy;
}}

"""

_PAD = """\
/* The image with its padding, which reads the zero point. */
static void {name}_pad(const int8_t *in, int8_t *to) {{
    jl_m4_fill(to, {zero_point}, {padded_bytes});
    to += {first};
    for (uint32_t row = 0; row < {rows}; row++) {{
        {copy}
        in += {row_bytes};
        to += {padded_row_bytes};
    }}
}}

"""


def _copy_bytes(count: int, source: str) -> str:
    if count <= INLINE_BYTES:
        return f"__builtin_memcpy(to, {source}, {count});"
    return f"jl_m4_copy(to, {source}, {count});"


def _fill_bytes(count: int, value: int) -> str:
    if count <= INLINE_BYTES:
        return f"__builtin_memset(to, {value}, {count});"
    return f"jl_m4_fill(to, {value}, {count});"


def _unroll(layer: Convolution) -> str:
    """Asks for straight code where a row of the window is a few words."""
    _, kernel_height, kernel_width, channels = layer.weights.shape
    is_short = kernel_width * channels <= INLINE_BYTES and kernel_height <= INLINE_BYTES
    return f"#pragma GCC unroll {kernel_height}\n" if is_short else ""


def _copy_row(layer: Convolution) -> str:
    """C that copies one row of a window that lies inside the image."""
    _, _, kernel_width, channels = layer.weights.shape
    indent = " " * 12
    if layer.dilation[1] == 1:
        count = kernel_width * channels
        return f"{indent}{_copy_bytes(count, 'line')}\n{indent}to += {count};\n"
    tap = _copy_bytes(channels, f"line + {layer.dilation[1] * channels} * j")
    return (
        f"{indent}for (int32_t j = 0; j < {kernel_width}; j++) {{\n"
        f"{indent}    {tap}\n{indent}    to += {channels};\n{indent}}}\n"
    )


def window_functions(layer: Convolution) -> str:
    """C of `NAME_window`, and of `NAME_pad` where the image is padded first."""
    if is_pointwise(layer):
        return ""
    pad = _pad_function(layer) if padded_bytes(layer) else ""
    return pad + _window_function(_padded(layer))


def _window_function(layer: Convolution) -> str:
    height, width, channels = layer.input_shape
    _, kernel_height, kernel_width, _ = layer.weights.shape
    template = _INSIDE_WINDOW if _stays_inside(layer) else _ANY_WINDOW
    return template.format(
        name=layer.name,
        stride_y=layer.stride[0],
        stride_x=layer.stride[1],
        pad_y=layer.padding[0],
        pad_x=layer.padding[1],
        dilation_y=layer.dilation[0],
        dilation_x=layer.dilation[1],
        span_y=(kernel_height - 1) * layer.dilation[0] + 1,
        span_x=(kernel_width - 1) * layer.dilation[1] + 1,
        height=height,
        width=width,
        channels=channels,
        kernel_height=kernel_height,
        kernel_width=kernel_width,
        row_step=layer.dilation[0] * width * channels,
        copy_row=_copy_row(layer),
        unroll=_unroll(layer),
        copy_tap=_copy_bytes(channels, "from"),
        fill_tap=_fill_bytes(channels, layer.input_zero_point),
    )
