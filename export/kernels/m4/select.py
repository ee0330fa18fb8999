"""Which kernel serves a layer on a core of the DSP class, and the shift that layers share."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from export.kernels.layer import Convolution, FullyConnected
from export.kernels.m4.convolution import convolution
from export.kernels.m4.depthwise import depthwise
from export.kernels.m4.fully_connected import fully_connected
from export.kernels.scaling import PACKED_SHIFT, right_shifts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from export.kernels.layer import KernelCode, Requantisation

_SMALLEST_LEFT_SHIFT = 2


def m4_kernels(
    layers: Sequence[FullyConnected | Convolution], *, saves_scratch: bool = False
) -> tuple[KernelCode | str, ...]:
    """Code for each layer, or the sentence that says which bound or shape forbids it.

    A layer without code is for the portable C. Layers share routines where they can: link each
    routine once (`KernelCode.routines`).

    Args:
        layers: of one model.
        saves_scratch: fully connected layers do without scratch.
    """
    shifts = _common_shifts([layer.requantisation for layer in layers])
    return tuple(
        _kernel(layer, shift, widens=not saves_scratch)
        for layer, shift in zip(layers, shifts, strict=True)
    )


def _kernel(layer: FullyConnected | Convolution, shift: int, *, widens: bool) -> KernelCode | str:
    if isinstance(layer, FullyConnected):
        return fully_connected(layer, common_shift=shift, widens=widens)
    if layer.is_depthwise and layer.input_shape[2] > 1:
        return depthwise(layer, common_shift=shift)
    if layer.is_depthwise:
        layer = _as_convolution(layer)
    if _is_one_window(layer):
        return fully_connected(_as_fully_connected(layer), common_shift=shift, widens=widens)
    return convolution(layer, common_shift=shift)


def _is_one_window(layer: Convolution) -> bool:
    """Whether the only output position reads the whole image in order."""
    return (
        layer.output_shape[:2] == (1, 1)
        and layer.padding == (0, 0)
        and layer.weights.shape[1:] == layer.input_shape
        and (layer.dilation == (1, 1) or layer.input_shape[:2] == (1, 1))
    )


def _as_convolution(layer: Convolution) -> Convolution:
    """A depthwise layer of one input channel: every output reads it, as in any convolution."""
    weights = layer.weights.transpose(2, 0, 1)[..., np.newaxis]
    return replace(layer, weights=np.ascontiguousarray(weights), is_depthwise=False)


def _as_fully_connected(layer: Convolution) -> FullyConnected:
    return FullyConnected(
        layer.name,
        layer.weights.reshape(layer.output_shape[2], -1),
        layer.bias,
        layer.input_zero_point,
        layer.requantisation,
    )


def _common_shifts(rules: Sequence[Requantisation]) -> list[int]:
    """A shift S for each layer from as few different values as its channels allow.

    S serves right shifts e with p = 1 + S - e in 2..8 (`requantise`); intervals of S are covered
    with the fewest points, and each point is then moved as low as its layers allow.
    """
    intervals = []
    for rule in rules:
        shifts = right_shifts(rule)
        lowest = max(int(shifts.max(initial=1)), 1) + _SMALLEST_LEFT_SHIFT - 1
        highest = int(shifts.min(initial=lowest - 1)) + PACKED_SHIFT - 1
        intervals.append((lowest, max(lowest, highest)))
    chosen = [0] * len(intervals)
    open_layers = sorted(range(len(intervals)), key=lambda index: intervals[index][1])
    while open_layers:
        point = intervals[open_layers[0]][1]
        group = [index for index in open_layers if intervals[index][0] <= point]
        shift = int(np.max([intervals[index][0] for index in group]))
        for index in group:
            chosen[index] = shift
        open_layers = [index for index in open_layers if index not in group]
    return chosen
