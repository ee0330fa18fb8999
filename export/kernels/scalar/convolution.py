"""Convolutions in plain C: one window at a time, copied unless it lies in the image as it is."""

from __future__ import annotations

from export.kernels.layer import Convolution, KernelCode
from export.kernels.scalar.rows import rows_function, rows_instructions

_STACK_BYTES = 128

_WINDOW = """\
/* The window of an output position; where it leaves the image it reads the zero point. */
static void {name}_window(const int8_t *in, int32_t row, int32_t column, int8_t *to) {{
    const int32_t top = {stride_y} * row - {pad_y}, left = {stride_x} * column - {pad_x};
    const int inside = left >= 0 && left + {span_x} <= {width};
    for (int32_t i = 0; i < {kernel_height}; i++) {{
        const int32_t y = top + {dilation_y} * i;
        const int8_t *from = in + {channels} * ({width} * y + left);
        for (int32_t j = 0; j < {kernel_width}; j++, from += {tap_bytes}) {{
            const int32_t x = left + {dilation_x} * j;
            if (y >= 0 && y < {height} && (inside || (x >= 0 && x < {width}))) {{
                for (int32_t k = 0; k < {channels}; k++) *to++ = from[k];
            }} else {{
                for (int32_t k = 0; k < {channels}; k++) *to++ = {zero_point};
            }}
        }}
    }}
}}

"""


def convolution(layer: Convolution) -> KernelCode:
    """Code for a layer of any shape and scale, not depthwise."""
    outputs, kernel_height, kernel_width, channels = layer.weights.shape
    flat = layer.weights.reshape(outputs, -1)
    inputs = flat.shape[1]
    rows, note = rows_function(
        layer.name, flat, layer.bias, layer.input_zero_point, layer.requantisation
    )
    is_pointwise = (kernel_height, kernel_width) == (1, 1)
    position = (
        f"            {layer.name}_rows(in + {channels} * ({layer.stride[0]} * row * "
        f"{layer.input_shape[1]} + {layer.stride[1]} * column), out);\n"
        if is_pointwise
        else f"            {layer.name}_window(in, row, column, scratch);\n"
        f"            {layer.name}_rows(scratch, out);\n"
    )
    unused = "    (void)scratch;\n" if is_pointwise else ""
    source = (
        f"#include <stdint.h>\n\n{rows}{'' if is_pointwise else _window(layer)}"
        f"/* {layer.name}: convolution {kernel_height}x{kernel_width}, "
        f"{layer.input_shape} -> {layer.output_shape} */\n"
        f"void {layer.name}(const int8_t *in, int8_t *out, void *scratch);\n"
        f"void {layer.name}(const int8_t *in, int8_t *out, void *scratch) {{\n{unused}"
        f"    for (int32_t row = 0; row < {layer.output_shape[0]}; row++) {{\n"
        f"        for (int32_t column = 0; column < {layer.output_shape[1]}; column++) {{\n"
        f"{position}            out += {outputs};\n        }}\n    }}\n}}\n"
    )
    count = layer.output_shape[0] * layer.output_shape[1]
    copying = 0 if is_pointwise else 5 * inputs
    return KernelCode(
        symbol=layer.name,
        source=source,
        suffix=".c",
        scratch_bytes=0 if is_pointwise else inputs,
        weights_bytes=outputs * (inputs + 12),
        instructions=count * (rows_instructions(outputs, inputs) + copying),
        stack_bytes=_STACK_BYTES,
        note=f"plain C, four rows at a time; {note}",
    )


def _window(layer: Convolution) -> str:
    height, width, channels = layer.input_shape
    _, kernel_height, kernel_width, _ = layer.weights.shape
    return _WINDOW.format(
        name=layer.name,
        stride_y=layer.stride[0],
        stride_x=layer.stride[1],
        pad_y=layer.padding[0],
        pad_x=layer.padding[1],
        dilation_y=layer.dilation[0],
        dilation_x=layer.dilation[1],
        span_x=(kernel_width - 1) * layer.dilation[1] + 1,
        height=height,
        width=width,
        channels=channels,
        tap_bytes=layer.dilation[1] * channels,
        kernel_height=kernel_height,
        kernel_width=kernel_width,
        zero_point=layer.input_zero_point,
    )
