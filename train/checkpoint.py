"""The checkpoint folder that `export` reads: written whole or not at all."""

from __future__ import annotations

import io
import json
import secrets
import shutil
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jouleloop.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import torch
    from numpy.typing import NDArray

PROGRAM, CARD, CALIBRATION = "program.pt2", "card.json", "calibration.npz"
AMORTISER = "amortiser"  # of a planner: the folder of its learned projector, a checkpoint too
FORMAT = 1
PRODUCER = "jouleloop "


@dataclass(frozen=True)
class Card:
    """What a checkpoint says of itself.

    Args:
        name: of the model.
        family: what kind of model it is: `policy` or `planner`.
        inputs: per input: name, shape, unit, normalisation, features.
        outputs: per output: name, shape, labels.
        metrics: how it compares on data that it never saw.
        seed: of the training.
        data_sha256: hash of the training data, hexadecimal.
        producer: program and version, PRODUCER and a number.
        details: what this family alone says of itself; stands under the family's name.
    """

    name: str
    family: str
    inputs: tuple[Mapping[str, Any], ...]
    outputs: tuple[Mapping[str, Any], ...]
    metrics: Mapping[str, Any]
    seed: int
    data_sha256: str
    producer: str
    details: Mapping[str, Any] = field(default_factory=dict)

    def as_record(self) -> dict[str, Any]:
        """The record in card.json."""
        record = {"format": FORMAT} | asdict(self)
        details = record.pop("details")
        return record | ({self.family: details} if details else {})


@contextmanager
def new_checkpoint(out: Path) -> Iterator[Path]:
    """A folder to write a checkpoint into; it becomes `out` when all went well.

    Whatever goes wrong, `out` is as it was before.

    Args:
        out: the folder to be; an older checkpoint there is replaced, anything else is an error.

    Raises:
        InputError: `out` holds something else, or cannot be written.
    """
    require_replaceable(out)
    place = out.resolve()
    # Beside it: a rename within one file system happens at once.
    work = place.with_name(f".{place.name}-{secrets.token_hex(4)}")
    folder, old = work / "new", work / "old"
    try:
        _make_folders(work, folder, out)
        yield folder
        if place.exists():
            place.rename(old)
        folder.rename(place)
    finally:
        # Whatever came between the two renames, an interrupt included.
        if old.exists() and not place.exists():
            old.rename(place)
        if work.exists():
            shutil.rmtree(work)


def _make_folders(work: Path, folder: Path, out: Path) -> None:
    try:
        work.parent.mkdir(parents=True, exist_ok=True)
        work.mkdir(mode=0o700)
        folder.mkdir()
    except OSError as error:
        raise InputError(
            f"cannot write a checkpoint to {out}: {error.strerror}",
            hint="choose a folder that you may write to",
        ) from error


def require_replaceable(out: Path) -> None:
    """Check that a checkpoint may be written to `out`, before the work that makes it.

    Raises:
        InputError: a file, or a folder that holds something else.
    """
    place = out.resolve()
    if not place.exists():
        return
    if not place.is_dir():
        raise InputError(f"{out} is a file", hint="choose a folder for the checkpoint")
    found = {entry.name for entry in place.iterdir()}
    strange = found - {PROGRAM, CARD, CALIBRATION, AMORTISER}
    if strange or (found and not _is_ours(place / CARD)):
        names = ", ".join(sorted(strange or found)[:3])
        raise InputError(
            f"{out} holds something that is no checkpoint: {names}",
            hint="choose a new folder; only a checkpoint or an empty folder is replaced",
        )


def _is_ours(card: Path) -> bool:
    try:
        record = json.loads(card.read_bytes())
    except (OSError, ValueError):
        return False
    return isinstance(record, dict) and str(record.get("producer", "")).startswith(PRODUCER)


def write_checkpoint(
    folder: Path,
    model: torch.nn.Module,
    example: tuple[torch.Tensor, ...],
    card: Card,
    calibration: Mapping[str, NDArray[np.float32]],
) -> None:
    """Write the three files of a checkpoint.

    Args:
        folder: an empty folder, from `new_checkpoint`.
        model: in evaluation mode.
        example: one input each, batch 1.
        card: what it says of itself.
        calibration: rows per input name, float32 [n, ...], from where the model will really run.
    """
    import torch

    program = torch.export.export(model, example)
    # To memory first: a full disk is then an OSError, which torch's own writer would hide.
    buffer = io.BytesIO()
    torch.export.save(program, buffer)
    (folder / PROGRAM).write_bytes(buffer.getvalue())
    rows = io.BytesIO()
    arrays: dict[str, Any] = dict(calibration)
    np.savez(rows, **arrays)
    (folder / CALIBRATION).write_bytes(rows.getvalue())
    text = json.dumps(card.as_record(), indent=2, allow_nan=False)
    (folder / CARD).write_text(text + "\n", encoding="utf-8")
