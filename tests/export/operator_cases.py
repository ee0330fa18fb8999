"""One-operator graphs over the space that each operator has: shapes, scales, saturation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from export.arithmetic.window import Window
from tests.export.graphs import (
    activation_tensor,
    constant,
    every_pair,
    one_operator,
    random_int8,
    rows_for,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from export.graph import QGraph

    Rows = dict[str, NDArray[np.int8]]
    Case = tuple[QGraph, Rows]

ROWS = 12
EVERY_INT8 = {"x": np.arange(-128, 128).astype(np.int8).reshape(1, 1, 256)}


@dataclass(frozen=True)
class Convolution:
    """A convolution: (height, width), channels in and out (per input channel where depthwise)."""

    image: tuple[int, int]
    channels: tuple[int, int]
    kernel: tuple[int, int]
    stride: tuple[int, int] = (1, 1)
    dilation: tuple[int, int] = (1, 1)
    padding: str = "SAME"
    activation: str = "NONE"
    is_per_channel: bool = True
    zero_points: tuple[int, int] = (5, -3)


CONVOLUTIONS = {
    "3x3": Convolution((7, 5), (3, 4), (3, 3)),
    "1x1": Convolution((8, 9), (4, 3), (1, 1), padding="VALID", activation="RELU"),
    "strided": Convolution(
        (9, 7), (2, 3), (3, 2), (2, 1), padding="VALID", activation="RELU6", is_per_channel=False
    ),
    "one channel": Convolution((10, 10), (1, 6), (5, 3), (2, 2), zero_points=(127, 10)),
    "dilated": Convolution(
        (11, 9), (3, 2), (3, 3), dilation=(2, 3), activation="RELU", zero_points=(-128, -128)
    ),
    "kws": Convolution((49, 10), (1, 64), (10, 4), (2, 2), zero_points=(83, -128)),
    "whole image": Convolution((3, 4), (5, 2), (3, 4), padding="VALID"),
    "one pixel": Convolution((1, 1), (8, 2), (3, 3), (2, 2), is_per_channel=False),
}


def convolution_graph(case: Convolution, *, is_depthwise: bool) -> QGraph:
    """The graph of a convolution; weights reach −128, sums reach the clamps."""
    inputs, outputs = case.channels
    channels = inputs * outputs if is_depthwise else outputs
    shape = (1, *case.kernel, channels) if is_depthwise else (channels, *case.kernel, inputs)
    axis = None if not case.is_per_channel or channels == 1 else 3 if is_depthwise else 0
    scales = np.geomspace(0.001, 0.02, 1 if axis is None else channels).astype(np.float32)
    x = activation_tensor("x", (1, *case.image, inputs), 0.03, case.zero_points[0])
    weights = constant("w", random_int8(shape, 1), scales, axis=axis)
    raw = random_int8((channels,), 2).astype(np.int32) * 16
    bias_axis = None if axis is None else 0
    bias = constant("b", raw, np.float32(0.03) * scales, axis=bias_axis)
    attributes = {
        "stride": case.stride,
        "dilation": case.dilation,
        "padding": case.padding,
        "activation": case.activation,
    }
    window = Window.over(case.image, case.kernel, attributes)
    products = int(np.prod(case.kernel)) * (1 if is_depthwise else inputs)
    y = activation_tensor(
        "y", (1, *window.output, channels), 0.0004 * products**0.5, case.zero_points[1]
    )
    op = "DEPTHWISE_CONV_2D" if is_depthwise else "CONV_2D"
    return one_operator(op, [x, weights, bias], y, attributes)


def _convolutions() -> Iterator[tuple[str, Case]]:
    for name, case in CONVOLUTIONS.items():
        for op, is_depthwise in (("CONV_2D", False), ("DEPTHWISE_CONV_2D", True)):
            graph = convolution_graph(case, is_depthwise=is_depthwise)
            yield f"{op} {name}", (graph, rows_for(graph, 2 if name == "kws" else ROWS))


def _factor_in_float64() -> Iterator[tuple[str, Case]]:
    """All pairs of pixels; the scales are such that a factor in float32 shows in 30 outputs."""
    x = activation_tensor("x", (1, 1, 256, 2), 0.03, -3)
    weights = constant("w", random_int8((16, 1, 1, 2), 1), 0.00283)
    bias = constant("b", np.zeros(16, np.int32), float(np.float32(0.03) * np.float32(0.00283)))
    y = activation_tensor("y", (1, 1, 256, 16), 0.013, 0)
    window = {"stride": (1, 1), "dilation": (1, 1), "padding": "VALID", "activation": "NONE"}
    values = np.arange(-128, 128).astype(np.int8)
    pairs = np.stack(np.meshgrid(values, values, indexing="ij"), axis=-1)
    graph = one_operator("CONV_2D", [x, weights, bias], y, window)
    yield "CONV_2D every pair", (graph, {"x": pairs.reshape(256, 1, 1, 256, 2)})


POOLS: dict[str, tuple[tuple[int, int], int, dict[str, Any]]] = {
    "global": ((25, 5), 8, {"filter": (25, 5), "stride": (25, 5), "padding": "VALID"}),
    "same": ((7, 6), 3, {"filter": (3, 2), "stride": (2, 2), "padding": "SAME"}),
    "2x2": ((6, 6), 2, {"filter": (2, 2), "stride": (2, 2), "padding": "VALID"}),
    "overlapping": ((5, 5), 2, {"filter": (3, 3), "stride": (1, 1), "padding": "SAME"}),
}


def _pools() -> Iterator[tuple[str, Case]]:
    for (name, (image, channels, geometry)), activation in zip(
        POOLS.items(), ("NONE", "RELU", "NONE", "RELU6"), strict=True
    ):
        attributes = {**geometry, "activation": activation}
        window = Window.over(image, geometry["filter"], attributes)
        x = activation_tensor("x", (1, *image, channels), 0.05, -20)
        y = activation_tensor("y", (1, *window.output, channels), 0.05, -20)
        for op in ("AVERAGE_POOL_2D", "MAX_POOL_2D"):
            graph = one_operator(op, [x], y, attributes)
            yield f"{op} {name}", (graph, rows_for(graph, ROWS))


# (scale, zero point) of both inputs and of the output of a sum, and the activation
PAIRS: dict[str, tuple[tuple[float, int], tuple[float, int], tuple[float, int], str]] = {
    "usual": ((0.05, 3), (0.02, -7), (0.06, 1), "NONE"),
    "saturating": ((0.1, 0), (0.013, 5), (0.0171, -128), "RELU"),
    "far apart": ((0.031, 100), (0.77, -100), (0.9, 12), "RELU6"),
    "same": ((0.0078, -128), (0.0078, -128), (0.0156, -128), "NONE"),
}
BROADCASTS = (
    ((1, 4, 3, 2), (1, 1, 1, 2)),
    ((1, 4, 1, 2), (1, 1, 3, 1)),
    ((1, 6), (1,)),
    ((2,), (1, 3, 2)),
)


def _pairs() -> Iterator[tuple[str, Case]]:
    for op in ("ADD", "SUB", "MUL"):
        for name, (first, second, out, activation) in PAIRS.items():
            scale = out[0] / 7.3 if op == "MUL" else out[0]
            a, b = (activation_tensor(n, (1, 256), *q) for n, q in (("a", first), ("b", second)))
            y = activation_tensor("y", (1, 256), scale, out[1])
            graph = one_operator(op, [a, b], y, {"activation": activation})
            yield f"{op} {name}", (graph, every_pair(graph))
        for shapes in BROADCASTS:
            a = activation_tensor("a", shapes[0], 0.05, 3)
            b = activation_tensor("b", shapes[1], 0.031, -9)
            y = activation_tensor("y", np.broadcast_shapes(*shapes), 0.06, -4)
            graph = one_operator(op, [a, b], y, {"activation": "NONE"})
            yield f"{op} {shapes[0]} and {shapes[1]}", (graph, rows_for(graph, ROWS))
        a = activation_tensor("a", (1, 3, 4), 0.05, 3)
        b = constant("b", random_int8((4,), 3), 0.031, zero_point=4)
        y = activation_tensor("y", (1, 3, 4), 0.06, -4)
        graph = one_operator(op, [a, b], y, {"activation": "NONE"})
        yield f"{op} constant", (graph, rows_for(graph, ROWS))


SCALES = ((0.05, 0), (0.1, -128), (0.003, 127), (0.5, 12), (1.0, -5), (4.7, 3), (30.0, -1))


def _functions() -> Iterator[tuple[str, Case]]:
    for scale, zero_point in SCALES:
        x = activation_tensor("x", (1, 256), scale, zero_point)
        for op, fixed in (("LOGISTIC", (1 / 256, -128)), ("TANH", (1 / 128, 0))):
            graph = one_operator(op, [x], activation_tensor("y", (1, 256), *fixed))
            yield f"{op} {scale}", (graph, EVERY_INT8)
        for depth in (1, 2, 12):
            x = activation_tensor("x", (1, 3, depth), scale, zero_point)
            y = activation_tensor("y", (1, 3, depth), 1 / 256, -128)
            graph = one_operator("SOFTMAX", [x], y, {"beta": 1.0})
            yield f"SOFTMAX {scale} {depth}", (graph, rows_for(graph, 60))
    x = activation_tensor("x", (1, 400), 0.07, 3)
    graph = one_operator(
        "SOFTMAX", [x], activation_tensor("y", (1, 400), 1 / 256, -128), {"beta": 0.5}
    )
    yield "SOFTMAX 400 beta", (graph, rows_for(graph, ROWS))


# input shape, axes, output shape, (scale, zero point) of input and output
MEANS = {
    "usual": ((1, 7, 5, 8), (1, 2), (1, 8), (0.05, 3), (0.05, 3)),
    "kept": ((1, 7, 5, 8), (2, 1), (1, 1, 1, 8), (0.05, -128), (0.023, -100)),
    "channels": ((1, 7, 5, 9), (3,), (1, 7, 5), (0.05, -128), (0.11, 20)),
    "two of three": ((1, 4, 9), (-1, 1), (1,), (0.02, 7), (0.004, 1)),
    "widening": ((1, 3, 3, 2), (1, 2), (1, 2), (0.5, 0), (0.31, 0)),
}
# (scale, zero point) of input and output
RESCALES = {
    "nothing": ((0.05, 3), (0.05, 3)),
    "narrower": ((0.05, 3), (0.07, -128)),
    "saturating": ((0.1, 0), (0.003, 5)),
    "wider": ((0.02, -20), (0.9, 7)),
}


def _shapes_and_scales() -> Iterator[tuple[str, Case]]:
    for name, (shape, axes, out, before, after) in MEANS.items():
        x, y = activation_tensor("x", shape, *before), activation_tensor("y", out, *after)
        graph = one_operator("MEAN", [x], y, {"axes": axes})
        yield f"MEAN {name}", (graph, rows_for(graph, 60))
    for name, (before, after) in RESCALES.items():
        x, y = activation_tensor("x", (1, 256), *before), activation_tensor("y", (1, 256), *after)
        for op in ("QUANTIZE", "RELU", "RELU6"):
            yield f"{op} {name}", (one_operator(op, [x], y), EVERY_INT8)
    x = activation_tensor("x", (1, 4, 5, 2), 0.05, 7)
    padded = activation_tensor("y", (1, 7, 6, 5), 0.05, 7)
    graph = one_operator("PAD", [x], padded, {"paddings": ((0, 0), (1, 2), (0, 1), (3, 0))})
    yield "PAD", (graph, rows_for(graph, ROWS))
    flat = activation_tensor("y", (1, 40), 0.05, 7)
    graph = one_operator("RESHAPE", [x], flat)
    yield "RESHAPE", (graph, rows_for(graph, ROWS))
    other, third = (activation_tensor(n, (1, 4, 5, c), 0.05, 7) for n, c in (("x2", 3), ("x3", 1)))
    joined = activation_tensor("y", (1, 4, 5, 6), 0.05, 7)
    attributes = {"axis": -1, "activation": "NONE"}
    graph = one_operator("CONCATENATION", [x, other, third], joined, attributes)
    yield "CONCATENATION channels", (graph, rows_for(graph, ROWS))
    rows = constant("c", random_int8((1, 2, 5, 2), 4), 0.05, zero_point=7)
    joined = activation_tensor("y", (1, 6, 5, 2), 0.05, 7)
    attributes = {"axis": 1, "activation": "NONE"}
    graph = one_operator("CONCATENATION", [rows, x], joined, attributes)
    yield "CONCATENATION constant", (graph, rows_for(graph, ROWS))


def _fully_connected() -> Iterator[tuple[str, Case]]:
    bias = random_int8((7,), 6).astype(np.int32) * 50
    for name, axis in (("per tensor", None), ("per channel", 0)):
        scales = np.geomspace(0.002, 0.01, 1 if axis is None else 7).astype(np.float32)
        weights = constant("w", random_int8((7, 20), 5), scales, axis=axis)
        biases = constant("b", bias, np.float32(0.04) * scales, axis=axis)
        x = activation_tensor("x", (1, 3, 20), 0.04, 11)
        kept = activation_tensor("y", (1, 3, 7), 0.09, -30)
        attributes = {"activation": "NONE", "keep_num_dims": True}
        graph = one_operator("FULLY_CONNECTED", [x, weights, biases], kept, attributes)
        yield f"FULLY_CONNECTED {name}", (graph, rows_for(graph, 60))
        flat = activation_tensor("y", (3, 7), 0.05, -128)
        attributes = {"activation": "RELU", "keep_num_dims": False}
        graph = one_operator("FULLY_CONNECTED", [x, weights], flat, attributes)
        yield f"FULLY_CONNECTED {name} rows", (graph, rows_for(graph, 60))


CASES: dict[str, Case] = dict(
    [
        *_convolutions(),
        *_factor_in_float64(),
        *_pools(),
        *_pairs(),
        *_functions(),
        *_shapes_and_scales(),
        *_fully_connected(),
    ]
)
