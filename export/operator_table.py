"""The operator table of a bundle: what runs, in order, on which tensors, by which code."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from export.ops import OPERATORS
from export.verify import calls

if TYPE_CHECKING:
    from export.graph import QGraph, Tensor
    from export.render.c import Program


def operator_table(graph: QGraph, program: Program | None) -> bytes:
    """The JSON text of `operators.json`; `edge_runtime/wire/bundle.py` describes its fields.

    Args:
        graph: lowered.
        program: the same graph as code, or None without a native module.
    """
    notes: list[str | None] = [None] * len(graph.nodes)
    if program is not None:
        notes = [layer.code.note for layer in program.layers]
    operators = [
        {
            "name": call.node.name,
            "op": call.node.op,
            "inputs": [None if tensor is None else _tensor(tensor) for tensor in call.inputs],
            "outputs": [_tensor(tensor) for tensor in call.outputs],
            "attributes": dict(sorted(call.node.attributes.items())),
            "kernel": note,
            "macs": OPERATORS[call.node.op].macs(call),
        }
        for call, note in zip(calls(graph), notes, strict=True)
    ]
    return json.dumps({"operators": operators}, indent=1, allow_nan=False).encode()


def _tensor(tensor: Tensor) -> dict[str, Any]:
    quant = tensor.quant
    return {
        "name": tensor.name,
        "shape": tensor.shape,
        "dtype": tensor.dtype,
        "is_constant": tensor.data is not None,
        "quantisation": None
        if quant is None
        else {
            "scale": [float(scale) for scale in quant.scale],
            "zero_point": [int(zero) for zero in quant.zero_point],
            "axis": quant.axis,
        },
    }
