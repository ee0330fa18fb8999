"""Choose the reader of a source by what it is."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from export.frontend.checkpoint import CARD, read_checkpoint
from export.frontend.source import Source
from export.frontend.tflite import read_tflite
from jouleloop.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

    from export.graph import Rounding

# The family of a model whose file says nothing of what it does.
MODEL = "model"


def family_of(path: Path) -> str:
    """What a source says that it does, without reading the model; empty where it says nothing."""
    try:
        return str(json.loads((path / CARD).read_text(encoding="utf-8"))["family"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def read_source(path: Path, rounding: Rounding) -> Source:
    """Read a checkpoint folder or an INT8 TFLite file.

    Args:
        path: the folder or the file.
        rounding: the requantisation rule that the graph shall follow.

    Raises:
        CheckpointError: a folder that is no checkpoint.
        UnsupportedModelError: something in the model that the compiler has no code for.
        InputError: neither.
    """
    if path.suffix.lower() == ".tflite":
        return Source(read_tflite(path, rounding), MODEL, {}, {})
    if path.is_file():
        raise InputError(
            f"{path} is neither a checkpoint folder nor a .tflite file",
            hint="supported: folders of `jouleloop train`, and INT8 .tflite files",
        )
    return read_checkpoint(path, rounding)
