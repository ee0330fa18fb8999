"""Weight scales of one layer within a factor of 64, so that one code can scale all its channels.

A channel that hardly weighs anything (an output that is nearly constant) has a scale of its own,
thousands of times smaller than the others, and no kernel's shifts reach both. All channels of a
layer have one output scale: where the largest rounds its weights to half a step, rounding another's
to a sixty-fourth of that is no loss.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from export.ops import Call
from export.verify import calls

if TYPE_CHECKING:
    from export.graph import QGraph, Tensor

MOST_RATIO = 64.0


def floor_weight_scales(graph: QGraph) -> QGraph:
    """Raise small scales of FULLY_CONNECTED weights, and round weights and biases to them.

    A tensor that two layers read is left alone.
    """
    tensors = dict(graph.tensors)
    readers = [name for node in graph.nodes for name in node.inputs]
    for call in calls(graph):
        if call.node.op != "FULLY_CONNECTED" or call.input(1).quantization.axis is None:
            continue
        constants = [tensor.name for tensor in call.inputs[1:] if tensor is not None]
        if all(readers.count(name) == 1 for name in constants):
            tensors.update(_floored(call))
    return replace(graph, tensors=tensors)


def _floored(call: Call) -> dict[str, Tensor]:
    weights, bias = call.input(1), call.optional_input(2)
    before = weights.quantization.scale
    scale = np.maximum(before, before.max() / np.float32(MOST_RATIO))
    if (scale == before).all():
        return {}
    ratio = before.astype(np.float64) / scale
    values = np.rint(weights.data * ratio[:, None]).astype(np.int8)
    quantization = replace(weights.quantization, scale=scale)
    floored = {weights.name: replace(weights, data=values, quant=quantization)}
    if bias is not None:
        values = np.rint(bias.data * ratio).astype(np.int32)
        product = (call.input(0).scale * scale).astype(np.float32)
        quantization = replace(bias.quantization, scale=product)
        floored[bias.name] = replace(bias, data=values, quant=quantization)
    return floored
