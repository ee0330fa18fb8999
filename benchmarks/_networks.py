"""Networks with random weights, quantised by the ranges that they see, as INT8 TFLite files.

Usage: python -m benchmarks._networks FOLDER   (writes one .tflite for each)

Instruction counts and sizes depend on shapes, scales and zero points, not on what a model learned:
these stand for the published shapes whose files do not lie in this repository.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from export.arithmetic.window import Window
from export.graph import Node, QGraph, Quant, Rounding, Tensor
from export.render.tflite import render_tflite
from export.verify import verify_model

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Real = NDArray[np.float64]

SAMPLES = 8
# Activations are scaled to this share of what the samples reach: now and then one saturates.
SEEN_PERCENT = 99.8
INT8_RANGE = 255
BIAS_SPREAD = 0.1
LOGIT_SPREAD = 1.5


@dataclass
class NetworkBuilder:
    """Adds layers one by one and keeps, for each tensor, the real values of a few samples.

    Args:
        seed: of weights and samples.
        tensors: so far.
        nodes: so far.
        samples: tensor -> float64 [SAMPLES, *shape without the batch].
    """

    seed: int
    tensors: dict[str, Tensor] = field(default_factory=dict)
    nodes: list[Node] = field(default_factory=list)
    samples: dict[str, Real] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.rng = np.random.default_rng(self.seed)

    def input(self, shape: tuple[int, ...], scale: float, zero_point: int) -> str:
        """The input, int8 [1, *shape], with samples over its whole range."""
        self.tensors["input"] = Tensor(
            "input", (1, *shape), "int8", Quant.per_tensor(scale, zero_point)
        )
        bytes_ = self.rng.integers(-128, 128, (SAMPLES, *shape))
        self.samples["input"] = (bytes_ - zero_point).astype(np.float64) * scale
        return "input"

    def convolution(
        self,
        source: str,
        channels: int,
        kernel: tuple[int, int],
        stride: tuple[int, int] = (1, 1),
        activation: str = "RELU",
    ) -> str:
        """CONV_2D with SAME padding."""
        weights = self._random((channels, *kernel, self.tensors[source].shape[3]), axis=0)
        bias = self.rng.normal(0, BIAS_SPREAD, channels)
        window = self._window(source, kernel, stride)
        value = bias + sum(
            seen @ weights[:, row, column].T
            for row, column, seen in window.taps(self.samples[source], 0)
        )
        inputs = self._constants(source, weights, bias, axis=0)
        return self._layer("CONV_2D", inputs, value, _geometry(stride, activation))

    def depthwise(self, source: str, stride: tuple[int, int] = (1, 1)) -> str:
        """DEPTHWISE_CONV_2D, 3 x 3 with SAME padding and RELU."""
        channels = self.tensors[source].shape[3]
        weights = self._random((1, 3, 3, channels), axis=3)
        bias = self.rng.normal(0, BIAS_SPREAD, channels)
        window = self._window(source, (3, 3), stride)
        value = bias + sum(
            seen * weights[0, row, column]
            for row, column, seen in window.taps(self.samples[source], 0)
        )
        inputs = self._constants(source, weights, bias, axis=3)
        return self._layer("DEPTHWISE_CONV_2D", inputs, value, _geometry(stride, "RELU"))

    def fully_connected(self, source: str, outputs: int, activation: str = "NONE") -> str:
        """FULLY_CONNECTED, scales per tensor as converters give it."""
        weights = self._random((outputs, self.tensors[source].shape[1]), axis=None)
        bias = self.rng.normal(0, BIAS_SPREAD, outputs)
        value = self.samples[source] @ weights.T + bias
        inputs = self._constants(source, weights, bias, axis=None)
        attributes = {"activation": activation, "keep_num_dims": False}
        return self._layer("FULLY_CONNECTED", inputs, value, attributes)

    def classify(self, source: str, classes: int) -> str:
        """Logits centred between the samples, so that rows differ in their class, and SOFTMAX."""
        weights = self._random((classes, self.tensors[source].shape[1]), axis=None)
        value = self.samples[source] @ weights.T
        centre = value.mean(axis=0)
        gain = LOGIT_SPREAD / max(float((value - centre).std()), 1e-9)
        inputs = self._constants(source, weights * gain, -centre * gain, axis=None)
        attributes = {"activation": "NONE", "keep_num_dims": False}
        logits = self._layer("FULLY_CONNECTED", inputs, (value - centre) * gain, attributes)
        quant = Quant.per_tensor(1 / 256, -128)  # what TFLite demands
        out = Tensor(f"t{len(self.nodes)}", self.tensors[logits].shape, "int8", quant)
        return self._node("SOFTMAX", (logits,), out, {"beta": 1.0})

    def add(self, first: str, second: str, activation: str = "NONE") -> str:
        """ADD of two tensors of one shape."""
        value = self.samples[first] + self.samples[second]
        return self._layer("ADD", (first, second), value, {"activation": activation})

    def average(self, source: str) -> str:
        """AVERAGE_POOL_2D over the whole image, then RESHAPE to [1, channels]."""
        before = self.tensors[source]
        _, height, width, channels = before.shape
        value = self.samples[source].mean(axis=(1, 2))
        size = {"filter": (height, width), "stride": (height, width), "padding": "VALID"}
        pooled = self._node(
            "AVERAGE_POOL_2D",
            (source,),
            Tensor(f"t{len(self.nodes)}", (1, 1, 1, channels), "int8", before.quant),
            size | {"activation": "NONE"},
        )
        flat = Tensor(f"t{len(self.nodes)}", (1, channels), "int8", before.quant)
        self.samples[flat.name] = value
        return self._node("RESHAPE", (pooled,), flat, {})

    def graph(self, name: str, output: str) -> QGraph:
        """The network, verified."""
        graph = QGraph(
            name, ("input",), (output,), self.tensors, tuple(self.nodes), Rounding.DOUBLE, name
        )
        verify_model(graph)
        return graph

    def _window(self, source: str, size: tuple[int, int], stride: tuple[int, int]) -> Window:
        _, height, width, _ = self.tensors[source].shape
        return Window.over((height, width), size, _geometry(stride, "NONE"))

    def _random(self, shape: tuple[int, ...], axis: int | None) -> Real:
        """Random real weights that keep the variance of a layer; channels differ in gain."""
        is_depthwise = axis == 3
        terms = shape[1] * shape[2] if is_depthwise else int(np.prod(shape[1:]))
        real = self.rng.normal(0, (2 / terms) ** 0.5, shape)
        gain = self.rng.uniform(0.5, 1.5, shape[axis or 0])
        real *= gain if is_depthwise else gain.reshape(-1, *[1] * (len(shape) - 1))
        return real

    def _constants(
        self, source: str, weights: Real, bias: Real, axis: int | None
    ) -> tuple[str, str, str]:
        """Quantise weights to int8 and the bias to int32; the names of a layer's three inputs."""
        others = tuple(k for k in range(weights.ndim) if k != axis)
        peak = np.abs(weights).max(axis=None if axis is None else others, keepdims=True)
        spread = (peak / 127).astype(np.float32)
        scale = spread.reshape(-1)
        zeros = np.zeros(scale.shape, np.int32)
        product = (self.tensors[source].scale * scale).astype(np.float32)
        names = (source, f"weights{len(self.nodes)}", f"bias{len(self.nodes)}")
        data = np.round(weights / spread).astype(np.int8)
        offsets = np.round(bias / product).astype(np.int32)
        quant = Quant(scale, zeros, axis)
        self.tensors[names[1]] = Tensor(names[1], data.shape, "int8", quant, data)
        quant = Quant(product, zeros, None if axis is None else 0)
        self.tensors[names[2]] = Tensor(names[2], offsets.shape, "int32", quant, offsets)
        return names

    def _layer(
        self, op: str, inputs: tuple[str, ...], value: Real, attributes: dict[str, Any]
    ) -> str:
        """Add an operator whose output's scale covers what the samples give."""
        low, high = map(float, np.percentile(value, (100 - SEEN_PERCENT, SEEN_PERCENT)))
        if attributes["activation"] == "RELU":
            value, low = np.maximum(value, 0), 0.0
        low, high = min(low, 0.0), max(high, 1e-3)
        scale = (high - low) / INT8_RANGE
        zero_point = int(np.clip(round(-128 - low / scale), -128, 127))
        out = Tensor(
            f"t{len(self.nodes)}",
            (1, *value.shape[1:]),
            "int8",
            Quant.per_tensor(float(scale), zero_point),
        )
        self.samples[out.name] = value
        return self._node(op, inputs, out, attributes)

    def _node(
        self, op: str, inputs: tuple[str, ...], output: Tensor, attributes: dict[str, Any]
    ) -> str:
        self.tensors[output.name] = output
        name = f"{op.lower()}_{len(self.nodes)}"
        self.nodes.append(Node(op, name, inputs, (output.name,), attributes))
        return output.name


def _geometry(stride: tuple[int, int], activation: str) -> dict[str, Any]:
    return {"stride": stride, "dilation": (1, 1), "padding": "SAME", "activation": activation}


def mobilenet() -> QGraph:
    """MobileNetV1 with a width of 0.25 at 96 x 96 x 3 and two classes, as MLPerf Tiny's vww."""
    build = NetworkBuilder(seed=1)
    value = build.input((96, 96, 3), 1 / 255, -128)
    value = build.convolution(value, 8, (3, 3), (2, 2))
    steps = ((16, 1), (32, 2), (32, 1), (64, 2), (64, 1), (128, 2), *[(128, 1)] * 5, (256, 2))
    for channels, step in (*steps, (256, 1)):
        value = build.depthwise(value, (step, step))
        value = build.convolution(value, channels, (1, 1))
    return build.graph("mobilenet_v1_025_96", build.classify(build.average(value), 2))


def resnet() -> QGraph:
    """ResNet-8 at 32 x 32 x 3 and ten classes, as MLPerf Tiny's ic."""
    build = NetworkBuilder(seed=2)
    value = build.convolution(build.input((32, 32, 3), 1.0, -128), 16, (3, 3))
    for channels, step in ((16, 1), (32, 2), (64, 2)):
        inner = build.convolution(value, channels, (3, 3), (step, step))
        inner = build.convolution(inner, channels, (3, 3), activation="NONE")
        if step != 1:
            value = build.convolution(value, channels, (1, 1), (step, step), activation="NONE")
        value = build.add(value, inner, "RELU")
    return build.graph("resnet_8_32", build.classify(build.average(value), 10))


def ds_cnn() -> QGraph:
    """DS-CNN on 49 x 10 features and twelve words, the shape of MLPerf Tiny's kws."""
    build = NetworkBuilder(seed=3)
    value = build.convolution(build.input((49, 10, 1), 0.58, 83), 64, (10, 4), (2, 2))
    for _ in range(4):
        value = build.convolution(build.depthwise(value), 64, (1, 1))
    return build.graph("ds_cnn_49x10", build.classify(build.average(value), 12))


def residual_mlp() -> QGraph:
    """Fully connected layers of 64 with residual additions, 32 inputs and 8 outputs."""
    build = NetworkBuilder(seed=4)
    value = build.fully_connected(build.input((32,), 1 / 64, 5), 64, "RELU")
    for _ in range(3):
        inner = build.fully_connected(value, 64, "RELU")
        value = build.add(build.fully_connected(inner, 64), value)
    return build.graph("residual_mlp", build.fully_connected(value, 8))


NETWORKS: dict[str, Callable[[], QGraph]] = {
    "mobilenet_v1_025_96": mobilenet,
    "resnet_8_32": resnet,
    "ds_cnn_49x10": ds_cnn,
    "residual_mlp": residual_mlp,
}


def write_network(name: str, folder: Path) -> Path:
    """Write one network as `NAME.tflite`; the same bytes every time."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.tflite"
    path.write_bytes(render_tflite(NETWORKS[name](), producer="jouleloop benchmarks"))
    return path


if __name__ == "__main__":
    for network in NETWORKS:
        print(write_network(network, Path(sys.argv[1])))
