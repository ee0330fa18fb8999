"""Make int8 the outside of the graph: no QUANTIZE at an input, no DEQUANTIZE at an output."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from export.passes.rename_tensors import rename_tensors
from jouleloop.errors import UnsupportedModelError

if TYPE_CHECKING:
    from device_profiles import DeviceProfile
    from export.graph import Node, QGraph, Tensor


def drop_float_boundary(graph: QGraph, _: DeviceProfile) -> QGraph:
    """Let the int8 tensors at the edge take over the names of the real ones.

    Raises:
        UnsupportedModelError: a real input is quantised in two ways, or not at all.
    """
    entries = [node for node in graph.nodes if _is_entry(graph, node)]
    exits = [node for node in graph.nodes if _is_exit(graph, node)]
    for name in graph.inputs:
        _demand_one_scale(graph, name, [n for n in entries if n.inputs[0] == name])
    dropped = {id(node) for node in (*entries, *exits)}
    names = {node.outputs[0]: node.inputs[0] for node in entries}
    names |= {node.inputs[0]: node.outputs[0] for node in exits}
    kept = tuple(node for node in graph.nodes if id(node) not in dropped)
    return rename_tensors(graph.with_nodes(kept), names)


def _is_entry(graph: QGraph, node: Node) -> bool:
    source = node.inputs[0] if node.inputs else ""
    return (
        node.op == "QUANTIZE"
        and source in graph.inputs
        and graph.tensors[source].dtype == "float32"
        and node.outputs[0] not in graph.outputs
    )


def _is_exit(graph: QGraph, node: Node) -> bool:
    readers = [n for n in graph.nodes if node.outputs[0] in n.inputs]
    return node.op == "DEQUANTIZE" and node.outputs[0] in graph.outputs and not readers


def _demand_one_scale(graph: QGraph, name: str, entries: list[Node]) -> None:
    if graph.tensors[name].dtype != "float32":
        return
    quantized = [graph.tensors[node.outputs[0]] for node in entries]
    if not quantized:
        raise UnsupportedModelError(
            f"{graph.source}: the input {name} is float32 and no operator quantises it",
            hint="quantise the whole model to int8",
        )
    if len({_key(tensor) for tensor in quantized}) > 1:
        raise UnsupportedModelError(f"{graph.source}: the input {name} is quantised in two ways")


def _key(tensor: Tensor) -> tuple[np.float32, int]:
    return tensor.scale, tensor.zero_point
