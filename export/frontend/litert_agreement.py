"""Make `single` equal LiteRT's default kernels for every input, by scales that are a hair apart.

LiteRT rounds float32 products, modules round exact ones (`arithmetic/float_rule.py`): for many
channels no reachable accumulator tells them apart; for the others a weight scale next to theirs has
that property, most likely one whose factor happens to be almost a float32 number. The scales of our
own checkpoints are estimates from calibration, good to perhaps 1 %; moving one by at most 0.03 %
costs nothing.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from export.arithmetic.accumulator import accumulator_range, product_factor
from export.arithmetic.fixed_point import quantize_multiplier
from export.arithmetic.float_rule import agrees_with_float, float_factor
from export.ops import Call, fully_connected
from export.verify import calls

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from export.graph import QGraph, Tensor

# Units in the last place that a scale may move, either way.
MAX_STEPS = 2048
TRIES_AT_ONCE = 128


def settle_weight_scales(graph: QGraph) -> QGraph:
    """Move weight scales until FULLY_CONNECTED layers agree with LiteRT, with their biases' scales.

    A weight tensor that two layers share is left alone, and so is a channel for which no scale
    within reach agrees (`litert_agreement` tells).
    """
    tensors = dict(graph.tensors)
    readers = [name for node in graph.nodes for name in node.inputs]
    for call in calls(graph):
        if call.node.op != "FULLY_CONNECTED":
            continue
        constants = [tensor.name for tensor in call.inputs[1:] if tensor is not None]
        if all(readers.count(name) == 1 for name in constants):
            tensors.update(_settled(call))
    return replace(graph, tensors=tensors)


def litert_agreement(call: Call) -> NDArray[np.bool_]:
    """Per output channel of a FULLY_CONNECTED: do LiteRT's default and `single` agree, proven?"""
    layer = fully_connected.layer(call)
    low, high = accumulator_range(layer.weights, layer.bias, layer.input_zero_point)
    scales = call.input(1).quantization.scale
    factor = float_factor(call.input(0).quantization.scale, scales, call.output.scale)
    return agrees_with_float(layer.requantisation, np.broadcast_to(factor, low.shape), low, high)


def _settled(call: Call) -> dict[str, Tensor]:
    """The weights and the bias of a layer with scales that agree, where there are any."""
    weights, bias = call.input(1), call.optional_input(2)
    layer = fully_connected.layer(call)
    low, high = accumulator_range(layer.weights, layer.bias, layer.input_zero_point)
    differs = ~litert_agreement(call)
    if weights.quantization.axis is None:
        # One scale for all channels: it must serve the widest range.
        low, high, differs = (np.array([v]) for v in (low.min(), high.max(), differs.any()))
    scale = weights.quantization.scale.copy()
    for channel in np.flatnonzero(differs):
        scale[channel] = _agreeing_scale(call, scale[channel], low[channel], high[channel])
    moved = {weights.name: replace(weights, quant=replace(weights.quantization, scale=scale))}
    if bias is not None:
        product = (call.input(0).scale * scale).astype(np.float32)
        moved[bias.name] = replace(bias, quant=replace(bias.quantization, scale=product))
    return moved


def _agreeing_scale(call: Call, scale: np.float32, low: np.int64, high: np.int64) -> np.float32:
    """A scale that agrees for sums within [low, high]; `scale` itself where none is in reach."""
    steps = np.arange(-MAX_STEPS, MAX_STEPS + 1, dtype=np.int32)
    candidates = (scale.view(np.int32) + steps).view(np.float32)
    candidates = candidates[np.isfinite(candidates) & (candidates > 0)]
    source, output = call.input(0).quantization.scale, call.output.scale
    exact = source.astype(np.float64) * candidates.astype(np.float64) / np.float64(output)
    off = np.abs(float_factor(source, candidates, output) / exact - 1.0)
    # The best factors first, some at a time: most often one of them agrees.
    for some in np.array_split(np.argsort(off, kind="stable"), steps.size // TRIES_AT_ONCE):
        agrees = _agree(call, candidates[some], low, high)
        if agrees.any():
            return np.float32(candidates[some[np.argmax(agrees)]])
    return scale


def _agree(
    call: Call, scales: NDArray[np.float32], low: np.int64, high: np.int64
) -> NDArray[np.bool_]:
    """For each scale: would a channel with it agree for sums within [low, high]?"""
    is_per_channel = call.input(1).quantization.axis is not None
    source, output = call.input(0).scale, call.output.scale
    exact = product_factor(source, scales, output, is_per_channel=is_per_channel)
    multiplier, shift = quantize_multiplier(exact)
    layer = fully_connected.layer(call)
    how = replace(layer.requantisation, multiplier=multiplier, shift=shift)
    factor = float_factor(call.input(0).quantization.scale, scales, output)
    ends = (np.full(scales.shape, end, np.int64) for end in (low, high))
    return agrees_with_float(how, factor, *ends)
