"""The quantised graph: one frozen record that every frontend fills and every rendering reads."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray


class Rounding(StrEnum):
    """How an int32 accumulator is scaled back to int8; part of the graph, never a silent mixture.

    SINGLE is what LiteRT's default kernels compute, which round once. DOUBLE is the doubling high
    multiply followed by a rounding shift, as TensorFlow Lite Micro and CMSIS-NN do everywhere.
    """

    SINGLE = "single"
    DOUBLE = "double"


@dataclass(frozen=True, eq=False)
class Quant:
    """real = scale × (q − zero_point), per tensor or per slice of one axis.

    Args:
        scale: float32, shape [1] per tensor, or [channels] along `axis`.
        zero_point: int32, same shape as `scale`.
        axis: the quantised axis, or None per tensor.
    """

    scale: NDArray[np.float32]
    zero_point: NDArray[np.int32]
    axis: int | None = None

    @classmethod
    def per_tensor(cls, scale: float, zero_point: int) -> Quant:
        """One scale and zero point for the whole tensor."""
        return cls(np.array([scale], np.float32), np.array([zero_point], np.int32))


@dataclass(frozen=True, eq=False)
class Tensor:
    """A tensor of the graph.

    Args:
        name: unique in the graph.
        shape: fixed dimensions, batch first (NHWC for images).
        dtype: `int8`, `int32` (biases) or `float32` (the outside of QUANTIZE and DEQUANTIZE).
        quant: its quantisation, None for float32.
        data: its values when constant, else None.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    quant: Quant | None = None
    data: NDArray[Any] | None = None

    @property
    def size(self) -> int:
        """Number of elements."""
        return int(np.prod(self.shape, dtype=np.int64))

    @property
    def quantization(self) -> Quant:
        """Its quantisation, of a tensor that has one.

        Raises:
            ValueError: it is not quantised.
        """
        if self.quant is None:
            raise ValueError(f"{self.name} is not quantised")
        return self.quant

    @property
    def scale(self) -> np.float32:
        """Its scale; the first one where each channel has its own."""
        return np.float32(self.quantization.scale[0])

    @property
    def zero_point(self) -> int:
        """Its zero point; the first one where each channel has its own."""
        return int(self.quantization.zero_point[0])

    @property
    def values(self) -> NDArray[Any]:
        """Its data, of a constant.

        Raises:
            ValueError: it is not constant.
        """
        if self.data is None:
            raise ValueError(f"{self.name} is not constant")
        return self.data


@dataclass(frozen=True, eq=False)
class Node:
    """One operator: names of its tensors and its attributes.

    Args:
        op: TFLite's name in upper case, e.g. `FULLY_CONNECTED`.
        name: unique in the graph; where it came from.
        inputs: tensor names in the operator's order; an absent optional input is "".
        outputs: tensor names.
        attributes: operator-specific, e.g. `activation`: `NONE`, `RELU`, `RELU6`.
    """

    op: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class QGraph:
    """A quantised graph in execution order.

    Args:
        name: the model's name.
        inputs: names of the graph's inputs.
        outputs: names of the graph's outputs.
        tensors: every tensor by name.
        nodes: operators, each after those whose results it reads.
        rounding: the requantisation rule of every operator.
        source: what it was read from.
    """

    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    tensors: Mapping[str, Tensor]
    nodes: tuple[Node, ...]
    rounding: Rounding
    source: str = ""

    def with_nodes(self, nodes: tuple[Node, ...]) -> QGraph:
        """The same graph with other operators."""
        return replace(self, nodes=nodes)
