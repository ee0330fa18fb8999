"""Fully connected layers for the MVE class: weights in order of use, and C that calls the core."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from export.kernels.layer import FullyConnected, KernelCode, Routine
from export.kernels.m55.fully_connected_core import (
    CHUNK,
    DECLARATIONS,
    ROWS,
    SCALE_DECLARATIONS,
    rows_instructions,
    rows_routine,
    scale_instructions,
    scale_routine,
    skipped_bytes,
)
from export.kernels.m55.scaling import Scaling, plan_scaling
from export.kernels.m55.tables import declare, table

if TYPE_CHECKING:
    from numpy.typing import NDArray

# From so many rows left over on, a whole group with rows of zeros costs less code than its own
# routine would.
_PADDED_FROM = 6
_WRAPPER_INSTRUCTIONS = 22
_PER_CALL_INSTRUCTIONS = 14
_WRAPPER_STACK_BYTES = 72


@dataclass(frozen=True, eq=False)
class _Part:
    """Groups of equally many rows: all whole groups of 8, or the rows left over."""

    first: int
    rows: int
    groups: int
    routine: Routine


def fully_connected(layer: FullyConnected) -> KernelCode:
    """Code for a layer of one input vector (`layer.rows` == 1), of any shape."""
    outputs, inputs = layer.weights.shape
    scaling = plan_scaling(layer.requantisation)
    chunks = -(-inputs // CHUNK)
    parts = _parts(outputs, chunks)
    scale = scale_routine(scaling.recipe)
    accumulators = -(-max(part.first + part.rows * part.groups for part in parts) // 16) * 16
    routines = {part.routine.symbol: part.routine for part in parts} | {scale.symbol: scale}
    executed = sum(
        _PER_CALL_INSTRUCTIONS + rows_instructions(chunks, part.rows, part.groups) for part in parts
    )
    return KernelCode(
        symbol=layer.name,
        source=_source(layer, scaling, parts, scale),
        suffix=".c",
        scratch_bytes=4 * accumulators,
        weights_bytes=outputs * (inputs + 4) + 8 * (1 if scaling.recipe.is_uniform else outputs),
        instructions=_WRAPPER_INSTRUCTIONS + executed + scale_instructions(scaling.recipe, outputs),
        stack_bytes=_WRAPPER_STACK_BYTES
        + max(routine.stack_bytes for routine in routines.values()),
        note=f"8 rows by 16 inputs a turn; scaling {scaling.recipe.suffix}, "
        + ("one scale" if scaling.recipe.is_uniform else "a scale a channel"),
        routines=tuple(routines.values()),
        runs_in_place=True,  # every input is read before the first output is written
    )


def _parts(outputs: int, chunks: int) -> list[_Part]:
    whole, left = divmod(outputs, ROWS)
    if left >= _PADDED_FROM:
        whole, left = whole + 1, 0
    parts = []
    if whole:
        parts.append(_Part(0, ROWS, whole, rows_routine(chunks, ROWS)))
    if left:
        parts.append(_Part(whole * ROWS, left, 1, rows_routine(chunks, left)))
    return parts


def _packed(layer: FullyConnected, parts: list[_Part]) -> tuple[NDArray[np.int8], list[int]]:
    """Weights group by group, chunk by chunk, row by row, and where each part starts."""
    inputs = layer.weights.shape[1]
    chunks = -(-inputs // CHUNK)
    pieces, starts, position = [], [], 0
    for part in parts:
        padded = np.zeros((part.groups * part.rows, chunks * CHUNK), np.int8)
        rows = layer.weights[part.first : part.first + part.groups * part.rows]
        padded[: len(rows), :inputs] = rows
        grouped = padded.reshape(part.groups, part.rows, chunks, CHUNK).transpose(0, 2, 1, 3)
        starts.append(position)
        pieces.append(grouped.ravel())
        position += padded.size
    return np.concatenate(pieces), starts


def _bias(layer: FullyConnected, parts: list[_Part]) -> NDArray[np.int32]:
    """Bias with the input's zero point folded in, modulo 2^32 as the accumulator is."""
    rows = max(part.first + part.groups * part.rows for part in parts)
    sums = layer.weights.astype(np.int64).sum(axis=1)
    folded = layer.bias.astype(np.int64) - layer.input_zero_point * sums
    bias = np.zeros(rows, np.int32)
    bias[: folded.size] = folded.astype(np.int32)
    return bias


def scale_table(scaling: Scaling) -> NDArray[np.int32]:
    """Table of `scale_routine`: one scale, or sixteen channels at a time in its lane order."""
    if scaling.recipe.is_uniform:
        return np.array([scaling.multiplier[0], scaling.right[0], scaling.left[0]], np.int32)
    count = scaling.multiplier.size
    channels = np.arange(-(-count // 16) * 16).reshape(-1, 4, 4).transpose(0, 2, 1)
    channels = np.where(channels < count, channels, 0)  # its lanes are not stored
    return np.concatenate([np.concatenate([p.ravel() for p in scaling.words(c)]) for c in channels])


def _source(layer: FullyConnected, scaling: Scaling, parts: list[_Part], scale: Routine) -> str:
    name = layer.name
    outputs, inputs = layer.weights.shape
    chunks = -(-inputs // CHUNK)
    weights, starts = _packed(layer, parts)
    calls = "".join(
        "    {\n"
        f"        /* outputs {part.first}..{min(part.first + part.rows * part.groups, outputs) - 1}"
        " */\n"
        f"        const jl_m55_rows call = {{in, {name}_weights + {start}, "
        f"{name}_bias + {part.first}, accumulators + {part.first},\n"
        f"                                  {part.groups}, {chunks - 1}, "
        f"{inputs - CHUNK * (chunks - 1)}, {skipped_bytes(chunks, part.rows)}}};\n"
        f"        {part.routine.symbol}(&call);\n"
        "    }\n"
        for part, start in zip(parts, starts, strict=True)
    )
    return (
        "#include <stdint.h>\n\n"
        + DECLARATIONS
        + SCALE_DECLARATIONS
        + declare("void {}(const jl_m55_rows *call)", [part.routine.symbol for part in parts])
        + declare(
            "void {}(const int32_t *in, int8_t *out, const jl_m55_scale *how, uint32_t count)",
            [scale.symbol],
        )
        + table(f"{name}_weights", weights)
        + table(f"{name}_bias", _bias(layer, parts))
        + table(f"{name}_scale", scale_table(scaling))
        + f"\n/* {name}: fully connected {inputs} -> {outputs} */\n"
        f"void {name}(const int8_t *in, int8_t *out, void *scratch);\n"
        f"void {name}(const int8_t *in, int8_t *out, void *scratch) {{\n"
        "    int32_t *accumulators = scratch;\n"
        f"{calls}"
        # Not initialised as a whole: the compiler would keep a constant copy with an absolute
        # address in it, which a module that is loaded elsewhere cannot have.
        f"    jl_m55_scale how = {{{scaling.zero_point}, {scaling.minimum}, "
        f"{scaling.maximum}, 0}};\n"
        f"    how.table = {name}_scale;\n"
        f"    {scale.symbol}(accumulators, out, &how, {outputs});\n"
        "}\n"
    )
