"""What an operator is to the compiler. One file beside this one implements one operator."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from jouleloop.errors import UnsupportedModelError

if TYPE_CHECKING:
    from collections.abc import Container, Mapping
    from types import ModuleType

    import numpy as np
    from numpy.typing import NDArray

    from device_profiles.core import Core
    from export.graph import Node, Rounding, Tensor
    from export.kernels.layer import Convolution, FullyConnected, KernelCode
    from export.render.onnx import OnnxWriter

Shape = tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Call:
    """A node with its tensors at hand, so that an operator never looks into the graph.

    Args:
        node: the node.
        inputs: its inputs; None for an absent optional one.
        outputs: its outputs.
        rounding: the graph's requantisation rule.
    """

    node: Node
    inputs: tuple[Tensor | None, ...]
    outputs: tuple[Tensor, ...]
    rounding: Rounding

    def input(self, index: int) -> Tensor:
        """An input that is there (`verify` has seen to it)."""
        tensor = self.inputs[index] if index < len(self.inputs) else None
        if tensor is None:
            raise IndexError(f"{self.node.name} has no input {index}")
        return tensor

    def optional_input(self, index: int) -> Tensor | None:
        """An input that may be absent."""
        return self.inputs[index] if index < len(self.inputs) else None

    @property
    def output(self) -> Tensor:
        """The first output."""
        return self.outputs[0]

    def unsupported(self, what: str, hint: str = "") -> UnsupportedModelError:
        """The error for something about this node that the compiler has no code for."""
        return UnsupportedModelError(f"{self.node.op} {self.node.name}: {what}", hint=hint)


@dataclass(frozen=True)
class Operand:
    """What one input or output of an operator may be.

    Args:
        name: its role, for messages.
        dtypes: the element types that have code.
        is_constant: True or False where it must or must not be; None where either does.
        is_optional: may be absent.
        channel_axis: the axis that may carry one scale per slice; None: per tensor alone.
    """

    name: str
    dtypes: tuple[str, ...] = ("int8",)
    is_constant: bool | None = None
    is_optional: bool = False
    channel_axis: int | None = None


@dataclass(frozen=True)
class Signature:
    """The legal form of an operator, as data.

    Args:
        inputs: in order; a trailing optional one may be left out.
        outputs: in order.
        attributes: name -> the values that have code, listed or as a condition.
    """

    inputs: tuple[Operand, ...]
    outputs: tuple[Operand, ...] = (Operand("output", is_constant=False),)
    attributes: Mapping[str, Container[Any]] = field(default_factory=dict)


@dataclass(frozen=True)
class TfliteOperator:
    """An operator in a TFLite file.

    Args:
        builtin: the built-in's name.
        version: of the built-in.
        options: of the schema's object API, or None.
        parameters: int32 constants that TFLite reads as further inputs, e.g. a PAD's paddings.
    """

    builtin: str
    version: int
    options: Any = None
    parameters: tuple[NDArray[np.int32], ...] = ()


class Operator(Protocol):
    """What a file in this folder defines; `OPERATORS` in `ops/__init__.py` lists the files."""

    NAME: str
    SIGNATURE: Signature

    def infer(self, call: Call) -> tuple[Shape, ...]:
        """Shapes of the outputs.

        Raises:
            UnsupportedModelError: shapes or scales that do not fit together.
        """

    def macs(self, call: Call) -> int:
        """Multiply-accumulates of one inference."""

    def reference(self, call: Call, *inputs: NDArray[Any] | None) -> tuple[NDArray[Any], ...]:
        """The specification, exact. Arrays are [rows, *shape]; constants have one row."""

    def write_onnx(self, call: Call, onnx: OnnxWriter) -> None:
        """Add the operator, in real numbers between DequantizeLinear and QuantizeLinear."""

    def write_tflite(self, call: Call, schema: ModuleType) -> TfliteOperator:
        """The operator in a TFLite file; `schema` is TFLite's object API."""


class PlainOperator(Operator, Protocol):
    """An operator that is the same C on every core."""

    def emit_c(self, call: Call, symbol: str, core: Core) -> KernelCode:
        """Portable C11 that computes what `reference` computes.

        Args:
            call: what to compute.
            symbol: name of the function.
            core: what the count of instructions is estimated for.
        """


class KernelOperator(Operator, Protocol):
    """An operator of sums of products, which `export/kernels` has code for on every class."""

    def layer(self, call: Call, symbol: str) -> FullyConnected | Convolution:
        """The layer with every number resolved, as `export/kernels` takes it."""
