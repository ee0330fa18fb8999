"""Depthwise convolutions for the MVE class: constants in order of use, C that calls the core."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from export.kernels.layer import Convolution, KernelCode
from export.kernels.m55.columns import fill_routine
from export.kernels.m55.depthwise_core import (
    DECLARATIONS,
    depthwise_instructions,
    depthwise_routine,
)
from export.kernels.m55.depthwise_tiles import LANES, Tiles, plan_tiles
from export.kernels.m55.scaling import Scaling, plan_scaling
from export.kernels.m55.tables import declare, table
from export.kernels.scalar.select import scalar_kernel

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Sums of so many bytes at a time; one output row is the least.
_SUM_BYTES = 2048
_UNROLLED = 5
_MOST_CHANNELS = 4096  # 15 pixels must be within a 16-bit offset
_WRAPPER_INSTRUCTIONS = 65
_WRAPPER_STACK_BYTES = 224


def depthwise(layer: Convolution) -> KernelCode:
    """Code for a depthwise convolution of any shape."""
    tiles = plan_tiles(layer)
    depth = layer.output_shape[2] // layer.input_shape[2]
    if tiles is None or layer.output_shape[2] > _MOST_CHANNELS:
        code = scalar_kernel(layer)
        return replace(code, note=f"{code.note}; because no tile of {LANES} bytes fits the window")
    scaling = plan_scaling(layer.requantisation)
    biases, starts = _biases(layer, tiles)
    fill = fill_routine()
    counts = _counts(layer, tiles)
    routine = depthwise_routine(
        tiles,
        scaling.recipe,
        starts,
        unrolled=counts["sum_rows"] // counts["row_turns"],
        is_shared=depth > 1,
    )
    plane_bytes, sum_bytes = _plane_bytes(tiles, counts), _sum_bytes(tiles, counts)
    laid_out_bytes = LANES * len(tiles.taps) if tiles.groups > 1 else 0
    filled = 8 + 2 * -(-plane_bytes // 16)
    in_size, out_size = (int(np.prod(shape)) for shape in (layer.input_shape, layer.output_shape))
    return KernelCode(
        symbol=layer.name,
        source=_source(layer, tiles, scaling, biases, counts, routine.symbol),
        suffix=".c",
        scratch_bytes=plane_bytes + sum_bytes + laid_out_bytes,
        weights_bytes=layer.weights.size + 12 * layer.output_shape[2],
        instructions=_WRAPPER_INSTRUCTIONS
        + filled
        + depthwise_instructions(tiles, scaling.recipe, counts),
        stack_bytes=_WRAPPER_STACK_BYTES + routine.stack_bytes,
        note=f"{'rows' if tiles.is_contiguous else 'window'} of {tiles.groups} x "
        f"{len(tiles.lanes)} bytes for {tiles.outputs} outputs, {tiles.tiles} a turn; "
        f"scaling {scaling.recipe.suffix}",
        routines=(routine, fill),
        # A channel is in its plane before its first output is written.
        runs_in_place=depth == 1 and out_size <= in_size,
    )


def _biases(layer: Convolution, tiles: Tiles) -> tuple[NDArray[np.int32], tuple[int, ...]]:
    """Distinct biases of each channel, [channels, n], and which one each output of a turn takes.

    The input's zero point is folded in for the taps that are read: padding that is not in the
    plane counts as the zero point, which is nothing.
    """
    weights = layer.weights.reshape(-1, layer.weights.shape[2]).astype(np.int64)
    kinds, which = np.unique(tiles.present, axis=0, return_inverse=True)
    sums = kinds.astype(np.int64) @ weights
    folded = layer.bias - layer.input_zero_point * sums
    starts = tuple(int(kind) for kind in np.ravel(which)) * tiles.tiles
    return folded.T.astype(np.int32), starts


def _counts(layer: Convolution, tiles: Tiles) -> dict[str, int]:
    """Fields of the call that are plain numbers."""
    (height, width, channels), (in_height, in_width, in_channels) = (
        layer.output_shape,
        layer.input_shape,
    )
    strip = max(
        rows
        for rows in range(1, height + 1)
        if height % rows == 0 and (rows == 1 or 4 * rows * width <= _SUM_BYTES)
    )
    unrolled = max(rows for rows in range(1, _UNROLLED + 1) if strip % rows == 0)
    rows, run = (1, in_height * in_width) if tiles.is_contiguous else (in_height, in_width)
    is_looped = tiles.turns > 1 or tiles.groups > 1
    advance = tiles.turns * tiles.tiles * tiles.tile_step if is_looped else 0
    scaling = layer.requantisation
    return {
        "channels": channels,
        "rows": rows,
        "pitch": tiles.pitch,
        "whole": run // 16,
        "rest": run % 16,
        "jump": 16 * in_channels,
        "back": run % 16 * in_channels,
        "strips": height // strip,
        "sum_rows": strip,
        "turns": tiles.turns,
        "step": tiles.tiles * tiles.tile_step,
        "row_step": tiles.row_step - advance,
        "surplus": 4 * (tiles.turns * tiles.turn_outputs - width),
        "strip_step": strip * tiles.row_step,
        "scale_whole": strip * width // 16,
        "scale_rest": strip * width % 16,
        "out_jump": 16 * channels,
        "strip_out": strip * width * channels,
        "zero_point": scaling.zero_point,
        "minimum": scaling.minimum,
        "maximum": scaling.maximum,
        "depth": channels // in_channels,
        "turn": 0,
        "kernel_bytes": layer.weights.shape[0] * layer.weights.shape[1] + 1,
        "group_step": tiles.group_step,
        "row_turns": strip // (unrolled if tiles.turns == 1 and tiles.groups == 1 else 1),
    }


def _plane_bytes(tiles: Tiles, counts: dict[str, int]) -> int:
    """The plane with what its last tile reads beyond it, a multiple of 16."""
    rows = counts["strips"] * counts["sum_rows"]
    last = (rows - 1) * tiles.row_step + (tiles.turns * tiles.tiles - 1) * tiles.tile_step
    last += (tiles.groups - 1) * tiles.group_step
    reach = max(last + max(int(tiles.lanes[-1]) + 1, LANES), tiles.rows * tiles.pitch)
    return -(-reach // 16) * 16


def _sum_bytes(tiles: Tiles, counts: dict[str, int]) -> int:
    # Surplus sums of the last turn, and what the scaling reads beyond the last sum, come on top.
    sums = counts["scale_whole"] * 16 + counts["scale_rest"] + tiles.turns * tiles.turn_outputs
    return 4 * (-(-(sums + 8) // 4) * 4)


def _lanes(layer: Convolution, tiles: Tiles) -> NDArray[np.int8]:
    """Table of vectors: which byte of the kernel each lane takes; where each tile's lanes lie."""
    zero = layer.weights.shape[0] * layer.weights.shape[1]  # the byte behind the kernel
    count = len(tiles.lanes)
    taps = np.full((len(tiles.taps), LANES), zero)
    taps[:, :count] = np.where(tiles.taps < 0, zero, tiles.taps)
    vectors = [taps]
    if not tiles.is_contiguous:
        offsets = np.zeros((tiles.tiles, LANES), np.int64)
        offsets[:, :count] = tiles.lanes + np.arange(tiles.tiles)[:, None] * tiles.tile_step
        vectors.append(offsets)
    return np.concatenate(vectors).astype(np.uint8).view(np.int8)


def _channel_table(biases: NDArray[np.int32], scaling: Scaling) -> NDArray[np.int32]:
    channels = np.arange(len(biases))
    words = np.stack(scaling.words(channels), axis=1)
    return np.concatenate([biases, words], axis=1)


def _source(
    layer: Convolution,
    tiles: Tiles,
    scaling: Scaling,
    biases: NDArray[np.int32],
    counts: dict[str, int],
    symbol: str,
) -> str:
    name = layer.name
    plane_bytes = _plane_bytes(tiles, counts)
    kernels = layer.weights.reshape(-1, layer.weights.shape[2]).T
    zeros = np.zeros((len(kernels), 1), np.int8)
    steps = np.concatenate(
        [np.arange(16) * counts["jump"] // 16, np.arange(16) * counts["out_jump"] // 16]
    )
    inside = tiles.top * tiles.pitch + tiles.left
    fields = "".join(f"        .{field} = {value},\n" for field, value in counts.items())
    kernel = "x".join(str(size) for size in layer.weights.shape[:2])
    shapes = " -> ".join(
        " x ".join(map(str, shape)) for shape in (layer.input_shape, layer.output_shape)
    )
    return (
        "#include <stdint.h>\n\n"
        + DECLARATIONS
        + declare("void {}(jl_m55_depthwise *call)", [symbol])
        + "void jl_m55_fill(int8_t *to, int32_t value, uint32_t bytes);\n"
        + table(f"{name}_weights", np.concatenate([kernels, zeros], axis=1))
        + table(f"{name}_table", _channel_table(biases, scaling))
        + table(f"{name}_lanes", _lanes(layer, tiles))
        + f"_Alignas(16) static const uint16_t {name}_pixels[32] = {{"
        + ", ".join(map(str, steps))
        + "};\n"
        + f"\n/* {name}: depthwise {kernel}, {shapes} */\n"
        f"void {name}(const int8_t *in, int8_t *out, void *scratch);\n"
        f"void {name}(const int8_t *in, int8_t *out, void *scratch) {{\n"
        "    int8_t *plane = scratch;\n"
        "    jl_m55_depthwise call = {\n"
        f"        .input = in,\n        .output = out,\n        .weights = {name}_weights,\n"
        f"        .table = {name}_table,\n        .inside = plane + {inside},\n"
        f"        .plane = plane,\n        .sums = (int32_t *)(void *)(plane + {plane_bytes}),\n"
        f"        .lanes = (const uint8_t *){name}_lanes,\n        .pixels = {name}_pixels,\n"
        f"        .laid_out = plane + {plane_bytes + _sum_bytes(tiles, counts)},\n"
        f"{fields}    }};\n"
        f"    jl_m55_fill(plane, {layer.input_zero_point}, {plane_bytes});\n"
        f"    {symbol}(&call);\n"
        "}\n"
    )
