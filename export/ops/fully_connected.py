"""FULLY_CONNECTED: out[n] = requantise(bias[n] + Σ_k (in[k] − zero point) × weights[n, k]).

Both rules are TFLite's: `single` as LiteRT's kernels, `double` as TensorFlow Lite Micro.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from export.arithmetic.accumulator import (
    bias_scale_matches,
    exact_product,
    fits_int32,
    product_requantisation,
)
from export.arithmetic.activation import ACTIVATIONS
from export.arithmetic.fixed_point import requantize
from export.kernels.layer import FullyConnected
from export.ops.operator import Call, Operand, Shape, Signature, TfliteOperator

if TYPE_CHECKING:
    from types import ModuleType

    from numpy.typing import NDArray

    from export.render.onnx import OnnxWriter

NAME = "FULLY_CONNECTED"
SIGNATURE = Signature(
    inputs=(
        Operand("input", is_constant=False),
        Operand("weights", is_constant=True, channel_axis=0),
        Operand("bias", ("int32",), is_constant=True, is_optional=True, channel_axis=0),
    ),
    attributes={"activation": ACTIVATIONS, "keep_num_dims": (False, True)},
)


def infer(call: Call) -> tuple[Shape, ...]:
    """[..., inputs] × [outputs, inputs] → [rows, outputs], or [..., outputs] if dims are kept."""
    source, weights, bias = call.input(0), call.input(1), call.optional_input(2)
    if len(weights.shape) != 2:
        raise call.unsupported(f"weights must be [outputs, inputs]; their shape is {weights.shape}")
    outputs, inputs = weights.shape
    keeps_dims = call.node.attributes.get("keep_num_dims", False)
    if source.size % inputs or (keeps_dims and source.shape[-1] != inputs):
        raise call.unsupported(f"an input of {source.shape} does not fit weights {weights.shape}")
    if any(weights.quantization.zero_point):
        raise call.unsupported(f"weights {weights.name} must have zero point 0")
    biases = _biases(call, outputs)
    if bias is not None and not bias_scale_matches(source, weights, bias, call.output):
        raise call.unsupported(f"bias {bias.name} must have scale input scale × weight scale")
    if not fits_int32(weights.values, biases, source.zero_point).all():
        raise call.unsupported("a sum can leave int32 (too many inputs, or too large a bias)")
    return ((*source.shape[:-1], outputs) if keeps_dims else (source.size // inputs, outputs),)


def _biases(call: Call, outputs: int) -> NDArray[np.int32]:
    bias = call.optional_input(2)
    if bias is None:
        return np.zeros(outputs, np.int32)
    if bias.size != outputs:
        raise call.unsupported(f"bias {bias.name} has {bias.size} elements for {outputs} outputs")
    return bias.values.reshape(outputs)


def layer(call: Call, symbol: str = "layer") -> FullyConnected:
    """The layer with every number resolved, as kernels take it."""
    source, weights = call.input(0), call.input(1)
    outputs, inputs = weights.shape
    activation = call.node.attributes.get("activation", "NONE")
    return FullyConnected(
        symbol,
        weights.values,
        _biases(call, outputs),
        source.zero_point,
        product_requantisation(source, weights, call.output, activation, call.rounding),
        rows=source.size // inputs,
    )


def macs(call: Call) -> int:
    """Rows × outputs × inputs."""
    return call.input(0).size * call.input(1).shape[0]


def reference(call: Call, *inputs: NDArray[Any] | None) -> tuple[NDArray[Any], ...]:
    """The specification; `inputs[0]` is int8 [rows, *shape]."""
    source, resolved = np.asarray(inputs[0], np.int64), layer(call)
    vectors = source.reshape(len(source), resolved.rows, resolved.weights.shape[1])
    sums = exact_product(vectors - resolved.input_zero_point, resolved.weights) + resolved.bias
    out = requantize(sums, resolved.requantisation)
    return (out.reshape(len(source), *call.output.shape),)


def write_onnx(call: Call, onnx: OnnxWriter) -> None:
    """Gemm for a matrix of rows; MatMul and Add where leading dimensions are kept."""
    source, weights, bias = call.input(0), call.input(1), call.optional_input(2)
    value = onnx.real(source)
    if len(source.shape) != 2 or source.shape[1] != weights.shape[1]:
        if not call.node.attributes.get("keep_num_dims", False):
            value = onnx.reshape(value, (-1, weights.shape[1]))
        value = onnx.node("MatMul", value, onnx.real(onnx.transposed(weights)))
        if bias is not None:
            value = onnx.node("Add", value, onnx.real(bias))
    else:
        biases = () if bias is None else (onnx.real(bias),)
        value = onnx.node("Gemm", value, onnx.real(weights), *biases, transB=1)
    onnx.quantize(onnx.activate(value, call), call.output)


def write_tflite(call: Call, schema: ModuleType) -> TfliteOperator:
    """FULLY_CONNECTED; version 12 brought one scale per output channel, 5 keep_num_dims."""
    options = schema.FullyConnectedOptionsT()
    activation = call.node.attributes.get("activation", "NONE")
    options.fusedActivationFunction = getattr(schema.ActivationFunctionType, activation)
    options.keepNumDims = call.node.attributes.get("keep_num_dims", False)
    is_per_channel = call.input(1).quantization.axis is not None
    return TfliteOperator(NAME, 12 if is_per_channel else 5, options)
