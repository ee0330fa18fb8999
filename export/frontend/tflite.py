"""An INT8 `.tflite` file to a `QGraph`.

The file is untrusted. Tables of a flatbuffer may overlap, so a small file can describe a large
model; every count is checked before it is followed, and sums of sizes are bounded. Whatever is
wrong ends in one `UnsupportedModelError`. Schema: TensorFlow Lite's schema.fbs, as `ai-edge-litert`
ships it.
"""

from __future__ import annotations

import math
import struct
from typing import TYPE_CHECKING, Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from export.frontend.tflite_options import OPTION_READERS, fold_parameters
from export.graph import Node, QGraph, Quant, Rounding, Tensor
from export.verify import verify_model
from jouleloop.errors import UnsupportedModelError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    # Indices of inputs and outputs, and the operator's name and attributes.
    _Operator = tuple[list[int], list[int], tuple[str, dict[str, Any]]]

# All far above any model for these devices.
MAX_FILE_BYTES = 64 * 2**20
MAX_ENTRIES = 10_000  # of tensors, operators, buffers
MAX_OPERANDS = 256  # of one operator, or of the graph
MAX_RANK = 5
MAX_ELEMENTS = 2**28  # of one tensor
MAX_CONSTANTS = 2**27  # elements of constants that operators read, each time counted
MAX_SCALES = 2**20  # of all tensors together
# A product of two scales over a third stays within float32.
SMALLEST_SCALE, LARGEST_SCALE = 1e-12, 1e12

_OPERATOR_NAMES = {
    value: name for name, value in vars(schema.BuiltinOperator).items() if isinstance(value, int)
}
_TYPE_NAMES = {value: name for name, value in vars(schema.TensorType).items() if name.isupper()}
_DTYPES: dict[int, tuple[str, np.dtype[Any]]] = {
    schema.TensorType.INT8: ("int8", np.dtype("<i1")),
    schema.TensorType.INT32: ("int32", np.dtype("<i4")),
    schema.TensorType.FLOAT32: ("float32", np.dtype("<f4")),
}
# What the flatbuffers runtime and NumPy raise on offsets and lengths that lead nowhere.
_BROKEN = (struct.error, ValueError, TypeError, IndexError, OverflowError, AttributeError)


def read_tflite(path: Path, rounding: Rounding) -> QGraph:
    """Read an INT8 TFLite file.

    Args:
        path: the file.
        rounding: requantisation rule that the graph shall follow.

    Raises:
        UnsupportedModelError: unreadable, or something in it that the compiler has no code for.
    """
    try:
        size = path.stat().st_size
        if size > MAX_FILE_BYTES:
            raise UnsupportedModelError(f"{path} has {size} bytes; at most {MAX_FILE_BYTES}")
        content = path.read_bytes()
    except OSError as error:
        raise UnsupportedModelError(f"cannot read {path}: {error.strerror}") from error
    return parse_tflite(content, path.stem, rounding)


def parse_tflite(content: bytes, name: str, rounding: Rounding) -> QGraph:
    """Read an INT8 TFLite flatbuffer; see `read_tflite`."""
    if len(content) < 8 or content[4:8] != b"TFL3":
        raise UnsupportedModelError(
            f"{name} is not a TFLite file: {len(content)} bytes, identifier {content[4:8]!r}",
            hint="a TFLite file has TFL3 at offset 4; convert the model again",
        )
    try:
        graph = _Reader(content, name).graph(rounding)
    except _BROKEN as error:
        raise UnsupportedModelError(
            f"{name} is a damaged TFLite file ({type(error).__name__}: {error})",
            hint="fetch or convert the model again",
        ) from error
    verify_model(graph)
    return graph


class _Reader:
    """One file: the flatbuffer's tables and the names given to its tensors."""

    def __init__(self, content: bytes, name: str) -> None:
        self.name = name
        self.model = schema.Model.GetRootAs(content, 0)
        subgraphs = self.model.SubgraphsLength()
        if subgraphs != 1:
            raise UnsupportedModelError(f"{name} has {subgraphs} subgraphs; exactly 1 is supported")
        self.subgraph = self.model.Subgraphs(0)
        for what, count in (
            ("tensors", self.subgraph.TensorsLength()),
            ("operators", self.subgraph.OperatorsLength()),
            ("buffers", self.model.BuffersLength()),
        ):
            if count > MAX_ENTRIES:
                raise UnsupportedModelError(f"{name} has {count} {what}; at most {MAX_ENTRIES}")
        self.tensor_count = self.subgraph.TensorsLength()
        self.name_bytes_left = len(content)
        self.scales_left = MAX_SCALES
        self.names = self._unique_names()

    def _unique_names(self) -> list[str]:
        names: list[str] = []
        seen: set[str] = set()
        for index in range(self.tensor_count):
            raw = self.subgraph.Tensors(index).Name() or b""
            self.name_bytes_left -= len(raw)
            if self.name_bytes_left < 0:
                raise UnsupportedModelError(f"{self.name}: the tensors' names overlap")
            # The compiler names its own buffers with a NUL.
            base = raw.decode("utf-8", "replace").replace("\0", "_") or f"tensor{index}"
            unique = base
            while unique in seen:
                unique += f"#{index}"
            seen.add(unique)
            names.append(unique)
        return names

    def graph(self, rounding: Rounding) -> QGraph:
        """The whole file as a graph; tensors that no operator touches are left out."""
        nodes = tuple(self._node(index) for index in range(self.subgraph.OperatorsLength()))
        inputs = self._indices(self.subgraph, "Inputs", "the graph")
        outputs = self._indices(self.subgraph, "Outputs", "the graph")
        if not inputs or not outputs or not nodes or min(*inputs, *outputs) < 0:
            raise UnsupportedModelError(
                f"{self.name} has {len(inputs)} inputs, {len(outputs)} outputs and {len(nodes)} "
                "operators; at least 1 of each is needed"
            )
        used = {*inputs, *outputs}
        for node_inputs, node_outputs, _ in nodes:
            used.update(index for index in node_inputs if index >= 0)
            used.update(node_outputs)
        tensors = {self.names[index]: self._tensor(index) for index in sorted(used)}
        self._check_constants(nodes, tensors)
        folded = tuple(
            fold_parameters(
                Node(
                    op,
                    f"{op.lower()}_{position}",
                    tuple("" if index < 0 else self.names[index] for index in node_inputs),
                    tuple(self.names[index] for index in node_outputs),
                    attributes,
                ),
                tensors,
            )
            for position, (node_inputs, node_outputs, (op, attributes)) in enumerate(nodes)
        )
        kept = {*(self.names[i] for i in (*inputs, *outputs))}
        for node in folded:
            kept.update(name for name in (*node.inputs, *node.outputs) if name)
        return QGraph(
            self.name,
            tuple(self.names[index] for index in inputs),
            tuple(self.names[index] for index in outputs),
            {name: tensor for name, tensor in tensors.items() if name in kept},
            folded,
            rounding,
            source=f"{self.name}.tflite",
        )

    def _check_constants(self, nodes: Iterable[_Operator], tensors: Mapping[str, Tensor]) -> None:
        total = 0
        for node_inputs, _, _ in nodes:
            read = (tensors[self.names[index]] for index in node_inputs if index >= 0)
            total += sum(tensor.size for tensor in read if tensor.data is not None)
        if total > MAX_CONSTANTS:
            raise UnsupportedModelError(
                f"{self.name}: its operators read {total} constants; at most {MAX_CONSTANTS}"
            )

    def _indices(self, table: Any, field: str, what: str) -> list[int]:
        """A table's vector of tensor indices; −1 marks an absent optional input."""
        count = getattr(table, f"{field}Length")()
        if count > MAX_OPERANDS:
            raise UnsupportedModelError(
                f"{self.name}: {what} has {count} {field.lower()}; at most {MAX_OPERANDS}"
            )
        indices = _vector(getattr(table, f"{field}AsNumpy")())
        for index in indices:
            if not -1 <= index < self.tensor_count:
                raise UnsupportedModelError(
                    f"{self.name}: {what} names tensor {index} among its {field.lower()}; the file "
                    f"has {self.tensor_count}"
                )
        return list(indices)

    def _node(self, position: int) -> _Operator:
        operator = self.subgraph.Operators(position)
        if operator.OpcodeIndex() >= self.model.OperatorCodesLength():
            raise UnsupportedModelError(
                f"{self.name}: operator {position} names code {operator.OpcodeIndex()}; the file "
                f"has {self.model.OperatorCodesLength()}"
            )
        code = self.model.OperatorCodes(operator.OpcodeIndex())
        # Old files hold the code in the deprecated 8-bit field (schema.fbs, OperatorCode).
        number = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
        op = _OPERATOR_NAMES.get(number, f"operator {number}")
        inputs = self._indices(operator, "Inputs", f"operator {position}")
        outputs = self._indices(operator, "Outputs", f"operator {position}")
        if op not in OPTION_READERS:
            custom = (code.CustomCode() or b"").decode("utf-8", "replace")
            place = self.names[outputs[0]] if outputs and outputs[0] >= 0 else "?"
            raise UnsupportedModelError(
                f"{self.name}: operator {op}{f' {custom!r}' if custom else ''} at position "
                f"{position} (it makes {place}) is not supported",
                hint=f"supported: {', '.join(sorted(OPTION_READERS))}",
            )
        if not outputs or min(outputs) < 0:
            raise UnsupportedModelError(f"{self.name}: operator {position} ({op}) has no output")
        return inputs, outputs, (op, self._attributes(op, operator, position))

    def _attributes(self, op: str, operator: Any, position: int) -> dict[str, Any]:
        options_class, read = OPTION_READERS[op]
        if options_class is None:
            return {}
        table = operator.BuiltinOptions()
        wanted = getattr(schema.BuiltinOptions, options_class.__name__)
        if table is None or operator.BuiltinOptionsType() != wanted:
            raise UnsupportedModelError(
                f"{self.name}: operator {position} ({op}) carries no {options_class.__name__}"
            )
        options = options_class()
        options.Init(table.Bytes, table.Pos)
        reader: Callable[[Any], dict[str, Any]] = read
        try:
            return reader(options)
        except UnsupportedModelError as error:
            raise UnsupportedModelError(
                f"{self.name}: operator {position} ({op}): {error.message}"
            ) from error

    def _tensor(self, index: int) -> Tensor:
        tensor, name = self.subgraph.Tensors(index), self.names[index]
        number = tensor.Type()
        if number not in _DTYPES:
            raise UnsupportedModelError(
                f"{self.name}: tensor {name} is {_TYPE_NAMES.get(number, number)}; INT8 "
                "activations and weights, INT32 biases and FLOAT32 at the edges are supported",
                hint="convert the model with full INT8 quantisation",
            )
        if tensor.IsVariable() or tensor.Sparsity() is not None:
            raise UnsupportedModelError(
                f"{self.name}: tensor {name} is variable or sparse; neither is supported"
            )
        dtype, stored = _DTYPES[number]
        shape = self._shape(tensor, name)
        quant = None if dtype == "float32" else self._quant(tensor, name, shape)
        return Tensor(name, shape, dtype, quant, self._data(tensor, name, shape, stored))

    def _shape(self, tensor: Any, name: str) -> tuple[int, ...]:
        rank = max(tensor.ShapeLength(), tensor.ShapeSignatureLength())
        if rank > MAX_RANK:
            raise UnsupportedModelError(
                f"{self.name}: tensor {name} has {rank} dimensions; at most {MAX_RANK} are "
                "supported"
            )
        shape = _vector(tensor.ShapeAsNumpy())
        signature = _vector(tensor.ShapeSignatureAsNumpy())
        # A free batch (−1 first) is the usual export; we run batch 1. Anything else is dynamic.
        if any(size < 0 for size in signature[1:]) or any(size < 1 for size in shape):
            raise UnsupportedModelError(
                f"{self.name}: tensor {name} has the dynamic or empty shape "
                f"{signature or shape}; fixed dimensions >= 1 are supported",
                hint="convert the model with a fixed input shape",
            )
        if math.prod(shape) > MAX_ELEMENTS:
            raise UnsupportedModelError(
                f"{self.name}: tensor {name} has the shape {shape}; at most {MAX_ELEMENTS} "
                "elements are supported"
            )
        return shape

    def _quant(self, tensor: Any, name: str, shape: tuple[int, ...]) -> Quant | None:
        table = tensor.Quantization()
        if table is None or table.ScaleLength() == 0:
            return None
        self.scales_left -= table.ScaleLength()
        if self.scales_left < 0 or table.ZeroPointLength() > table.ScaleLength():
            raise UnsupportedModelError(
                f"{self.name}: tensor {name} brings {table.ScaleLength()} scales and "
                f"{table.ZeroPointLength()} zero points; at most {MAX_SCALES} in a model, and no "
                "more zero points than scales, are supported"
            )
        scale = np.array(table.ScaleAsNumpy(), np.float32).reshape(-1)
        zero = np.zeros(scale.size, np.int64)
        if table.ZeroPointLength():
            zero = np.array(table.ZeroPointAsNumpy(), np.int64).reshape(-1)
        axis = table.QuantizedDimension() if scale.size > 1 else None
        if not ((scale >= SMALLEST_SCALE) & (scale <= LARGEST_SCALE)).all():
            raise UnsupportedModelError(
                f"{self.name}: tensor {name} has a scale outside {SMALLEST_SCALE:g}.."
                f"{LARGEST_SCALE:g}"
            )
        if zero.size != scale.size:
            raise UnsupportedModelError(
                f"{self.name}: tensor {name} has {scale.size} scales and {zero.size} zero points"
            )
        if axis is not None and not (0 <= axis < len(shape) and shape[axis] == scale.size):
            raise UnsupportedModelError(
                f"{self.name}: tensor {name} has {scale.size} scales along axis {axis} of {shape}"
            )
        if tensor.Type() == schema.TensorType.INT8 and not (abs(zero + 0.5) <= 127.5).all():
            raise UnsupportedModelError(
                f"{self.name}: tensor {name} has a zero point outside -128..127"
            )
        if tensor.Type() == schema.TensorType.INT32 and zero.any():
            raise UnsupportedModelError(
                f"{self.name}: the INT32 tensor {name} has a zero point that is not 0"
            )
        return Quant(scale, zero.astype(np.int32), axis)

    def _data(
        self, tensor: Any, name: str, shape: tuple[int, ...], stored: np.dtype[Any]
    ) -> NDArray[Any] | None:
        index = tensor.Buffer()
        if index >= self.model.BuffersLength():
            raise UnsupportedModelError(f"{self.name}: tensor {name} names buffer {index}")
        buffer = self.model.Buffers(index)
        if buffer.Offset() > 1:  # 0 and 1 mean: inside the flatbuffer (schema.fbs, Buffer)
            raise UnsupportedModelError(f"{self.name}: tensor {name} lies outside the flatbuffer")
        if buffer.DataLength() == 0:
            return None
        wanted = math.prod(shape) * stored.itemsize
        if buffer.DataLength() != wanted:
            raise UnsupportedModelError(
                f"{self.name}: tensor {name} has {buffer.DataLength()} bytes of data; its shape "
                f"{shape} needs {wanted}"
            )
        # A view: tensors that share a buffer share its memory.
        data: NDArray[Any] = buffer.DataAsNumpy().view(stored).reshape(shape)
        return data


def _vector(vector: Any) -> tuple[int, ...]:
    values: Iterable[Any] = () if isinstance(vector, int) else vector
    return tuple(int(value) for value in values)
