"""Depthwise layers in plain C: inside the image every tap, at its edges those that lie in it."""

from __future__ import annotations

import numpy as np

from export.kernels.bounds import accumulator_interval, folded_bias
from export.kernels.c_text import integer_array
from export.kernels.layer import Convolution, KernelCode
from export.kernels.scalar.requantise import scale_function

_STACK_BYTES = 128

_FUNCTION = """\
/* {name}: depthwise {kernel_height}x{kernel_width}, {input_shape} -> {output_shape} */
void {name}(const int8_t *in, int8_t *out, void *scratch);
void {name}(const int8_t *in, int8_t *out, void *scratch) {{
    (void)scratch;
    for (int32_t row = 0; row < {out_height}; row++) {{
        const int32_t top = {stride_y} * row - {pad_y};
        for (int32_t column = 0; column < {out_width}; column++) {{
            const int32_t left = {stride_x} * column - {pad_x};
            if (top >= 0 && top + {span_y} <= {height} && left >= 0 && left + {span_x} <= {width})
                {name}_inside(in + {channels} * ({width} * top + left), out);
            else
                {name}_edge(in, top, left, out);
            out += {outputs};
        }}
    }}
}}
"""

_INSIDE = """\
static void {name}_inside(const int8_t *in, int8_t *out) {{
    const int8_t *weights = {name}_weights;
    for (uint32_t c = 0; c < {outputs}; c++, weights += {taps}) {{
        const int8_t *const from = in + {source};
        uint32_t sum = (uint32_t){name}_bias[c];
{products}        out[c] = {name}_scale(sum, c);
    }}
}}

"""

_EDGE = """\
static void {name}_edge(const int8_t *in, int32_t top, int32_t left, int8_t *out) {{
    const int8_t *weights = {name}_weights;
    for (uint32_t c = 0; c < {outputs}; c++) {{
        uint32_t sum = (uint32_t){name}_bias[c];
        for (int32_t i = 0; i < {kernel_height}; i++) {{
            const int32_t y = top + {dilation_y} * i;
            for (int32_t j = 0; j < {kernel_width}; j++, weights++) {{
                const int32_t x = left + {dilation_x} * j;
                const int is_inside = y >= 0 && y < {height} && x >= 0 && x < {width};
                const int8_t *const from = in + {channels} * ({width} * y + x) + {source};
                const int32_t value = is_inside ? *from : {zero_point};
                sum += (uint32_t)(value * *weights);
            }}
        }}
        out[c] = {name}_scale(sum, c);
    }}
}}

"""


def depthwise(layer: Convolution) -> KernelCode:
    """Code for a depthwise layer of any shape and scale."""
    kernel_height, kernel_width, outputs = layer.weights.shape
    height, width, channels = layer.input_shape
    flat = layer.weights.reshape(-1, outputs).T
    scale, note = scale_function(
        layer.name,
        layer.requantisation,
        accumulator_interval(flat, layer.bias, layer.input_zero_point),
    )
    folded = folded_bias(flat, layer.bias, layer.input_zero_point).astype(np.uint32)
    multiplier = outputs // channels
    step_y, step_x = layer.dilation[0] * width * channels, layer.dilation[1] * channels
    products = "".join(
        f"        sum += (uint32_t)(from[{step_y * i + step_x * j}] * "
        f"weights[{kernel_width * i + j}]);\n"
        for i in range(kernel_height)
        for j in range(kernel_width)
    )
    numbers = {
        "name": layer.name,
        "outputs": outputs,
        "taps": flat.shape[1],
        "source": "c" if multiplier == 1 else f"c / {multiplier}",
        "products": products,
        "kernel_height": kernel_height,
        "kernel_width": kernel_width,
        "dilation_y": layer.dilation[0],
        "dilation_x": layer.dilation[1],
        "height": height,
        "width": width,
        "channels": channels,
        "zero_point": layer.input_zero_point,
        "input_shape": layer.input_shape,
        "output_shape": layer.output_shape,
        "out_height": layer.output_shape[0],
        "out_width": layer.output_shape[1],
        "stride_y": layer.stride[0],
        "stride_x": layer.stride[1],
        "pad_y": layer.padding[0],
        "pad_x": layer.padding[1],
        "span_y": (kernel_height - 1) * layer.dilation[0] + 1,
        "span_x": (kernel_width - 1) * layer.dilation[1] + 1,
    }
    source = (
        "#include <stdint.h>\n\n"
        f"{integer_array(f'{layer.name}_weights', np.ascontiguousarray(flat))}"
        f"/* the input's zero point is folded in */\n"
        f"{integer_array(f'{layer.name}_bias', folded.view(np.int32))}{scale}"
        f"{_INSIDE.format(**numbers)}{_EDGE.format(**numbers)}{_FUNCTION.format(**numbers)}"
    )
    positions = layer.output_shape[0] * layer.output_shape[1]
    return KernelCode(
        symbol=layer.name,
        source=source,
        suffix=".c",
        scratch_bytes=0,
        weights_bytes=layer.weights.size + 12 * outputs,
        instructions=positions * outputs * (5 * flat.shape[1] + 20),
        stack_bytes=_STACK_BYTES,
        note=f"plain C, a channel at a time; {note}",
    )
