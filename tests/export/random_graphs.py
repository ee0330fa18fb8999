"""Random graphs whose scales use the int8 range and saturate now and then."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from export.graph import Node, QGraph, Quant, Rounding, Tensor
from export.interpret import run_all
from export.verify import verify

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

ZERO_POINTS = (-128, -1, 0, 5, 127)


@dataclass
class GraphBuilder:
    """Collects tensors and nodes; every random choice comes from `rng`."""

    rng: np.random.Generator
    rounding: Rounding = Rounding.SINGLE
    tensors: dict[str, Tensor] = field(default_factory=dict)
    nodes: list[Node] = field(default_factory=list)
    inputs: list[str] = field(default_factory=list)

    def tensor(self, shape: tuple[int, ...], scale: float, zero_point: int, kind: str = "t") -> str:
        name = f"{kind}{len(self.tensors)}"
        self.tensors[name] = Tensor(name, shape, "int8", Quant.per_tensor(scale, zero_point))
        return name

    def input(self, *shape: int, scale: float = 0.02, zero_point: int | None = None) -> str:
        name = self.tensor(shape, scale, self.zero_point(zero_point), "in")
        self.inputs.append(name)
        return name

    def zero_point(self, given: int | None = None) -> int:
        return int(self.rng.choice(ZERO_POINTS)) if given is None else given

    def constant(self, data: NDArray[np.integer], quant: Quant) -> str:
        name = f"c{len(self.tensors)}"
        self.tensors[name] = Tensor(name, data.shape, str(data.dtype), quant, data)
        return name

    def sample(self, name: str) -> NDArray[np.int64]:
        """Values of a tensor for some rows, so that scales can be chosen as calibration would."""
        so_far = self.graph(*(node.outputs[0] for node in self.nodes))
        given = rows(so_far, 40, seed=1)
        return {**given, **run_all(so_far, given)}[name].astype(np.int64)

    def node(self, op: str, inputs: tuple[str, ...], output: str, **attributes: object) -> str:
        name = f"{op.lower()}_{len(self.nodes)}"
        self.nodes.append(Node(op, name, inputs, (output,), attributes))
        return output

    def fully_connected(
        self,
        source: str,
        outputs: int,
        *,
        activation: str = "NONE",
        per_channel: bool = True,
        has_bias: bool = True,
        zero_point: int | None = None,
        keep_num_dims: bool = False,
    ) -> str:
        before = self.tensors[source]
        inputs = before.shape[-1]
        weights = self.rng.integers(-127, 128, (outputs, inputs)).astype(np.int8)
        count = outputs if per_channel else 1
        scales = (0.003 * self.rng.uniform(0.3, 1.0, count)).astype(np.float32)
        axis = 0 if per_channel else None
        zeros = np.zeros(count, np.int32)
        names = [source, self.constant(weights, Quant(scales, zeros, axis))]
        if has_bias:
            bias = self.rng.integers(-4000, 4000, outputs).astype(np.int32)
            product = (before.scale * scales).astype(np.float32)
            names.append(self.constant(bias, Quant(product, zeros, axis)))
        sums = (self.sample(source).reshape(-1, inputs) - before.zero_point) @ weights.T.astype(int)
        # Some three standard deviations fit: a few outputs saturate.
        spread = float((sums * float(before.scale) * scales).std()) or 1.0
        lead = before.shape[:-1] if keep_num_dims else (before.size // inputs,)
        out = self.tensor((*lead, outputs), spread / 45.0, self.zero_point(zero_point))
        attributes = {"activation": activation, "keep_num_dims": keep_num_dims}
        return self.node("FULLY_CONNECTED", tuple(names), out, **attributes)

    def add(
        self,
        first: str,
        second: str,
        *,
        activation: str = "NONE",
        scale: float | None = None,
        zero_point: int | None = None,
    ) -> str:
        a, b = self.tensors[first], self.tensors[second]
        shape = tuple(np.broadcast_shapes(a.shape, b.shape))
        chosen = float(a.scale + b.scale) * 0.7 if scale is None else scale
        out = self.tensor(shape, chosen, self.zero_point(zero_point))
        return self.node("ADD", (first, second), out, activation=activation)

    def unary(self, op: str, source: str, *, scale: float, zero_point: int | None = None) -> str:
        out = self.tensor(self.tensors[source].shape, scale, self.zero_point(zero_point))
        return self.node(op, (source,), out)

    def graph(self, *outputs: str, name: str = "test") -> QGraph:
        graph = QGraph(
            name,
            tuple(self.inputs),
            outputs,
            self.tensors,
            tuple(self.nodes),
            self.rounding,
            "a test",
        )
        verify(graph, after="the test's builder")
        return graph


def builder(seed: int, rounding: Rounding = Rounding.SINGLE) -> GraphBuilder:
    return GraphBuilder(np.random.default_rng(seed), rounding)


def mlp(
    widths: tuple[int, ...],
    seed: int,
    rounding: Rounding = Rounding.SINGLE,
    *,
    per_channel: bool = True,
    has_residual: bool = False,
) -> QGraph:
    """Fully connected layers with RELU between them, as a policy network has them."""
    build = builder(seed, rounding)
    value = build.input(1, widths[0])
    for index, width in enumerate(widths[1:]):
        is_last = index == len(widths) - 2
        before = value
        value = build.fully_connected(
            value,
            width,
            activation="NONE" if is_last else "RELU",
            per_channel=per_channel,
            # A RELU above a zero point of 127 leaves one value.
            zero_point=None if is_last else int(build.rng.choice((-128, -128, -60, -20))),
        )
        if has_residual and build.tensors[before].shape == build.tensors[value].shape:
            value = build.add(value, before)
    return build.graph(value)


def rows(graph: QGraph, count: int, seed: int = 0) -> dict[str, NDArray[np.int8]]:
    """Rows [count, *shape] for every input: half uniform, half of −128 and 127 alone."""
    rng = np.random.default_rng(seed)
    values = {}
    for name in graph.inputs:
        shape = (count, *graph.tensors[name].shape)
        given = rng.integers(-128, 128, shape).astype(np.int8)
        given[count // 2 :] = rng.choice(np.array([-128, 127], np.int8), given[count // 2 :].shape)
        values[name] = given
    return values


def packed(values: Mapping[str, NDArray[np.int8]]) -> NDArray[np.int8]:
    """Rows as a module takes them: the tensors of a row one behind the other."""
    return np.concatenate([v.reshape(len(v), -1) for v in values.values()], axis=1)
