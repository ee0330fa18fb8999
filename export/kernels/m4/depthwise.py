"""Depthwise 3×3 layers for the DSP class: four channels become planes, each goes through the core.

A layer may run in place: a channel's plane is complete before its first output is stored, and
outputs of a channel lie on inputs of the same channel alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from export.kernels.bounds import accumulator_interval
from export.kernels.c_text import as_words, word_array
from export.kernels.layer import Convolution, KernelCode
from export.kernels.m4.depthwise_core import PlaneCore, PlaneShape, obstacle, plane_core
from export.kernels.m4.planes import (
    CHANNELS,
    DECLARATION,
    Geometry,
    gather_instructions,
    plan_geometry,
    planes_routine,
)
from export.kernels.scaling import PACKED_SHIFT, Scaling, plan_scaling

if TYPE_CHECKING:
    from numpy.typing import NDArray

_WRAPPER_STACK_BYTES = 48
_INSTRUCTIONS_A_CHANNEL = 9  # of the C around the core, measured
_INSTRUCTIONS_A_GROUP = 12


def depthwise(layer: Convolution, *, common_shift: int | None = None) -> KernelCode | str:
    """Code for a layer, or one sentence that says why this scheme does not serve it.

    Args:
        layer: depthwise, of any shape.
        common_shift: see `plan_scaling`.
    """
    refusal = _refusal(layer)
    if refusal:
        return refusal
    channels = layer.output_shape[2]
    shape = PlaneShape(
        width=layer.input_shape[1],
        out_height=layer.output_shape[0],
        out_width=layer.output_shape[1],
        stride=layer.stride[0],
        left=layer.padding[1],
        channels=channels,
    )
    refusal = obstacle(shape)
    if refusal:
        return refusal
    flat = layer.weights.reshape(-1, channels).T
    accumulators = accumulator_interval(flat, layer.bias, layer.input_zero_point)
    scaling = plan_scaling(layer.requantisation, accumulators, common_shift=common_shift)
    if isinstance(scaling, str):
        return scaling
    core = plane_core(shape, scaling.recipe)
    geometry = plan_geometry(
        layer.input_shape, layer.padding[0], shape.words_a_column, layer.input_zero_point
    )
    groups = -(-channels // CHANNELS)
    gathering = gather_instructions(geometry) + _INSTRUCTIONS_A_GROUP
    return KernelCode(
        symbol=layer.name,
        source=_source(layer, scaling, core, geometry),
        suffix=".c",
        scratch_bytes=CHANNELS * geometry.plane_bytes,
        weights_bytes=layer.weights.size + 12 * channels,
        instructions=groups * gathering + channels * (core.instructions + _INSTRUCTIONS_A_CHANNEL),
        stack_bytes=_WRAPPER_STACK_BYTES + core.routine.stack_bytes,
        note="planes of vertical pairs: every scaled accumulator stays below 2^31 "
        f"({int(accumulators.magnitude.max())} before its shift)",
        routines=(planes_routine(), core.routine),
        runs_in_place=True,
    )


def _refusal(layer: Convolution) -> str:
    kernel = layer.weights.shape[:2]
    if kernel != (3, 3):
        return f"a depthwise window of {kernel[0]}x{kernel[1]}, not 3x3"
    if layer.input_shape[2] != layer.output_shape[2]:
        return f"{layer.output_shape[2]} outputs from {layer.input_shape[2]} channels"
    if layer.input_shape[2] < CHANNELS:
        return f"{layer.input_shape[2]} channels, fewer than {CHANNELS}"
    if layer.stride not in {(1, 1), (2, 2)} or layer.dilation != (1, 1):
        return f"stride {layer.stride}, dilation {layer.dilation}"
    if max(layer.padding) > 1:
        return f"padding {layer.padding}, more than 1"
    return ""


def _channel_table(layer: Convolution, scaling: Scaling) -> NDArray[np.uint32]:
    """[channels × words], see `depthwise_core`."""
    channels = layer.output_shape[2]
    taps = layer.weights.transpose(2, 0, 1)
    rows = np.zeros((channels, 12), np.int8)
    order = ((0, 0), (0, 1), (1, 0), (1, 1), (0, 2), (2, 0), (1, 2), (2, 1), (2, 2))
    for place, (row, column) in enumerate(order):
        rows[:, place] = taps[:, row, column]
    rows[:, 9] = np.minimum(scaling.left_shift, PACKED_SHIFT)
    rows[:, 10] = scaling.left_shift - rows[:, 9]
    columns = [layer.bias.astype(np.int64), scaling.multiplier, scaling.offset]
    if scaling.needs_tie:
        columns.append(scaling.tie)
    return np.concatenate(
        [rows.view("<u4"), np.stack([as_words(column) for column in columns], axis=1)], axis=1
    )


def _source(layer: Convolution, scaling: Scaling, core: PlaneCore, geometry: Geometry) -> str:
    channels = layer.output_shape[2]
    table = _channel_table(layer, scaling)
    words = table.shape[1]
    name, symbol = layer.name, core.routine.symbol
    whole, rest = channels - channels % CHANNELS, channels % CHANNELS
    numbers = (
        f"{geometry.row_bytes}, {geometry.column_bytes}, {geometry.columns}, "
        f"{geometry.plane_bytes}, {geometry.leading}, {geometry.pairs}, {geometry.half}, "
        f"{geometry.zeros}, 0x{geometry.zero_points:08x}u"
    )
    plane_words = geometry.plane_bytes // 4
    tail = (
        f"    /* the last {rest} channels: with the ones before them again, which are not used */\n"
        f"    jl_m4_planes(in + {channels - CHANNELS}, planes, &geometry);\n"
        f"    for (uint32_t i = {CHANNELS - rest}; i < {CHANNELS}; i++, channel += {words})\n"
        f"        {symbol}(planes + {plane_words} * i, out++, channel);\n"
    )
    return (
        f"#include <stdint.h>\n\n{DECLARATION}"
        f"void {symbol}(const int32_t *plane, int8_t *out, const uint32_t *channel);\n\n"
        f"{word_array(f'{name}_weights', table.ravel())}\n"
        f"/* {name}: depthwise 3x3, {layer.input_shape} -> {layer.output_shape} */\n"
        f"void {name}(const int8_t *in, int8_t *out, void *scratch);\n"
        f"void {name}(const int8_t *in, int8_t *out, void *scratch) {{\n"
        f"    static const jl_m4_geometry geometry = {{{numbers}}};\n"
        f"    int32_t *const planes = scratch;\n"
        f"    const uint32_t *channel = {name}_weights;\n"
        f"    for (uint32_t first = 0; first < {whole}; first += {CHANNELS}) {{\n"
        f"        jl_m4_planes(in + first, planes, &geometry);\n"
        f"        for (uint32_t i = 0; i < {CHANNELS}; i++, channel += {words})\n"
        f"            {symbol}(planes + {plane_words} * i, out++, channel);\n"
        f"    }}\n{tail if rest else ''}}}\n"
    )
