"""Make `single` equal LiteRT's default kernels for every input, by scales that are a hair apart.

LiteRT rounds float32 products, modules round exact ones (`arithmetic/float_rule.py`): for most
channels no reachable accumulator tells them apart, for the others a weight scale a few units in
the last place away has that property. The scales of our own checkpoints are estimates from
calibration, good to perhaps 1 %; moving one by 10^-6 of itself costs nothing.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from export.arithmetic.accumulator import accumulator_range
from export.arithmetic.float_rule import agrees_with_float, float_factor
from export.ops import Call, fully_connected
from export.verify import calls

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from export.graph import QGraph, Tensor

# A try succeeds for about half of the channels of an ordinary layer.
MAX_TRIES = 200


def settle_weight_scales(graph: QGraph) -> QGraph:
    """Move weight scales until FULLY_CONNECTED layers agree with LiteRT, with their biases' scales.

    A weight tensor that two layers share is left alone, and so is a channel that does not settle
    within 200 tries.
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


def _settled(call: Call) -> dict[str, Tensor]:
    weights, bias = call.input(1), call.optional_input(2)
    scale = weights.quantization.scale.copy()
    for _ in range(MAX_TRIES):
        differs = ~litert_agreement(_with_scale(call, scale))
        if weights.quantization.axis is None:
            differs = np.array([differs.any()])
        if not differs.any():
            break
        scale = np.where(differs, np.nextafter(scale, np.float32(np.inf)), scale)
    moved = _with_scale(call, scale)
    changed = {weights.name: moved.input(1)}
    if bias is not None:
        changed[bias.name] = moved.input(2)
    return changed


def _with_scale(call: Call, scale: NDArray[np.float32]) -> Call:
    weights, bias = call.input(1), call.optional_input(2)
    tensors = [call.input(0), replace(weights, quant=replace(weights.quantization, scale=scale))]
    if bias is not None:
        product = (call.input(0).scale * scale).astype(np.float32)
        tensors.append(replace(bias, quant=replace(bias.quantization, scale=product)))
    return replace(call, inputs=tuple(tensors))


def litert_agreement(call: Call) -> NDArray[np.bool_]:
    """Per output channel of a FULLY_CONNECTED: do LiteRT's default and `single` agree, proven?"""
    layer = fully_connected.layer(call)
    weights = call.input(1)
    low, high = accumulator_range(layer.weights, layer.bias, layer.input_zero_point)
    factor = float_factor(
        call.input(0).quantization.scale, weights.quantization.scale, call.output.scale
    )
    factor = np.broadcast_to(factor, low.shape)
    return agrees_with_float(layer.requantisation, factor, low, high)
