"""The NumPy integer interpreter: the specification that every rendering is compared with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from export.ops import OPERATORS
from export.verify import calls

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

    from export.graph import QGraph

# Rows that go through the graph together: bounds the memory of wide tensors.
CHUNK_ELEMENTS = 2**22


def run(graph: QGraph, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Run rows through a graph, exactly.

    Args:
        graph: a verified graph.
        inputs: for each input its rows, [n, *shape[1:]] of the input's dtype, batch 1.

    Returns:
        For each output its rows, [n, *shape[1:]].

    Raises:
        ValueError: an input is missing, or has another shape or dtype.
    """
    keep = set(graph.outputs)
    return _join(graph, inputs, keep, graph.outputs)


def run_rows(graph: QGraph, rows: NDArray[np.int8]) -> NDArray[np.int8]:
    """Run int8 rows [n, input elements] through a graph of one input and one output.

    Returns:
        int8 [n, output elements].
    """
    (name,), (result,) = graph.inputs, graph.outputs
    shaped = rows.reshape(len(rows), *graph.tensors[name].shape)
    return np.asarray(run(graph, {name: shaped})[result], np.int8).reshape(len(rows), -1)


def run_all(graph: QGraph, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """As `run`, with every tensor that an operator makes."""
    names = tuple(name for node in graph.nodes for name in node.outputs)
    return _join(graph, inputs, set(names), names)


def _join(
    graph: QGraph, inputs: Mapping[str, NDArray[Any]], keep: set[str], names: tuple[str, ...]
) -> dict[str, NDArray[Any]]:
    rows = {name: _checked(graph, name, inputs) for name in graph.inputs}
    counts = {len(values) for values in rows.values()}
    if len(counts) != 1:
        raise ValueError(f"the inputs have different numbers of rows: {sorted(counts)}")
    count = counts.pop()
    largest = max((tensor.size for tensor in graph.tensors.values()), default=1)
    step = max(1, CHUNK_ELEMENTS // largest)
    # One pass even without rows: the outputs keep their shapes.
    parts = [
        _run_rows(graph, {name: values[at : at + step] for name, values in rows.items()}, keep)
        for at in range(0, max(count, 1), step)
    ]
    return {name: _without_batch(np.concatenate([part[name] for part in parts])) for name in names}


def _without_batch(rows: NDArray[Any]) -> NDArray[Any]:
    has_batch = rows.ndim > 1 and rows.shape[1] == 1
    return rows.reshape(len(rows), *rows.shape[2:]) if has_batch else rows


def _checked(graph: QGraph, name: str, inputs: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
    tensor = graph.tensors[name]
    if name not in inputs:
        raise ValueError(f"no rows for the input {name}; given: {', '.join(inputs) or 'none'}")
    rows = np.asarray(inputs[name])
    if (
        rows.dtype != np.dtype(tensor.dtype)
        or rows.ndim < 1
        or rows[:1].size not in {0, tensor.size}
    ):
        raise ValueError(
            f"the input {name} takes rows of {tensor.dtype} {tensor.shape}; "
            f"given {rows.dtype} {rows.shape}"
        )
    return rows.reshape(len(rows), *tensor.shape)


def _run_rows(
    graph: QGraph, rows: dict[str, NDArray[Any]], keep: set[str]
) -> dict[str, NDArray[Any]]:
    values: dict[str, NDArray[Any]] = {
        name: tensor.data[None] for name, tensor in graph.tensors.items() if tensor.data is not None
    } | rows
    last_use = {name: index for index, node in enumerate(graph.nodes) for name in node.inputs}
    for index, call in enumerate(calls(graph)):
        operands = (values[name] if name else None for name in call.node.inputs)
        results = OPERATORS[call.node.op].reference(call, *operands)
        values.update(zip(call.node.outputs, results, strict=True))
        for name in _finished(call.node.inputs, last_use, index):
            if name not in keep:
                values.pop(name, None)
    return {name: values[name] for name in keep}


def _finished(names: tuple[str, ...], last_use: Mapping[str, int], index: int) -> Iterator[str]:
    return (name for name in names if name and last_use[name] == index)
