"""Small graphs of one operator each, and the runtimes that they are compared with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from export.graph import Node, QGraph, Quant, Rounding, Tensor
from export.verify import verify_model

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

REFERENCE = OpResolverType.BUILTIN_REF


def activation_tensor(
    name: str, shape: Sequence[int], scale: float = 0.05, zero_point: int = 0
) -> Tensor:
    """An int8 tensor that an operator reads or makes."""
    return Tensor(name, tuple(shape), "int8", Quant.per_tensor(scale, zero_point))


def constant(
    name: str,
    data: NDArray[Any],
    scale: float | NDArray[np.floating[Any]] = 0.01,
    *,
    zero_point: int = 0,
    axis: int | None = None,
) -> Tensor:
    """An int8 or int32 constant; one scale per slice of `axis` where it is given."""
    scales = np.atleast_1d(np.asarray(scale, np.float32))
    zeros = np.full(scales.shape, zero_point, np.int32)
    return Tensor(name, data.shape, str(data.dtype), Quant(scales, zeros, axis), data)


def one_operator(
    op: str,
    inputs: Sequence[Tensor],
    output: Tensor,
    attributes: Mapping[str, Any] | None = None,
    rounding: Rounding = Rounding.DOUBLE,
) -> QGraph:
    """A verified graph of one operator."""
    tensors = {tensor.name: tensor for tensor in (*inputs, output)}
    names = tuple(tensor.name for tensor in inputs)
    node = Node(op, f"{op.lower()}_0", names, (output.name,), dict(attributes or {}))
    given = tuple(dict.fromkeys(tensor.name for tensor in inputs if tensor.data is None))
    graph = QGraph("model", given, (output.name,), tensors, (node,), rounding, "model.tflite")
    verify_model(graph)
    return graph


def random_int8(shape: Sequence[int], seed: int) -> NDArray[np.int8]:
    """Uniform values; raw bytes, whose stream no version of NumPy changes."""
    size = int(np.prod(shape))
    return np.frombuffer(np.random.default_rng(seed).bytes(size), np.int8).reshape(tuple(shape))


def rows_for(graph: QGraph, count: int, seed: int = 0) -> dict[str, NDArray[np.int8]]:
    """Rows for each input: uniform, then saturating, then the extremes all alike."""
    rows = {}
    for index, name in enumerate(graph.inputs):
        shape = graph.tensors[name].shape
        uniform = random_int8((count, *shape), seed + 2 * index)
        sign = random_int8((count, *shape), seed + 2 * index + 1)
        saturating = np.where(sign < 0, -128, 127).astype(np.int8)
        flat = [np.full((1, *shape), value, np.int8) for value in (-128, 127, 0)]
        rows[name] = np.concatenate([uniform, saturating, *flat])
    return rows


def every_pair(graph: QGraph) -> dict[str, NDArray[np.int8]]:
    """All 65 536 pairs of values for a graph of two inputs of 256 elements each: 256 rows."""
    values = np.arange(-128, 128).astype(np.int8)
    first = np.repeat(values[:, None], 256, axis=1)
    second = np.repeat(values[None], 256, axis=0)
    shape = graph.tensors[graph.inputs[0]].shape
    pairs = (first.reshape(-1, *shape), second.reshape(-1, *shape))
    return dict(zip(graph.inputs, pairs, strict=True))


def run_litert(
    content: bytes,
    inputs: Mapping[str, NDArray[Any]],
    *,
    kernels: OpResolverType = OpResolverType.AUTO,
    tensors: Sequence[str] = (),
) -> dict[str, NDArray[Any]]:
    """Every row through LiteRT, one by one.

    Args:
        content: a .tflite file.
        inputs: rows [n, *shape] by input name.
        kernels: BUILTIN_REF, or AUTO for the default (XNNPACK).
        tensors: further tensors to read, by name.

    Returns:
        By name, the outputs' rows and those of `tensors`.
    """
    interpreter = Interpreter(
        model_content=content,
        experimental_op_resolver_type=kernels,
        experimental_preserve_all_tensors=bool(tensors),
        num_threads=1,
    )
    interpreter.allocate_tensors()
    places = {d["name"]: d["index"] for d in interpreter.get_input_details()}
    wanted = {d["name"]: d["index"] for d in interpreter.get_output_details()}
    by_name = {d["name"]: d["index"] for d in interpreter.get_tensor_details()}
    wanted |= {name: by_name[name] for name in tensors}
    results: dict[str, list[NDArray[Any]]] = {name: [] for name in wanted}
    for row in range(len(next(iter(inputs.values())))):
        for name, rows in inputs.items():
            interpreter.set_tensor(places[name], rows[row])
        interpreter.invoke()
        for name, index in wanted.items():
            results[name].append(interpreter.get_tensor(index))
    return {name: np.stack(rows) for name, rows in results.items()}
