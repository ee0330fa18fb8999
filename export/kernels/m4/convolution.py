"""Convolutions for the DSP class: up to three windows at a time through the matrix core.

A 1×1 window is read where it lies; any other is copied, with the zero point where it leaves the
image. Never more than three windows are held.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from export.kernels.bounds import accumulator_interval, packing_obstacle
from export.kernels.c_text import word_array
from export.kernels.layer import Convolution, KernelCode
from export.kernels.m4.copy import DECLARATIONS as COPY_DECLARATIONS
from export.kernels.m4.copy import INLINE_BYTES, copy_routines
from export.kernels.m4.matrix_core import (
    ARGUMENTS,
    POSITIONS,
    MatrixCore,
    MatrixShape,
    choose_body,
    instructions_per_position,
    matrix_core,
    matrix_words,
)
from export.kernels.m4.widen import interleave_routine, interleaved_declaration
from export.kernels.scaling import plan_scaling

if TYPE_CHECKING:
    from export.kernels.scaling import Scaling

_WRAPPER_STACK_BYTES = 128
_INSTRUCTIONS_A_TRIPLE = 60  # of the C around the core, measured
_INSTRUCTIONS_A_WINDOW = 20


def convolution(layer: Convolution, *, common_shift: int | None = None) -> KernelCode | str:
    """Code for a layer, or one sentence that says which bound forbids this scheme.

    Args:
        layer: of any shape, not depthwise.
        common_shift: see `plan_scaling`.
    """
    outputs = int(layer.weights.shape[0])
    weights = layer.weights.reshape(outputs, -1)
    accumulators = accumulator_interval(weights, layer.bias, layer.input_zero_point)
    even = outputs - outputs % 2
    obstacle = packing_obstacle(weights[0:even:2], weights[1:even:2], accumulators)
    if obstacle:
        return obstacle
    scaling = plan_scaling(layer.requantisation, accumulators, common_shift=common_shift)
    if isinstance(scaling, str):
        return scaling
    count = layer.output_shape[0] * layer.output_shape[1]
    positions = _choose_positions(count)
    body, repeats = choose_body(2 * -(-weights.shape[1] // 4))
    shape = MatrixShape(positions, body, repeats > 1, outputs % 2 == 1)
    core = matrix_core(shape, scaling.recipe)
    widen = interleave_routine(positions)
    return KernelCode(
        symbol=layer.name,
        source=_source(layer, scaling, core, positions, body * repeats),
        suffix=".c",
        scratch_bytes=_scratch_bytes(layer, positions, body * repeats),
        weights_bytes=outputs * (weights.shape[1] + 12),
        instructions=_instructions(layer, core, positions, repeats),
        stack_bytes=_WRAPPER_STACK_BYTES + core.routine.stack_bytes,
        note=f"packed rows × {positions} positions: every accumulator stays below "
        f"{int(accumulators.magnitude.max())} < 2^23",
        routines=(widen, core.routine, *(() if _is_pointwise(layer) else copy_routines())),
        runs_in_place=_is_dense(layer) and outputs <= layer.input_shape[2],
    )


def _choose_positions(count: int) -> int:
    """How many positions to run together, the last turn repeating the last position."""
    return min(
        range(min(POSITIONS, count), 0, -1),
        key=lambda positions: (
            -(-count // positions) * positions * instructions_per_position(positions)
        ),
    )


def _is_pointwise(layer: Convolution) -> bool:
    return layer.weights.shape[1:3] == (1, 1)


def _is_dense(layer: Convolution) -> bool:
    """Whether windows lie one behind the other in the input."""
    return _is_pointwise(layer) and layer.stride == (1, 1)


def _window_bytes(layer: Convolution) -> int:
    """Room for one copied window, kept at a multiple of 4."""
    return 0 if _is_pointwise(layer) else -(-layer.weights[0].size // 4) * 4


def _scratch_bytes(layer: Convolution, positions: int, words: int) -> int:
    return positions * (4 * words + _window_bytes(layer))


def _instructions(layer: Convolution, core: MatrixCore, positions: int, repeats: int) -> int:
    inputs = int(layer.weights[0].size)
    triples = -(-layer.output_shape[0] * layer.output_shape[1] // positions)
    turns = -(-layer.output_shape[2] // 2)
    widening = 30 + -(-inputs // 4) * (1 + 3 * positions)
    matrix = core.fixed + turns * (core.turn + repeats * core.body)
    return triples * (_INSTRUCTIONS_A_TRIPLE + widening + matrix) + _copy_instructions(layer)


def _copy_instructions(layer: Convolution) -> int:
    """Estimate for the windows that are copied, most of them inside the image."""
    if _is_pointwise(layer):
        return 0
    inside = 1
    for axis in range(2):
        span = (layer.weights.shape[1 + axis] - 1) * layer.dilation[axis] + 1
        starts = np.arange(layer.output_shape[axis]) * layer.stride[axis] - layer.padding[axis]
        inside *= int(np.sum((starts >= 0) & (starts + span <= layer.input_shape[axis])))
    outside = layer.output_shape[0] * layer.output_shape[1] - inside
    _, kernel_height, kernel_width, channels = layer.weights.shape
    line = _copied(kernel_width * channels)
    window = _INSTRUCTIONS_A_WINDOW + kernel_height * line
    border = _INSTRUCTIONS_A_WINDOW + kernel_height * kernel_width * (6 + _copied(channels))
    return int(inside * window + outside * border)


def _copied(count: int) -> float:
    """Instructions that move `count` neighbouring bytes."""
    return 2 + count / 2 if count <= INLINE_BYTES else 16 + 0.7 * count + 2 * (count % 16)


_DENSE_LOOP = """\
    for (uint32_t position = 0; position < {count}; position += {positions}) {{
        const int8_t *windows[{positions}];
        for (uint32_t i = 0; i < {positions}; i++) {{
            /* the last turn repeats the last position rather than leave the image */
            const uint32_t at = position + i < {count} ? position + i : {count} - 1;
            windows[i] = in + {channels} * at;
            call.output[i] = out + {outputs} * at;
        }}
        {widen}(windows, scratch, {inputs});
        {core}(&call);
    }}
"""

_WINDOW_LOOP = """\
    int32_t row = 0, column = 0;
    for (uint32_t position = 0; position < {count}; position += {positions}) {{
        const int8_t *windows[{positions}];
        for (uint32_t i = 0; i < {positions}; i++) {{
            windows[i] = {window};
            call.output[i] = out;
            if (position + i + 1 < {count}) {{ /* else the last position is repeated */
                out += {outputs};
                if (++column == {out_width}) {{
                    column = 0;
                    row++;
                }}
            }}
        }}
        {widen}(windows, scratch, {inputs});
        {core}(&call);
    }}
"""

_COPY_WINDOW = """\
/* Copies the window of an output position; where it leaves the image it reads the zero point. */
static const int8_t *{name}_window(const int8_t *in, int32_t row, int32_t column, int8_t *copy) {{
    const int32_t top = {stride_y} * row - {pad_y}, left = {stride_x} * column - {pad_x};
    int8_t *to = copy;
    if (top >= 0 && top + {span_y} <= {height} && left >= 0 && left + {span_x} <= {width}) {{
        const int8_t *line = in + {channels} * ({width} * top + left);
        for (int32_t i = 0; i < {kernel_height}; i++) {{
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


def _copy_bytes(count: int, source: str) -> str:
    if count <= INLINE_BYTES:
        return f"__builtin_memcpy(to, {source}, {count});"
    return f"jl_m4_copy(to, {source}, {count});"


def _fill_bytes(count: int, value: int) -> str:
    if count <= INLINE_BYTES:
        return f"__builtin_memset(to, {value}, {count});"
    return f"jl_m4_fill(to, {value}, {count});"


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


def _copy_window(layer: Convolution) -> str:
    height, width, channels = layer.input_shape
    _, kernel_height, kernel_width, _ = layer.weights.shape
    return _COPY_WINDOW.format(
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
        copy_tap=_copy_bytes(channels, "from"),
        fill_tap=_fill_bytes(channels, layer.input_zero_point),
    )


def _source(
    layer: Convolution, scaling: Scaling, core: MatrixCore, positions: int, words: int
) -> str:
    outputs, kernel_height, kernel_width, channels = layer.weights.shape
    inputs = kernel_height * kernel_width * channels
    flat = layer.weights.reshape(outputs, -1)
    stream = matrix_words(flat, layer.bias, layer.input_zero_point, scaling, words)
    table = f"{layer.name}_weights"
    window = (
        f"in + {channels} * ({layer.stride[0] * layer.input_shape[1]} * row "
        f"+ {layer.stride[1]} * column)"
        if _is_pointwise(layer)
        else f"{layer.name}_window(in, row, column, "
        f"(int8_t *)scratch + {4 * words * positions} + {_window_bytes(layer)} * i)"
    )
    loop = (_DENSE_LOOP if _is_dense(layer) else _WINDOW_LOOP).format(
        count=layer.output_shape[0] * layer.output_shape[1],
        positions=positions,
        channels=channels,
        inputs=inputs,
        outputs=outputs,
        out_width=layer.output_shape[1],
        widen=f"jl_m4_widen{positions}",
        core=core.routine.symbol,
        window=window,
    )
    return (
        f"#include <stdint.h>\n\n{ARGUMENTS}{interleaved_declaration(positions)}"
        f"{COPY_DECLARATIONS}"
        f"void {core.routine.symbol}(const jl_m4_matrix *call);\n\n"
        f"{word_array(table, stream)}\n"
        f"{'' if _is_pointwise(layer) else _copy_window(layer)}"
        f"/* {layer.name}: convolution {kernel_height}x{kernel_width}, "
        f"{layer.input_shape} -> {layer.output_shape} */\n"
        f"void {layer.name}(const int8_t *in, int8_t *out, void *scratch);\n"
        f"void {layer.name}(const int8_t *in, int8_t *out, void *scratch) {{\n"
        f"    jl_m4_matrix call;\n    call.input = scratch;\n"
        f"    call.input_end = call.input + {2 * words * positions};\n"
        f"    call.weights = {table};\n"
        f"    call.weights_end = {table} + {stream.size};\n{loop}}}\n"
    )
