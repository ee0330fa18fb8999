"""What runs a bundle's model on Linux: LiteRT, ONNX Runtime, or tflite-runtime on an old image.

LiteRT gives the exact outputs of a graph of fully connected layers with single rounding. ONNX
Runtime works in floating point and may give the next integer; tflite-runtime rounds in another way,
and gives the next integer for about one output in 200. With these two a decision may differ where
scores are close.

Every backend takes and gives int8, and is checked against the bundle's manifest when it is opened,
so that a model that was mixed up fails there and not in the field.
"""

from __future__ import annotations

import importlib
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from edge_runtime.wire.bundle import ONNX, TFLITE
from jouleloop.errors import BundleError, InputError, MissingToolError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from edge_runtime.wire.bundle import Bundle
    from edge_runtime.wire.tensor import TensorSpec


class Backend(Protocol):
    """A model that is loaded and ready."""

    @property
    def name(self) -> str:
        """Its name on the command line."""

    @property
    def seconds(self) -> float:
        """What the last inference took, without conversions; 0 before the first."""

    def infer(self, row: NDArray[np.int8]) -> NDArray[np.int8]:
        """Run the model once.

        Args:
            row: int8 [input elements], all inputs one behind the other.

        Returns:
            int8 [output elements], all outputs one behind the other.

        Raises:
            ValueError: another type or number of elements.
        """


@dataclass(frozen=True)
class _Edge:
    """An input or output as a runtime describes it; scale and zero point where it states them."""

    name: str
    shape: tuple[int, ...]
    is_int8: bool
    scale: float | None = None
    zero_point: int | None = None


def open_backend(bundle: Bundle, name: str = "litert") -> Backend:
    """Load a bundle's model.

    Args:
        bundle: an exported model.
        name: one of `BACKENDS`.

    Raises:
        InputError: no backend has this name.
        MissingToolError: the backend's package is not installed.
        BundleError: the bundle lacks the model, the runtime cannot read it, or its inputs and
            outputs are not those of the manifest.
    """
    if name not in BACKENDS:
        raise InputError(f"no backend is called {name!r}", hint=f"there are {', '.join(BACKENDS)}")
    return BACKENDS[name](bundle)


class _Runner:
    """The part that all backends share: checking, splitting, joining, timing."""

    def __init__(
        self,
        name: str,
        bundle: Bundle,
        found: tuple[Sequence[_Edge], Sequence[_Edge]],
        run: Callable[[list[NDArray[np.int8]]], list[NDArray[np.int8]]],
    ) -> None:
        self.name = name
        self.seconds = 0.0
        self._inputs = bundle.inputs
        self._run = run
        self._size = sum(spec.size for spec in bundle.inputs)
        for what, specs, edges in zip(
            ("input", "output"), (bundle.inputs, bundle.outputs), found, strict=True
        ):
            _check(bundle.name, f"{name} {what}", specs, edges)

    def infer(self, row: NDArray[np.int8]) -> NDArray[np.int8]:
        if row.dtype != np.int8 or row.size != self._size:
            raise ValueError(f"a row is {self._size} int8 values; got {row.size} {row.dtype}")
        flat, start, inputs = row.reshape(-1), 0, []
        for spec in self._inputs:
            inputs.append(np.ascontiguousarray(flat[start : start + spec.size]).reshape(spec.shape))
            start += spec.size
        began = time.perf_counter()
        outputs = self._run(inputs)
        self.seconds = time.perf_counter() - began
        return np.concatenate([output.reshape(-1) for output in outputs])


def _check(model: str, where: str, specs: Sequence[TensorSpec], edges: Sequence[_Edge]) -> None:
    """Compare what a runtime found in a model with the manifest.

    Raises:
        BundleError: they differ.
    """
    wanted = [f"int8 {list(spec.shape)}" for spec in specs]
    found = [f"{'int8' if edge.is_int8 else 'other type'} {list(edge.shape)}" for edge in edges]
    hint = "export the model again"
    if wanted != found:
        raise BundleError(
            f"the {where}s of {model} are {found}; its manifest says {wanted}", hint=hint
        )
    for spec, edge in zip(specs, edges, strict=True):
        if edge.scale is None:
            continue
        if (np.float32(edge.scale), edge.zero_point) != (np.float32(spec.scale), spec.zero_point):
            raise BundleError(
                f"the {where} {edge.name} of {model} has scale {edge.scale} and zero point "
                f"{edge.zero_point}; its manifest says {spec.scale} and {spec.zero_point}",
                hint=hint,
            )


def _require(module: str, distribution: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingToolError(
            f"the Python package {module.partition('.')[0]}",
            distribution,
            f"pip install {distribution}",
        ) from error


def _open_litert(bundle: Bundle) -> Backend:
    package = _require("ai_edge_litert.interpreter", "ai-edge-litert")
    return _open_tflite("litert", package, bundle)


def _open_tflite_runtime(bundle: Bundle) -> Backend:
    # Its wheels were built for NumPy 1: with NumPy 2 it fails at the first use.
    package = _require("tflite_runtime.interpreter", "'tflite-runtime==2.14.0' 'numpy<2'")
    return _open_tflite("tflite-runtime", package, bundle)


def _open_tflite(name: str, package: Any, bundle: Bundle) -> Backend:
    content = bundle.file(TFLITE)
    try:
        # One thread: the joules of a decision are those of one core.
        interpreter = package.Interpreter(model_content=content, num_threads=1)
        interpreter.allocate_tensors()
    except (ValueError, RuntimeError) as error:
        raise BundleError(
            f"{name} cannot load {TFLITE} of {bundle.name}: {error}", hint="export the model again"
        ) from error
    inputs, outputs = interpreter.get_input_details(), interpreter.get_output_details()

    def run(rows: list[NDArray[np.int8]]) -> list[NDArray[np.int8]]:
        for detail, row in zip(inputs, rows, strict=True):
            interpreter.set_tensor(detail["index"], row)
        interpreter.invoke()
        return [interpreter.get_tensor(detail["index"]) for detail in outputs]

    found = (
        [_tflite_edge(detail) for detail in inputs],
        [_tflite_edge(detail) for detail in outputs],
    )
    return _Runner(name, bundle, found, run)


def _tflite_edge(detail: dict[str, Any]) -> _Edge:
    scale, zero_point = detail["quantization"]
    shape = tuple(int(size) for size in detail["shape"])
    return _Edge(detail["name"], shape, detail["dtype"] is np.int8, scale, zero_point)


def _open_onnxruntime(bundle: Bundle) -> Backend:
    package = _require("onnxruntime", "onnxruntime")
    options = package.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3  # errors alone; the rest would mix with our own output
    try:
        session = package.InferenceSession(
            bundle.file(ONNX), options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:
        # ONNX Runtime's own exceptions have no root but this one.
        if not type(error).__module__.startswith("onnxruntime"):
            raise
        raise BundleError(
            f"onnxruntime cannot load {ONNX} of {bundle.name}: {error}",
            hint="export the model again",
        ) from error
    inputs, outputs = session.get_inputs(), session.get_outputs()
    names = [edge.name for edge in inputs]

    def run(rows: list[NDArray[np.int8]]) -> list[NDArray[np.int8]]:
        results: list[NDArray[np.int8]] = session.run(None, dict(zip(names, rows, strict=True)))
        return results

    found = ([_onnx_edge(edge) for edge in inputs], [_onnx_edge(edge) for edge in outputs])
    return _Runner("onnxruntime", bundle, found, run)


def _onnx_edge(edge: Any) -> _Edge:
    # A dimension without a number is a name, which is no shape of a manifest.
    shape = tuple(size if isinstance(size, int) else -1 for size in edge.shape)
    return _Edge(edge.name, shape, edge.type == "tensor(int8)")


BACKENDS: dict[str, Callable[[Bundle], Backend]] = {
    "litert": _open_litert,
    "onnxruntime": _open_onnxruntime,
    "tflite-runtime": _open_tflite_runtime,
}
