"""From a torch program to an INT8 QDQ ONNX model: conversion by torch, calibration by ORT."""

from __future__ import annotations

import logging
import tempfile
import warnings
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jouleloop.errors import CheckpointError, UnsupportedModelError
from jouleloop.programs import require_package

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import numpy as np
    import onnx
    from numpy.typing import NDArray

OPSET = 20


@dataclass(frozen=True, eq=False)
class Program:
    """A torch program with fixed shapes.

    Args:
        path: where it came from.
        exported: torch's `ExportedProgram`.
        inputs: shape by input name, batch first, batch 1.
    """

    path: Path
    exported: Any
    inputs: Mapping[str, tuple[int, ...]]


def load_program(path: Path) -> Program:
    """Read a `.pt2` file and check that it can be quantised.

    Raises:
        CheckpointError: not readable, or a weight is not finite.
        UnsupportedModelError: a dynamic shape, a batch other than 1, an input that is not float32.
        MissingToolError: torch is not installed.
    """
    require_package("torch")
    import torch

    with _quiet_torch():
        try:
            exported = torch.export.load(path)
        except Exception as error:
            # The loader raises whatever its archive, pickle or schema code meets first.
            reason = " ".join(str(error).split())[:200]
            raise CheckpointError(f"{path} is not a torch.export program: {reason}") from error
    for name, value in {**exported.state_dict, **exported.constants}.items():
        if isinstance(value, torch.Tensor) and not torch.isfinite(value).all():
            raise CheckpointError(f"{path}: the weight {name} has values that are NaN or infinite")
    by_name = {node.name: node for node in exported.graph.nodes if node.op == "placeholder"}
    inputs = {
        name: _fixed_shape(path, name, by_name[name].meta["val"])
        for name in exported.graph_signature.user_inputs
    }
    return Program(path, exported, inputs)


def _fixed_shape(path: Path, name: str, value: Any) -> tuple[int, ...]:
    import torch

    if not isinstance(value, torch.Tensor) or value.dtype is not torch.float32:
        raise UnsupportedModelError(f"{path}: the input {name} must be a float32 tensor")
    if not all(isinstance(dimension, int) for dimension in value.shape):
        raise UnsupportedModelError(
            f"{path}: the input {name} has the dynamic shape {tuple(map(str, value.shape))}",
            hint="export the program with fixed shapes, batch 1",
        )
    shape = tuple(value.shape)
    if len(shape) < 2 or shape[0] != 1 or 0 in shape:
        raise UnsupportedModelError(
            f"{path}: the input {name} has the shape {shape}; it must be [1, ...], batch first"
        )
    return shape


@contextmanager
def _quiet_torch() -> Iterator[None]:
    """Keep torch's notes about its own future and about torchvision from the user."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            for category in (FutureWarning, DeprecationWarning, UserWarning):
                warnings.simplefilter("ignore", category)
            yield
    finally:
        logger.setLevel(level)


def convert_program(program: Program) -> onnx.ModelProto:
    """The same computation as float32 ONNX.

    Raises:
        UnsupportedModelError: torch has no ONNX form of an operator.
        MissingToolError: onnx or onnxscript is not installed.
    """
    require_package("onnx")
    require_package("onnxscript")
    import torch

    with _quiet_torch():
        try:
            converted = torch.onnx.export(
                program.exported, dynamo=True, opset_version=OPSET, verbose=False
            )
        except torch.onnx.errors.OnnxExporterError as error:
            reason = " ".join(str(error).split())[:200]
            raise UnsupportedModelError(f"{program.path} has no ONNX form: {reason}") from error
    if converted is None:
        raise UnsupportedModelError(f"{program.path} has no ONNX form")
    return converted.model_proto


class _Rows:
    """Calibration rows, one inference at a time (ONNX Runtime's `CalibrationDataReader`)."""

    def __init__(self, rows: Mapping[str, NDArray[np.float32]]) -> None:
        self._rows = rows
        self._next = 0

    def get_next(self) -> dict[str, NDArray[np.float32]] | None:
        at, self._next = self._next, self._next + 1
        if any(at >= len(values) for values in self._rows.values()):
            return None
        return {name: values[at : at + 1] for name, values in self._rows.items()}

    def __iter__(self) -> _Rows:
        return self

    def __next__(self) -> dict[str, NDArray[np.float32]]:
        row = self.get_next()
        if row is None:
            raise StopIteration
        return row


def quantize_model(
    model: onnx.ModelProto, rows: Mapping[str, NDArray[np.float32]]
) -> onnx.ModelProto:
    """INT8 QDQ: weights per output channel and symmetric, activations by true minimum and maximum.

    Args:
        model: float32.
        rows: calibration rows by input name, [n, *shape[1:]].
    """
    import onnx
    from onnxruntime.quantization import (
        CalibrationMethod,
        QuantFormat,
        QuantType,
        quantize_static,
    )
    from onnxruntime.quantization.shape_inference import quant_pre_process

    with tempfile.TemporaryDirectory(prefix="jouleloop-") as folder:
        prepared, quantized = Path(folder) / "prepared.onnx", Path(folder) / "quantized.onnx"
        quant_pre_process(model, str(prepared), skip_optimization=True, skip_symbolic_shape=True)
        quantize_static(
            str(prepared),
            str(quantized),
            _Rows(rows),
            quant_format=QuantFormat.QDQ,
            activation_type=QuantType.QInt8,
            weight_type=QuantType.QInt8,
            per_channel=True,
            calibrate_method=CalibrationMethod.MinMax,
        )
        return onnx.load(str(quantized))
