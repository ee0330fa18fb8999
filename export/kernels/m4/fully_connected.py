"""Fully connected layers for the DSP class: weights packed for the core, and C that calls it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from export.kernels.bounds import (
    accumulator_interval,
    folded_bias,
    packed_halves,
    packing_obstacle,
)
from export.kernels.c_text import as_words, halves_as_words, word_array
from export.kernels.layer import FullyConnected, KernelCode
from export.kernels.m4.fully_connected_core import (
    Core,
    CoreShape,
    choose_body,
    fully_connected_core,
)
from export.kernels.m4.widen import (
    DECLARATION,
    PRODUCTS_DECLARATION,
    VECTOR_BLOCK,
    products_routine,
    widen_routine,
)
from export.kernels.scaling import Scaling, plan_scaling

if TYPE_CHECKING:
    from numpy.typing import NDArray

_ROWS_A_TURN = 4
_WRAPPER_INSTRUCTIONS = 40  # prologue, arguments, calls
_WRAPPER_STACK_BYTES = 96
_WIDEN_INSTRUCTIONS_PER_16 = 22
_WIDEN_INSTRUCTIONS = 30
_PRODUCTS_INSTRUCTIONS_PER_8 = 10
_PRODUCTS_INSTRUCTIONS = 26

_ARGUMENTS = """\
#ifndef JL_M4_FULLY_CONNECTED
#define JL_M4_FULLY_CONNECTED
typedef struct {
    const void *input;           /* int16_t, widened by jl_m4_widen; or int8_t as it lies */
    const uint32_t *weights;     /* packed, with bias and scaling */
    int8_t *output;
    const uint32_t *weights_end;
    int32_t input_product;       /* what jl_m4_widen or jl_m4_products returned */
    int32_t multiplier;          /* for layers with one scale, as offset, the shifts and tie */
    int32_t offset;
    const void *input_end;
    uint32_t skipped_bytes;      /* of code, before the block where a row starts */
    int32_t low_shift;
    int32_t high_shift;
    int32_t tie;
    int8_t tail[8];              /* of an int8_t input: what jl_m4_products copied */
} jl_m4_fully_connected;
#endif
"""


@dataclass(frozen=True, eq=False)
class _Part:
    """Rows that one core runs: all whole turns of 4, or the last 1 to 3."""

    core: Core
    turns: int
    rows: int
    words: NDArray[np.uint32]
    skipped_bytes: int
    blocks: int


def fully_connected(
    layer: FullyConnected, *, common_shift: int | None = None, widens: bool = True
) -> KernelCode | str:
    """Code for a layer, or one sentence that says which bound forbids this scheme.

    Args:
        layer: of any shape.
        common_shift: see `plan_scaling`.
        widens: copy the input to 16-bit halves first, which takes scratch and then lets the layer
            run in place; else extend it in the loop, in about a fifth more instructions.
    """
    outputs, inputs = layer.weights.shape
    accumulators = accumulator_interval(layer.weights, layer.bias, layer.input_zero_point)
    even = outputs - outputs % 2
    obstacle = packing_obstacle(layer.weights[0:even:2], layer.weights[1:even:2], accumulators)
    if obstacle:
        return obstacle
    scaling = plan_scaling(layer.requantisation, accumulators, common_shift=common_shift)
    if isinstance(scaling, str):
        return scaling
    parts = _parts(layer, scaling, reads_bytes=not widens)
    executed = sum(
        part.core.fixed
        + part.turns
        * (
            part.core.turn
            + part.blocks * part.core.block
            + part.core.repeat * -(-part.blocks // max(part.core.unroll, 1))
        )
        for part in parts
    )
    routines = {part.core.routine.symbol: part.core.routine for part in parts}
    before = widen_routine() if widens else products_routine()
    recipe = "one scale" if scaling.is_uniform else "a scale a channel"
    return KernelCode(
        symbol=layer.name,
        source=_source(layer, scaling, parts, widens=widens),
        suffix=".c",
        scratch_bytes=2 * VECTOR_BLOCK * -(-inputs // VECTOR_BLOCK) if widens else 0,
        weights_bytes=outputs * (inputs + (4 if scaling.is_uniform else 12)),
        instructions=_WRAPPER_INSTRUCTIONS
        + layer.rows * (_instructions_before(inputs, widens=widens) + executed),
        stack_bytes=_WRAPPER_STACK_BYTES
        + max(routine.stack_bytes for routine in (before, *routines.values())),
        note=f"packed rows, inner product{'' if widens else ' without scratch'}, {recipe}: "
        f"every accumulator stays below {int(accumulators.magnitude.max())} < 2^23",
        routines=(before, *routines.values()),
        runs_in_place=widens and (layer.rows == 1 or outputs <= inputs),
    )


def _instructions_before(inputs: int, *, widens: bool) -> int:
    """Of the routine that walks over the input once."""
    if widens:
        return _WIDEN_INSTRUCTIONS + inputs * _WIDEN_INSTRUCTIONS_PER_16 // 16
    blocks, tail = divmod(inputs, VECTOR_BLOCK)
    return _PRODUCTS_INSTRUCTIONS + blocks * _PRODUCTS_INSTRUCTIONS_PER_8 + 4 * tail


def _parts(layer: FullyConnected, scaling: Scaling, *, reads_bytes: bool) -> list[_Part]:
    outputs, inputs = layer.weights.shape
    blocks = -(-inputs // VECTOR_BLOCK)
    has_tail = reads_bytes and inputs % VECTOR_BLOCK > 0
    in_body = blocks - has_tail
    unroll, is_looped, is_entered = choose_body(in_body)
    parts = []
    whole = outputs - outputs % _ROWS_A_TURN
    for start, end, pairs in ((0, whole, 2), (whole, outputs, 1)):
        if start == end:
            continue
        is_odd = (end - start) % 2 == 1
        shape = CoreShape(
            pairs,
            unroll,
            is_looped,
            is_entered,
            scaling.is_uniform,
            is_odd,
            reads_bytes,
            has_tail,
        )
        core = fully_connected_core(shape, scaling.recipe)
        rows = np.arange(start, end + is_odd).reshape(-1, 2 * pairs)
        words = np.concatenate([_turn_words(layer, scaling, turn, blocks) for turn in rows])
        skipped = (-in_body % unroll) * core.block * 4 if is_entered else 0
        parts.append(_Part(core, len(rows), end - start, words, skipped, in_body))
    return parts


def _turn_words(
    layer: FullyConnected, scaling: Scaling, rows: NDArray[np.int64], blocks: int
) -> NDArray[np.uint32]:
    """The weight stream of 2 or 4 rows; a row beyond the last is a dummy of zeros."""
    inputs = layer.weights.shape[1]
    real = rows < layer.weights.shape[0]
    picked = np.where(real, rows, 0)
    weights = np.zeros((rows.size, VECTOR_BLOCK * blocks), np.int8)
    weights[:, :inputs] = layer.weights[picked] * real[:, None]
    bias = folded_bias(weights, layer.bias[picked] * real, layer.input_zero_point)
    wide = weights.astype(np.int64)
    inner = (wide[0::2, 0::2] * wide[0::2, 1::2]).sum(axis=1)
    first = np.empty(rows.size, np.int64)
    first[0::2] = bias[0::2] - inner
    first[1::2] = 256 * bias[1::2] + bias[0::2]
    halves = packed_halves(weights[0::2], weights[1::2])
    # [pairs, quads, (0, 2, 1, 3)] -> [quads, pairs, 2 words]
    quads = halves.reshape(rows.size // 2, -1, 4)[:, :, [0, 2, 1, 3]].transpose(1, 0, 2)
    words = [as_words(first), halves_as_words(quads).ravel()]
    if not scaling.is_uniform:
        words += [as_words(part) for part in _scale_words(scaling, picked)]
    return np.concatenate(words)


def _scale_words(scaling: Scaling, rows: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    shifts = scaling.left_shift[rows].copy()
    shifts[1::2] = scaling.high_shift[rows][1::2]
    multiplier, offset = scaling.multiplier[rows], scaling.offset[rows]
    if scaling.needs_tie:
        return [shifts, scaling.tie[rows], offset, multiplier]
    return [shifts, multiplier, offset]


def _source(layer: FullyConnected, scaling: Scaling, parts: list[_Part], *, widens: bool) -> str:
    outputs, inputs = layer.weights.shape
    table = f"{layer.name}_weights"
    declarations = "".join(
        f"void {symbol}(const jl_m4_fully_connected *call);\n"
        for symbol in dict.fromkeys(part.core.routine.symbol for part in parts)
    )
    words = np.concatenate([part.words for part in parts])
    low, high = int(scaling.left_shift[0]), int(scaling.high_shift[0])
    body, position, row = [], 0, 0
    for part in parts:
        end = position + part.words.size
        body.append(f"    /* outputs {row}..{row + part.rows - 1} */\n")
        body.append(f"    call.weights = {table} + {position};\n")
        body.append(f"    call.weights_end = {table} + {end};\n")
        body.append(f"    call.output = out + {row};\n")
        if part.skipped_bytes or len(parts) > 1:
            body.append(f"    call.skipped_bytes = {part.skipped_bytes};\n")
        body.append(f"    {part.core.routine.symbol}(&call);\n")
        position, row = end, row + part.rows
    inner = "".join(body)
    uniform = (
        f"    call.multiplier = {int(scaling.multiplier[0])};\n"
        f"    call.offset = {int(scaling.offset[0])};\n"
        f"    call.low_shift = {low};\n    call.high_shift = {high};\n"
        f"    call.tie = {int(scaling.tie[0])};\n"
    )
    if widens:
        pad = VECTOR_BLOCK * -(-inputs // VECTOR_BLOCK)
        once = (
            f"    call.input = scratch;\n    call.input_end = (const int16_t *)scratch + {pad};\n"
        )
        every = f"    call.input_product = jl_m4_widen(in, scratch, {inputs});\n"
    else:
        once = "    (void)scratch;\n"
        every = (
            f"    call.input = in;\n    call.input_end = in + {inputs - inputs % VECTOR_BLOCK};\n"
            f"    call.input_product = jl_m4_products(in, call.tail, {inputs});\n"
        )
    setup = f"    jl_m4_fully_connected call;\n{once}{uniform if scaling.is_uniform else ''}"
    turn = every + inner
    if layer.rows > 1:
        advance = f"    in += {inputs};\n    out += {outputs};\n"
        inside = "".join(f"    {line}\n" for line in (turn + advance).splitlines())
        turn = f"    for (int row = 0; row < {layer.rows}; row++) {{\n{inside}    }}\n"
    return (
        f"#include <stdint.h>\n\n{_ARGUMENTS}"
        f"{DECLARATION if widens else PRODUCTS_DECLARATION}{declarations}\n"
        f"{word_array(table, words)}\n"
        f"/* {layer.name}: fully connected {inputs} -> {outputs} */\n"
        f"void {layer.name}(const int8_t *in, int8_t *out, void *scratch);\n"
        f"void {layer.name}(const int8_t *in, int8_t *out, void *scratch) {{\n"
        f"{setup}{turn}}}\n"
    )
