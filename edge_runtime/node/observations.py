"""The rows that a node decides on: from a file, or those that travel in the bundle."""

from __future__ import annotations

import io
import zipfile
from typing import TYPE_CHECKING, Any

import numpy as np

from edge_runtime.wire.bundle import GOLDEN
from jouleloop.errors import BundleError, InputError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from edge_runtime.wire.bundle import Bundle


def golden_rows(bundle: Bundle) -> NDArray[np.int8]:
    """The inputs of the bundle's own self-test.

    Returns:
        int8 [rows, input elements], at least one row.

    Raises:
        BundleError: the bundle has none, or they do not fit its inputs.
    """
    try:
        with np.load(io.BytesIO(bundle.file(GOLDEN)), allow_pickle=False) as golden:
            rows: NDArray[np.int8] = golden["inputs"]
    except (ValueError, KeyError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise BundleError(
            f"{GOLDEN} of {bundle.name} has no readable `inputs`: {error}",
            hint="export the model again",
        ) from error
    size = sum(spec.size for spec in bundle.inputs)
    if rows.dtype != np.int8 or rows.ndim < 2 or rows.size != len(rows) * size or not len(rows):
        raise BundleError(
            f"{GOLDEN} of {bundle.name} holds {rows.dtype} {list(rows.shape)}; its inputs are "
            f"rows of {size} int8",
            hint="export the model again",
        )
    return rows.reshape(len(rows), size)


def read_rows(path: Path, bundle: Bundle) -> NDArray[np.int8]:
    """Read observations from a `.npy` file and quantise them as the model's inputs.

    Args:
        path: float32 or float64 [rows, input elements] in the units that the bundle's card states,
            or int8 rows that are quantised already.
        bundle: whose inputs they are, one behind the other in a row.

    Returns:
        int8 [rows, input elements], at least one row; values beyond the range saturate.

    Raises:
        InputError: no such file, another format or shape, or a value that is not a number.
    """
    hint = "write it with numpy.save: an array [rows, values]"
    try:
        with path.open("rb") as file:
            rows: NDArray[Any] = np.lib.format.read_array(file, allow_pickle=False)
    except FileNotFoundError as error:
        raise InputError(f"no observations at {path}", hint=hint) from error
    except (ValueError, OSError, EOFError, MemoryError) as error:
        raise InputError(f"{path} is no readable .npy file: {error}", hint=hint) from error
    size = sum(spec.size for spec in bundle.inputs)
    if rows.ndim != 2 or rows.shape[1] != size or not len(rows):
        raise InputError(
            f"{path} holds {list(rows.shape)}; {bundle.name} takes rows of {size} values",
            hint=hint,
        )
    if rows.dtype == np.int8:
        return rows
    if not np.issubdtype(rows.dtype, np.floating):
        raise InputError(f"{path} holds {rows.dtype}; float32 or int8 is read", hint=hint)
    starts = np.cumsum([spec.size for spec in bundle.inputs])[:-1]
    try:
        parts = [
            spec.quantize(columns)
            for spec, columns in zip(bundle.inputs, np.split(rows, starts, axis=1), strict=True)
        ]
    except ValueError as error:
        raise InputError(f"{path}: {error}", hint="leave such rows out") from error
    return np.concatenate(parts, axis=1)
