"""Convolutions for the DSP class: up to three windows at a time through the matrix core.

A 1×1 window is read where it lies; any other is copied, with the zero point where it leaves the
image. Never more than three windows are held.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from export.kernels.bounds import accumulator_interval, packing_obstacle
from export.kernels.c_text import word_array
from export.kernels.layer import Convolution, KernelCode
from export.kernels.m4.copy import DECLARATIONS as COPY_DECLARATIONS
from export.kernels.m4.copy import copy_routines
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
from export.kernels.m4.windows import (
    copy_instructions,
    is_dense,
    is_pointwise,
    padded_bytes,
    window_bytes,
    window_functions,
)
from export.kernels.scaling import plan_scaling

if TYPE_CHECKING:
    from export.kernels.scaling import Scaling

_WRAPPER_STACK_BYTES = 128
_INSTRUCTIONS_A_TRIPLE = 60  # of the C around the core, measured


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
        routines=(widen, core.routine, *(() if is_pointwise(layer) else copy_routines())),
        runs_in_place=is_dense(layer) and outputs <= layer.input_shape[2],
    )


def _choose_positions(count: int) -> int:
    """How many positions to run together, the last turn repeating the last position."""
    return min(
        range(min(POSITIONS, count), 0, -1),
        key=lambda positions: (
            -(-count // positions) * positions * instructions_per_position(positions)
        ),
    )


def _scratch_bytes(layer: Convolution, positions: int, words: int) -> int:
    return positions * (4 * words + window_bytes(layer)) + padded_bytes(layer)


def _instructions(layer: Convolution, core: MatrixCore, positions: int, repeats: int) -> int:
    inputs = int(layer.weights[0].size)
    triples = -(-layer.output_shape[0] * layer.output_shape[1] // positions)
    turns = -(-layer.output_shape[2] // 2)
    widening = 30 + -(-inputs // 4) * (1 + 3 * positions)
    matrix = core.fixed + turns * (core.turn + repeats * core.body)
    return triples * (_INSTRUCTIONS_A_TRIPLE + widening + matrix) + copy_instructions(layer)


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
        if is_pointwise(layer)
        else f"{layer.name}_window(in, row, column, "
        f"(int8_t *)scratch + {4 * words * positions} + {window_bytes(layer)} * i)"
    )
    padded = 4 * words * positions + window_bytes(layer) * positions
    pad = (
        f"    int8_t *const padded = (int8_t *)scratch + {padded};\n"
        f"    {layer.name}_pad(in, padded);\n    in = padded;\n"
        if padded_bytes(layer)
        else ""
    )
    loop = (_DENSE_LOOP if is_dense(layer) else _WINDOW_LOOP).format(
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
        f"{window_functions(layer)}"
        f"/* {layer.name}: convolution {kernel_height}x{kernel_width}, "
        f"{layer.input_shape} -> {layer.output_shape} */\n"
        f"void {layer.name}(const int8_t *in, int8_t *out, void *scratch);\n"
        f"void {layer.name}(const int8_t *in, int8_t *out, void *scratch) {{\n"
        f"    jl_m4_matrix call;\n    call.input = scratch;\n"
        f"    call.input_end = call.input + {2 * words * positions};\n"
        f"    call.weights = {table};\n"
        f"    call.weights_end = {table} + {stream.size};\n{pad}{loop}}}\n"
    )
