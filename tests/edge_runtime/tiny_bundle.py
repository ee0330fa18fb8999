"""A bundle around one fully connected layer, made without the exporter."""

from __future__ import annotations

import io
from typing import Any

import flatbuffers
import numpy as np
import onnx
from ai_edge_litert import schema_py_generated as tflite
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from edge_runtime.wire.bundle import GOLDEN, ONNX, TFLITE, Bundle
from edge_runtime.wire.tensor import TensorSpec

LABELS = ["reuse", "remanufacture", "recycle", "dispose"]
INPUT = TensorSpec("observation", (1, 6), float(np.float32(1 / 64)), 3)
OUTPUT = TensorSpec("scores", (1, 4), float(np.float32(1 / 37)), -5)
WEIGHT_SCALE = float(np.float32(1 / 53))
_RANDOM = np.random.default_rng(7)
WEIGHTS = _RANDOM.integers(-127, 128, (4, 6), np.int8)
BIAS = _RANDOM.integers(-2000, 2000, 4, np.int32)


def rows(count: int, seed: int = 1) -> NDArray[np.int8]:
    """int8 [count, 6], the extremes first."""
    random = np.random.default_rng(seed).integers(-128, 128, (count, 6), np.int8)
    random[:2] = [[-128] * 6, [127] * 6][:count]
    return random


def exact(inputs: NDArray[np.int8]) -> NDArray[np.int8]:
    """int8 [n, 4]: integer accumulation, one rounding."""
    accumulator = (inputs.astype(np.int64) - INPUT.zero_point) @ WEIGHTS.T.astype(np.int64) + BIAS
    scaled = accumulator * (INPUT.scale * WEIGHT_SCALE / OUTPUT.scale)
    outputs: NDArray[np.int8] = np.clip(np.rint(scaled) + OUTPUT.zero_point, -128, 127).astype(
        np.int8
    )
    return outputs


def tiny_bundle(device_id: str = "raspberry-pi-4b", **changes: Any) -> Bundle:
    inputs = rows(20)
    golden = io.BytesIO()
    np.savez(golden, inputs=inputs, outputs=exact(inputs))
    files = {TFLITE: _tflite(), ONNX: _onnx(), GOLDEN: golden.getvalue()}
    card = {"outputs": [{"name": OUTPUT.name, "shape": [1, 4], "labels": LABELS}]}
    fields: dict[str, Any] = {
        "name": "tiny",
        "device_id": device_id,
        "family": "policy",
        "rounding": "single",
        "producer": "a test",
        "inputs": (INPUT,),
        "outputs": (OUTPUT,),
        "card": card,
        "files": files,
    }
    return Bundle(**(fields | changes))


def _tflite() -> bytes:
    model = tflite.ModelT()
    model.version = 3
    code = tflite.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = tflite.BuiltinOperator.FULLY_CONNECTED
    code.version = 4
    model.operatorCodes = [code]
    model.buffers = [tflite.BufferT() for _ in range(3)]
    model.buffers[1].data = np.frombuffer(WEIGHTS.tobytes(), np.uint8)
    model.buffers[2].data = np.frombuffer(BIAS.tobytes(), np.uint8)
    graph = tflite.SubGraphT()
    graph.tensors = [
        _tensor(INPUT.name, (1, 6), tflite.TensorType.INT8, 0, INPUT.scale, INPUT.zero_point),
        _tensor("weights", (4, 6), tflite.TensorType.INT8, 1, WEIGHT_SCALE, 0),
        _tensor("bias", (4,), tflite.TensorType.INT32, 2, INPUT.scale * WEIGHT_SCALE, 0),
        _tensor(OUTPUT.name, (1, 4), tflite.TensorType.INT8, 0, OUTPUT.scale, OUTPUT.zero_point),
    ]
    operator = tflite.OperatorT()
    operator.inputs, operator.outputs = [0, 1, 2], [3]
    operator.builtinOptionsType = tflite.BuiltinOptions.FullyConnectedOptions
    operator.builtinOptions = tflite.FullyConnectedOptionsT()
    graph.operators = [operator]
    graph.inputs, graph.outputs = [0], [3]
    model.subgraphs = [graph]
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def _tensor(
    name: str, shape: tuple[int, ...], kind: int, buffer: int, scale: float, zero_point: int
) -> Any:
    tensor = tflite.TensorT()
    tensor.name, tensor.shape, tensor.type, tensor.buffer = name, list(shape), kind, buffer
    tensor.quantization = tflite.QuantizationParametersT()
    tensor.quantization.scale, tensor.quantization.zeroPoint = [scale], [zero_point]
    return tensor


def _onnx() -> bytes:
    constants: dict[str, Any] = {
        "x_scale": np.float32(INPUT.scale),
        "x_zero": np.int8(INPUT.zero_point),
        "w_scale": np.float32(WEIGHT_SCALE),
        "w_zero": np.int8(0),
        "y_scale": np.float32(OUTPUT.scale),
        "y_zero": np.int8(OUTPUT.zero_point),
        "weights": WEIGHTS,
        "bias": (BIAS * INPUT.scale * WEIGHT_SCALE).astype(np.float32),
    }
    node = helper.make_node
    graph = helper.make_graph(
        [
            node("DequantizeLinear", [INPUT.name, "x_scale", "x_zero"], ["x"]),
            node("DequantizeLinear", ["weights", "w_scale", "w_zero"], ["w"]),
            node("Gemm", ["x", "w", "bias"], ["y"], transB=1),
            node("QuantizeLinear", ["y", "y_scale", "y_zero"], [OUTPUT.name]),
        ],
        "tiny",
        [helper.make_tensor_value_info(INPUT.name, TensorProto.INT8, INPUT.shape)],
        [helper.make_tensor_value_info(OUTPUT.name, TensorProto.INT8, OUTPUT.shape)],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())
