"""Render a graph as an INT8 TFLite model, over the schema that LiteRT ships."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from export.graph import Tensor
from export.ops import OPERATORS, TfliteOperator
from export.verify import calls
from jouleloop.programs import require_package

if TYPE_CHECKING:
    from types import ModuleType

    from numpy.typing import NDArray

    from export.graph import QGraph, Quant

FILE_IDENTIFIER = b"TFL3"
SCHEMA_VERSION = 3
TYPES = {"int8": "INT8", "int32": "INT32", "float32": "FLOAT32"}
# Operator codes up to this one also stand in the schema's older 8-bit field.
LARGEST_OLD_CODE = 127


def render_tflite(graph: QGraph, *, producer: str) -> bytes:
    """The graph as a TFLite file; the same graph gives the same bytes.

    Args:
        graph: verified.
        producer: goes into the file's description.

    Raises:
        MissingToolError: flatbuffers is not installed.
    """
    require_package("flatbuffers")
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    builder = flatbuffers.Builder(4096)
    builder.Finish(_model(graph, producer, schema).Pack(builder), FILE_IDENTIFIER)
    return bytes(builder.Output())


def _model(graph: QGraph, producer: str, schema: ModuleType) -> Any:
    model = schema.ModelT()
    model.version = SCHEMA_VERSION
    model.description = producer
    # By convention buffer 0 is empty and stands for "no data".
    model.buffers = [schema.BufferT()]
    subgraph = schema.SubGraphT()
    subgraph.name = graph.name
    places = {name: index for index, name in enumerate(graph.tensors)}
    subgraph.tensors = [_tensor(t, model, schema) for t in graph.tensors.values()]
    subgraph.inputs = _indices(places, graph.inputs)
    subgraph.outputs = _indices(places, graph.outputs)
    subgraph.operators, model.operatorCodes = [], []
    codes: dict[tuple[str, int], int] = {}
    for call in calls(graph):
        form = OPERATORS[call.node.op].write_tflite(call, schema)
        key = (form.builtin, form.version)
        if key not in codes:
            codes[key] = len(codes)
            model.operatorCodes.append(_operator_code(form, schema))
        operator = _operator(form, schema)
        operator.opcodeIndex = codes[key]
        inputs = _indices(places, call.node.inputs)
        added = [_parameter(values, subgraph, model, schema) for values in form.parameters]
        operator.inputs = np.append(inputs, np.array(added, np.int32))
        operator.outputs = _indices(places, call.node.outputs)
        subgraph.operators.append(operator)
    model.subgraphs = [subgraph]
    return model


def _indices(places: dict[str, int], names: tuple[str, ...]) -> Any:
    # −1 stands for an absent optional tensor.
    return np.array([places[name] if name else -1 for name in names], np.int32)


def _tensor(tensor: Tensor, model: Any, schema: ModuleType) -> Any:
    record = schema.TensorT()
    record.name = tensor.name
    record.shape = np.array(tensor.shape, np.int32)
    record.type = getattr(schema.TensorType, TYPES[tensor.dtype])
    if tensor.quant is not None:
        record.quantization = _quantization(tensor.quant, schema)
    record.buffer = 0
    if tensor.data is not None:
        buffer = schema.BufferT()
        buffer.data = np.frombuffer(np.ascontiguousarray(tensor.data).tobytes(), np.uint8)
        record.buffer = len(model.buffers)
        model.buffers.append(buffer)
    return record


def _parameter(values: NDArray[np.int32], subgraph: Any, model: Any, schema: ModuleType) -> int:
    """Add a constant that the graph holds as an attribute; returns its index."""
    index = len(subgraph.tensors)
    name = f"parameter{index}"
    subgraph.tensors.append(
        _tensor(Tensor(name, values.shape, "int32", None, values), model, schema)
    )
    return index


def _quantization(quant: Quant, schema: ModuleType) -> Any:
    record = schema.QuantizationParametersT()
    record.scale = quant.scale.astype(np.float32)
    record.zeroPoint = quant.zero_point.astype(np.int64)
    record.quantizedDimension = 0 if quant.axis is None else quant.axis
    return record


def _operator_code(form: TfliteOperator, schema: ModuleType) -> Any:
    record = schema.OperatorCodeT()
    code = getattr(schema.BuiltinOperator, form.builtin)
    record.builtinCode = code
    record.deprecatedBuiltinCode = min(code, LARGEST_OLD_CODE)
    record.version = form.version
    return record


def _operator(form: TfliteOperator, schema: ModuleType) -> Any:
    record = schema.OperatorT()
    if form.options is not None:
        # A union member is named as its table: FullyConnectedOptionsT is FullyConnectedOptions.
        name = type(form.options).__name__.removesuffix("T")
        record.builtinOptionsType = getattr(schema.BuiltinOptions, name)
        record.builtinOptions = form.options
    return record
