"""Render a graph as an INT8 ONNX model: int8 in and out, QDQ around every operator."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from export.graph import Quant, Tensor
from export.ops import OPERATORS, Call
from export.verify import calls
from jouleloop.programs import require_package

if TYPE_CHECKING:
    import onnx
    from numpy.typing import NDArray

    from export.graph import QGraph

OPSET = 20
IR_VERSION = 10  # the first whose files ONNX Runtime 1.18 and later read with opset 20


class OnnxWriter:
    """What an operator needs to add itself to the model; see `Operator.write_onnx`."""

    def __init__(self, graph: QGraph) -> None:
        self._graph = graph
        self._nodes: list[onnx.NodeProto] = []
        self._constants: dict[str, onnx.TensorProto] = {}
        self._real: dict[str, str] = {}

    def real(self, tensor: Tensor) -> str:
        """Name of a tensor's real value; adds its DequantizeLinear once."""
        if tensor.quant is None:
            return tensor.name
        if tensor.name not in self._real:
            if tensor.data is not None:
                self._constant(tensor.name, tensor.data)
            name = f"{tensor.name}_real"
            arguments = (tensor.name, *self._scale(tensor, tensor.quant))
            axis = {} if tensor.quant.axis is None else {"axis": tensor.quant.axis}
            self._append("DequantizeLinear", arguments, name, axis)
            self._real[tensor.name] = name
        return self._real[tensor.name]

    def node(self, op_type: str, *inputs: str, **attributes: Any) -> str:
        """Add an operator on real values; returns the name of its result."""
        name = f"{op_type.lower()}_{len(self._nodes)}"
        self._append(op_type, inputs, name, attributes)
        return name

    def quantize(self, real: str, tensor: Tensor) -> None:
        """Store a real value as the int8 tensor."""
        self._append(
            "QuantizeLinear", (real, *self._scale(tensor, tensor.quantization)), tensor.name, {}
        )

    def leave(self, real: str, tensor: Tensor) -> None:
        """Give a real value the name of a float32 tensor."""
        self._append("Identity", (real,), tensor.name, {})

    def reshape(self, real: str, shape: tuple[int, ...]) -> str:
        """Reshape a real value; −1 stands for what is left."""
        return self.node("Reshape", real, self.integers(shape))

    def integers(self, values: tuple[int, ...]) -> str:
        """Name of a constant int64 vector, such as a shape."""
        name = "int64_" + "_".join(str(v).replace("-", "m") for v in values)
        return self._constant(name, np.array(values, np.int64))

    def clip(self, real: str, low: float, high: float) -> str:
        """Limit a real value to [low, high]."""
        return self.node("Clip", real, self.number(low), self.number(high))

    def activate(self, real: str, call: Call) -> str:
        """Apply a call's fused activation to a real value."""
        activation = call.node.attributes.get("activation", "NONE")
        if activation == "RELU":
            return self.node("Relu", real)
        return self.clip(real, 0.0, 6.0) if activation == "RELU6" else real

    def number(self, value: float) -> str:
        """Name of a constant float32 scalar."""
        name = f"float_{value!r}".replace(".", "_").replace("-", "m").replace("+", "p")
        return self._constant(name, np.array(value, np.float32))

    @staticmethod
    def transposed(tensor: Tensor, order: tuple[int, ...] = (1, 0)) -> Tensor:
        """A constant with its axes in another order; a matrix with its axes swapped."""
        data, quant = np.ascontiguousarray(tensor.values.transpose(order)), tensor.quantization
        axis = None if quant.axis is None else order.index(quant.axis)
        turned = Quant(quant.scale, quant.zero_point, axis)
        return Tensor(f"{tensor.name}_transposed", data.shape, tensor.dtype, turned, data)

    def _scale(self, tensor: Tensor, quant: Quant) -> tuple[str, str]:
        is_per_tensor = quant.axis is None
        scale = quant.scale[0] if is_per_tensor else quant.scale
        zero_point = quant.zero_point[0] if is_per_tensor else quant.zero_point
        return (
            self._constant(f"{tensor.name}_scale", np.array(scale, np.float32)),
            self._constant(f"{tensor.name}_zero_point", np.array(zero_point).astype(tensor.dtype)),
        )

    def _constant(self, name: str, values: NDArray[Any]) -> str:
        from onnx import numpy_helper

        self._constants[name] = numpy_helper.from_array(values, name)
        return name

    def _append(
        self, op_type: str, inputs: tuple[str, ...], output: str, attributes: dict[str, Any]
    ) -> None:
        import onnx

        name = f"{op_type}_{len(self._nodes)}"
        node = onnx.helper.make_node(op_type, list(inputs), [output], name, **attributes)
        self._nodes.append(node)

    def model(self, producer: str, version: str) -> onnx.ModelProto:
        """The finished model."""
        import onnx

        def value(name: str) -> onnx.ValueInfoProto:
            tensor = self._graph.tensors[name]
            kind = onnx.helper.np_dtype_to_tensor_dtype(np.dtype(tensor.dtype))
            return onnx.helper.make_tensor_value_info(name, kind, tensor.shape)

        graph = onnx.helper.make_graph(
            self._nodes,
            self._graph.name,
            [value(name) for name in self._graph.inputs],
            [value(name) for name in self._graph.outputs],
            list(self._constants.values()),
        )
        model = onnx.helper.make_model(
            graph,
            producer_name=producer,
            producer_version=version,
            opset_imports=[onnx.helper.make_opsetid("", OPSET)],
            ir_version=IR_VERSION,
        )
        onnx.checker.check_model(model, full_check=True)
        return model


def render_onnx(graph: QGraph, *, producer: str, version: str) -> bytes:
    """The graph as an ONNX file; the same graph gives the same bytes.

    Raises:
        MissingToolError: onnx is not installed.
    """
    require_package("onnx")
    writer = OnnxWriter(graph)
    for call in calls(graph):
        OPERATORS[call.node.op].write_onnx(call, writer)
    return writer.model(producer, version).SerializeToString(deterministic=True)
