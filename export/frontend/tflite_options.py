"""What each TFLite operator says about itself: its options, and its constant parameters."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ai_edge_litert import schema_py_generated as schema

from jouleloop.errors import UnsupportedModelError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from export.graph import Node, Tensor

_ACTIVATIONS = {
    schema.ActivationFunctionType.NONE: "NONE",
    schema.ActivationFunctionType.RELU: "RELU",
    schema.ActivationFunctionType.RELU6: "RELU6",
}
_PADDINGS = {schema.Padding.SAME: "SAME", schema.Padding.VALID: "VALID"}


def _choice(value: int, names: Mapping[int, str], what: str) -> str:
    if value not in names:
        known = ", ".join(names.values())
        raise UnsupportedModelError(f"{what} {value} is not supported; supported: {known}")
    return names[value]


def _positive(what: str, *values: int) -> tuple[int, ...]:
    if min(values) < 1:
        raise UnsupportedModelError(f"{what} {values} must be at least 1")
    return values


def _activation(options: Any) -> dict[str, Any]:
    number = options.FusedActivationFunction()
    return {"activation": _choice(number, _ACTIVATIONS, "fused activation")}


def _convolution(options: Any) -> dict[str, Any]:
    return {
        "stride": _positive("stride", options.StrideH(), options.StrideW()),
        "dilation": _positive("dilation", options.DilationHFactor(), options.DilationWFactor()),
        "padding": _choice(options.Padding(), _PADDINGS, "padding"),
        **_activation(options),
    }


def _pool(options: Any) -> dict[str, Any]:
    return {
        "stride": _positive("stride", options.StrideH(), options.StrideW()),
        "filter": _positive("filter", options.FilterHeight(), options.FilterWidth()),
        "padding": _choice(options.Padding(), _PADDINGS, "padding"),
        **_activation(options),
    }


def _fully_connected(options: Any) -> dict[str, Any]:
    if options.WeightsFormat() != schema.FullyConnectedOptionsWeightsFormat.DEFAULT:
        raise UnsupportedModelError("shuffled weights are not supported; only the default format")
    return {"keep_num_dims": bool(options.KeepNumDims()), **_activation(options)}


def _concatenation(options: Any) -> dict[str, Any]:
    return {"axis": options.Axis(), **_activation(options)}


def _softmax(options: Any) -> dict[str, Any]:
    return {"beta": float(options.Beta())}


def _nothing(_: Any) -> dict[str, Any]:
    return {}


# operator -> (class of its options table or None, reader of that table)
OPTION_READERS: Mapping[str, tuple[Any, Callable[[Any], dict[str, Any]]]] = {
    "ADD": (schema.AddOptions, _activation),
    "AVERAGE_POOL_2D": (schema.Pool2DOptions, _pool),
    "CONCATENATION": (schema.ConcatenationOptions, _concatenation),
    "CONV_2D": (schema.Conv2DOptions, _convolution),
    "DEPTHWISE_CONV_2D": (schema.DepthwiseConv2DOptions, _convolution),
    "DEQUANTIZE": (None, _nothing),
    "FULLY_CONNECTED": (schema.FullyConnectedOptions, _fully_connected),
    "LOGISTIC": (None, _nothing),
    "MAX_POOL_2D": (schema.Pool2DOptions, _pool),
    "MEAN": (None, _nothing),
    "MUL": (schema.MulOptions, _activation),
    "PAD": (None, _nothing),
    "QUANTIZE": (None, _nothing),
    "RELU": (None, _nothing),
    "RELU6": (None, _nothing),
    "RESHAPE": (None, _nothing),
    "SOFTMAX": (schema.SoftmaxOptions, _softmax),
    "SUB": (schema.SubOptions, _activation),
    "TANH": (None, _nothing),
}

MAX_PARAMETER_ELEMENTS = 10  # two for each of five dimensions
# operator -> attribute that its constant second input becomes
_PARAMETER_INPUTS = {"MEAN": "axes", "PAD": "paddings", "RESHAPE": "new_shape"}


def fold_parameters(node: Node, tensors: Mapping[str, Tensor]) -> Node:
    """Move an operator's constant parameters from its second input into its attributes.

    RESHAPE's new shape is the shape of its output, so the parameter only leaves the inputs.

    Raises:
        UnsupportedModelError: the parameter is missing, too long, or computed while the model runs.
    """
    attribute = _PARAMETER_INPUTS.get(node.op)
    if attribute is None:
        return node
    count = len(node.inputs)
    if count != 2 and not (node.op == "RESHAPE" and count == 1):
        raise UnsupportedModelError(f"operator {node.name}: it has {count} inputs; 2 are supported")
    kept = replace(node, inputs=node.inputs[:1])
    if node.op == "RESHAPE":
        return kept
    parameter = tensors[node.inputs[1]] if node.inputs[1] else None
    if parameter is None or parameter.data is None:
        raise UnsupportedModelError(
            f"operator {node.name}: its {attribute} must be constant",
            hint="convert the model with fixed shapes",
        )
    if parameter.size > MAX_PARAMETER_ELEMENTS:
        raise UnsupportedModelError(
            f"operator {node.name}: its {attribute} have {parameter.size} elements; at most "
            f"{MAX_PARAMETER_ELEMENTS} are supported"
        )
    values = parameter.data.reshape(-1) if attribute == "axes" else parameter.data
    return replace(kept, attributes={**node.attributes, attribute: _as_tuple(values)})


def _as_tuple(values: Any) -> tuple[Any, ...]:
    return tuple(_as_tuple(v) if getattr(v, "ndim", 0) else int(v) for v in values)
