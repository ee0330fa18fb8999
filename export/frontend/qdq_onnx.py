"""Read an INT8 QDQ ONNX model: every operator stands between DequantizeLinear and QuantizeLinear.

A value that passes QuantizeLinear is an int8 tensor; DequantizeLinear only says that the next
operator means its real value, so it leaves no node but at the model's exit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from export.graph import Node, QGraph, Quant, Rounding, Tensor
from export.verify import verify_model
from jouleloop.errors import UnsupportedModelError

if TYPE_CHECKING:
    from collections.abc import Callable

    import onnx
    from numpy.typing import NDArray


def read_qdq_onnx(model: onnx.ModelProto, *, name: str, source: str, rounding: Rounding) -> QGraph:
    """The graph of a QDQ model.

    Args:
        model: with int8 activations and weights, fixed shapes.
        name: the model's name.
        source: what messages call it.
        rounding: the requantisation rule that the graph shall follow.

    Raises:
        UnsupportedModelError: names the operator, its node, and what is supported.
    """
    graph = _Reader(model, source).read(name, rounding)
    verify_model(graph)
    return graph


class _Reader:
    """Walks the nodes in order and collects tensors and operators."""

    def __init__(self, model: onnx.ModelProto, source: str) -> None:
        import onnx
        from onnx import numpy_helper

        inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True).graph
        self.source = source
        self.onnx = inferred
        self.constants = {i.name: np.array(numpy_helper.to_array(i)) for i in inferred.initializer}
        self.shapes = {
            value.name: value.type.tensor_type.shape
            for value in (*inferred.input, *inferred.value_info, *inferred.output)
        }
        self.tensors: dict[str, Tensor] = {}
        self.nodes: list[Node] = []
        # real value -> the int8 or int32 tensor that it is the meaning of
        self.meaning: dict[str, str] = {}
        # real value -> the operator that made it, until QuantizeLinear says how it is stored
        self.pending: dict[str, Node] = {}

    def read(self, name: str, rounding: Rounding) -> QGraph:
        inputs = [v.name for v in self.onnx.input if v.name not in self.constants]
        for value in self.onnx.input:
            # An int8 input is known once its DequantizeLinear says what it means.
            if value.name in inputs and not self.is_int8(value):
                self.add(Tensor(value.name, self.shape(value.name), "float32"))
        for node in self.onnx.node:
            handler = HANDLERS.get(node.op_type)
            if handler is None:
                known = ", ".join(sorted(HANDLERS))
                raise self.error(node, f"has no code; supported: {known}")
            handler(self, node)
        outputs = tuple(value.name for value in self.onnx.output)
        for output in outputs:
            self.leave(output)
        return QGraph(
            name, tuple(inputs), outputs, self.tensors, tuple(self.nodes), rounding, self.source
        )

    def error(self, node: onnx.NodeProto, what: str) -> UnsupportedModelError:
        place = node.name or ", ".join(node.output)
        return UnsupportedModelError(
            f"{self.source}: operator {node.op_type} (node {place}) {what}"
        )

    def is_int8(self, value: onnx.ValueInfoProto) -> bool:
        from onnx import TensorProto

        kind = value.type.tensor_type.elem_type
        if kind not in {TensorProto.INT8, TensorProto.FLOAT}:
            raise UnsupportedModelError(
                f"{self.source}: the input {value.name} is {TensorProto.DataType.Name(kind)}; "
                "supported: INT8, FLOAT"
            )
        return bool(kind == TensorProto.INT8)

    def shape(self, name: str) -> tuple[int, ...]:
        if name not in self.shapes:
            raise UnsupportedModelError(f"{self.source}: the shape of {name} is not known")
        dimensions = self.shapes[name].dim
        if any(d.WhichOneof("value") != "dim_value" for d in dimensions):
            free = [d.dim_param or "?" for d in dimensions if not d.HasField("dim_value")]
            raise UnsupportedModelError(
                f"{self.source}: {name} has the dynamic dimension {', '.join(free)}",
                hint="export the model with fixed shapes, batch 1",
            )
        return tuple(d.dim_value for d in dimensions)

    def add(self, tensor: Tensor) -> str:
        self.tensors[tensor.name] = tensor
        return tensor.name

    def quant(self, node: onnx.NodeProto, shape: tuple[int, ...]) -> Quant:
        for name in node.input[1:]:
            if name not in self.constants:
                raise self.error(node, f"has a scale or zero point {name} that is not constant")
        scale = np.asarray(self.constants[node.input[1]], np.float32)
        has_zero_point = len(node.input) > 2
        zero_point = self.constants[node.input[2]] if has_zero_point else np.zeros(scale.shape)
        if has_zero_point and zero_point.dtype not in {np.dtype("int8"), np.dtype("int32")}:
            raise self.error(node, f"quantises to {zero_point.dtype}; supported: int8")
        axis = next((a.i for a in node.attribute if a.name == "axis"), 1)
        channel_axis = None if scale.size == 1 else axis % max(len(shape), 1)
        return Quant(scale.reshape(-1), zero_point.astype(np.int32).reshape(-1), channel_axis)

    def stored(self, node: onnx.NodeProto, name: str) -> str:
        """The int8 or int32 tensor behind an operand."""
        if name in self.meaning:
            return self.meaning[name]
        if name in self.pending:
            raise self.error(node, f"reads {name}, which is not quantised")
        raise self.error(node, f"reads the float32 tensor {name}; every operand must be quantised")

    def leave(self, output: str) -> None:
        """End a real output in DEQUANTIZE."""
        if output in self.tensors:
            return
        if output not in self.meaning:
            raise UnsupportedModelError(f"{self.source}: the output {output} is not quantised")
        stored = self.tensors[self.meaning[output]]
        self.add(Tensor(output, stored.shape, "float32"))
        self.nodes.append(Node("DEQUANTIZE", f"{output}_dequantize", (stored.name,), (output,)))


def _quantize(reader: _Reader, node: onnx.NodeProto) -> None:
    real, out = node.input[0], node.output[0]
    pending = reader.pending.pop(real, None)
    shape = reader.shape(real)
    if pending is None:
        if real in reader.constants:
            raise reader.error(node, "quantises a constant; store it as int8")
        source = reader.meaning.get(real, real)
        pending = Node("QUANTIZE", node.name or out, (source,), ())
    reader.add(Tensor(out, shape, "int8", reader.quant(node, shape)))
    made = Node(pending.op, pending.name, pending.inputs, (out,), pending.attributes)
    reader.nodes.append(made)


def _dequantize(reader: _Reader, node: onnx.NodeProto) -> None:
    stored = node.input[0]
    is_input = any(stored == value.name for value in reader.onnx.input)
    if stored not in reader.tensors and is_input and stored not in reader.constants:
        shape = reader.shape(stored)
        reader.add(Tensor(stored, shape, "int8", reader.quant(node, shape)))
    elif stored not in reader.tensors:
        if stored not in reader.constants:
            raise reader.error(node, f"reads {stored}, which nothing quantised")
        data = reader.constants[stored]
        quant = reader.quant(node, data.shape)
        reader.add(Tensor(stored, data.shape, str(data.dtype), quant, data))
    reader.meaning[node.output[0]] = stored


def _attributes(node: onnx.NodeProto) -> dict[str, Any]:
    import onnx

    return {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}


def _gemm(reader: _Reader, node: onnx.NodeProto) -> None:
    given = _attributes(node)
    plain = (given.get("alpha", 1.0), given.get("beta", 1.0), given.get("transA", 0))
    if plain != (1.0, 1.0, 0):
        raise reader.error(node, "has code for alpha 1, beta 1 and transA 0 alone")
    names = [reader.stored(node, name) for name in node.input]
    names[1] = _weights(reader, node, names[1], is_transposed=bool(given.get("transB", 0)))
    _pend(reader, node, "FULLY_CONNECTED", names, {"activation": "NONE"})


def _matmul(reader: _Reader, node: onnx.NodeProto) -> None:
    names = [reader.stored(node, name) for name in node.input]
    names[1] = _weights(reader, node, names[1], is_transposed=False)
    _pend(reader, node, "FULLY_CONNECTED", names, {"activation": "NONE", "keep_num_dims": True})


def _weights(reader: _Reader, node: onnx.NodeProto, name: str, *, is_transposed: bool) -> str:
    """The name of the weights as [outputs, inputs]."""
    tensor = reader.tensors[name]
    if tensor.data is None or len(tensor.shape) != 2:
        raise reader.error(node, f"needs a constant matrix of weights; {name} is {tensor.shape}")
    if is_transposed:
        return name
    quant = tensor.quantization
    axis = None if quant.axis is None else 1 - quant.axis
    data: NDArray[Any] = np.ascontiguousarray(tensor.data.T)
    turned = Quant(quant.scale, quant.zero_point, axis)
    return reader.add(Tensor(f"{name}_transposed", data.shape, tensor.dtype, turned, data))


def _add(reader: _Reader, node: onnx.NodeProto) -> None:
    names = [reader.stored(node, name) for name in node.input]
    _pend(reader, node, "ADD", names, {"activation": "NONE"})


def _pend(
    reader: _Reader, node: onnx.NodeProto, op: str, inputs: list[str], attributes: dict[str, Any]
) -> None:
    out = node.output[0]
    reader.pending[out] = Node(op, node.name or out, tuple(inputs), (), attributes)


def _activation(reader: _Reader, node: onnx.NodeProto, op: str) -> None:
    real, out = node.input[0], node.output[0]
    before = reader.pending.pop(real, None)
    if before is None:
        _pend(reader, node, op, [reader.stored(node, real)], {})
        return
    if before.attributes.get("activation") != "NONE":
        raise reader.error(node, f"follows {before.op} with another activation")
    attributes = {**before.attributes, "activation": op}
    reader.pending[out] = Node(before.op, before.name, before.inputs, (), attributes)


def _relu(reader: _Reader, node: onnx.NodeProto) -> None:
    _activation(reader, node, "RELU")


def _clip(reader: _Reader, node: onnx.NodeProto) -> None:
    limits = [reader.constants.get(name) for name in node.input[1:]]
    if [None if limit is None else float(limit) for limit in limits] != [0.0, 6.0]:
        raise reader.error(node, "has code for the limits 0 and 6 alone")
    _activation(reader, node, "RELU6")


HANDLERS: dict[str, Callable[[_Reader, Any], None]] = {
    "Add": _add,
    "Clip": _clip,
    "DequantizeLinear": _dequantize,
    "Gemm": _gemm,
    "MatMul": _matmul,
    "QuantizeLinear": _quantize,
    "Relu": _relu,
}
