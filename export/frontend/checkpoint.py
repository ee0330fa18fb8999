"""Read a checkpoint folder: torch program → ONNX → INT8 QDQ by ONNX Runtime → `QGraph`.

The folder holds `program.pt2` (torch.export, fixed shapes, batch 1), `card.json` and
`calibration.npz` (float32 rows by input name, from where the model will really run).
"""

from __future__ import annotations

import json
import zipfile
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from export.frontend.litert_agreement import settle_weight_scales
from export.frontend.qdq_onnx import read_qdq_onnx
from export.frontend.quantize_program import convert_program, load_program, quantize_model
from export.frontend.source import Source
from export.frontend.weight_floor import floor_weight_scales
from export.graph import Rounding
from export.passes.rename_tensors import rename_tensors
from jouleloop.errors import CheckpointError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

PROGRAM, CARD, CALIBRATION = "program.pt2", "card.json", "calibration.npz"


class _Value(BaseModel):
    model_config = ConfigDict(extra="allow")
    name: str = Field(min_length=1)
    shape: tuple[int, ...]


class _Card(BaseModel):
    model_config = ConfigDict(extra="allow")
    format: int
    name: str = Field(min_length=1, pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")
    family: str
    inputs: tuple[_Value, ...] = Field(min_length=1)
    outputs: tuple[_Value, ...] = Field(min_length=1)


def read_checkpoint(folder: Path, rounding: Rounding) -> Source:
    """Quantise a checkpoint and read it.

    Args:
        folder: the checkpoint.
        rounding: the requantisation rule that the graph shall follow.

    Raises:
        CheckpointError: a file is missing, broken, or does not fit the others.
        UnsupportedModelError: an operator or shape that the compiler has no code for.
    """
    for name in (PROGRAM, CARD, CALIBRATION):
        if not (folder / name).is_file():
            raise CheckpointError(
                f"{folder} is not a checkpoint: it has no {name}",
                hint="make one with `jouleloop train policy --out DIR`",
            )
    card, raw_card = _read_card(folder / CARD)
    program = load_program(folder / PROGRAM)
    names = {value.name: value.shape for value in card.inputs}
    if program.inputs != names:
        raise CheckpointError(
            f"{folder / CARD} names the inputs {names}; {PROGRAM} has {program.inputs}"
        )
    rows = _read_rows(folder / CALIBRATION, program.inputs)
    model = quantize_model(convert_program(program), rows)
    graph = read_qdq_onnx(model, name=card.name, source=str(folder / PROGRAM), rounding=rounding)
    if len(card.outputs) != len(graph.outputs):
        raise CheckpointError(
            f"{folder / CARD} names {len(card.outputs)} outputs; {PROGRAM} has "
            f"{len(graph.outputs)}: {', '.join(graph.outputs)}"
        )
    outputs = dict(zip(graph.outputs, (value.name for value in card.outputs), strict=True))
    graph = rename_tensors(graph, {old: new for old, new in outputs.items() if old != new})
    graph = floor_weight_scales(graph)
    if rounding is Rounding.SINGLE:
        graph = settle_weight_scales(graph)
    return Source(graph, card.family, raw_card, rows)


def _read_card(path: Path) -> tuple[_Card, dict[str, Any]]:
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
        card = _Card.model_validate(raw)
    except (ValueError, ValidationError) as error:
        first = str(error).splitlines()
        raise CheckpointError(f"{path} is not a card: {' '.join(first[:3])}") from error
    if card.format != 1:
        raise CheckpointError(f"{path} has format {card.format}; this jouleloop reads format 1")
    return card, raw


def _read_rows(path: Path, inputs: Mapping[str, tuple[int, ...]]) -> dict[str, NDArray[np.float32]]:
    """Calibration rows, [n, *shape[1:]] float32, checked."""
    try:
        # Opened here: NumPy leaves a file that is no archive open.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except (OSError, ValueError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise CheckpointError(f"{path} is not a readable .npz: {error}") from error
    if set(arrays) != set(inputs):
        raise CheckpointError(
            f"{path} has rows for {', '.join(arrays) or 'nothing'}; "
            f"the model's inputs are {', '.join(inputs)}"
        )
    counts = {name: len(rows) if rows.ndim else 0 for name, rows in arrays.items()}
    if 0 in counts.values() or len(set(counts.values())) != 1:
        raise CheckpointError(
            f"{path} needs the same number of rows >= 1 per input; it has {counts}"
        )
    for name, rows in arrays.items():
        _check_rows(path, name, rows, inputs[name])
    return {name: arrays[name].astype(np.float32) for name in inputs}


def _check_rows(path: Path, name: str, rows: NDArray[Any], shape: tuple[int, ...]) -> None:
    if rows.shape[1:] != shape[1:] or rows.dtype.kind != "f":
        raise CheckpointError(
            f"{path}: {name} must be float32 rows of {shape[1:]}; it is {rows.dtype} {rows.shape}"
        )
    # In float32, as they will be used: a float64 beyond its range becomes infinite.
    with np.errstate(over="ignore"):
        bad = np.argwhere(~np.isfinite(rows.astype(np.float32)))
    if bad.size:
        raise CheckpointError(
            f"{path}: {name} has {len(bad)} values that are NaN or infinite, "
            f"the first in row {int(bad[0][0])}"
        )
