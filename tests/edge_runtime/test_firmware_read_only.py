"""A board that does not write its flash, on this machine: it serves what was put there, no more."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from edge_runtime.wire import smp
from edge_runtime.wire.image import Version
from edge_runtime.wire.smp import (
    Clock,
    Group,
    ImageCommand,
    ImageError,
    NodeCommand,
    NodeError,
    StatCommand,
)
from tests.edge_runtime.host_board import ARENA_BYTES, FLASH_BYTES, SLOT_BYTES, HostBoard
from tests.edge_runtime.test_firmware_slots import make_record
from tests.edge_runtime.tiny_module import HOST, TinyModule, step
from tests.keys import STRANGER

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = pytest.mark.host_c

READ, WRITE = smp.Operation.READ, smp.Operation.WRITE
ROW = np.arange(-2, 2, dtype=np.int8)
READ_ONLY = {"err": {"group": int(Group.NODE), "rc": int(NodeError.FLASH_READ_ONLY)}}


def _flash(path: Path, model: bytes) -> Path:
    content = bytearray(b"\xff" * FLASH_BYTES)
    content[SLOT_BYTES : SLOT_BYTES + len(model)] = model
    path.write_bytes(content)
    return path


def _infer(board: HostBoard) -> dict[str, Any]:
    return board.ask(WRITE, Group.NODE, NodeCommand.INFER, {"in": ROW.tobytes()})


def _reason(board: HostBoard) -> dict[str, int]:
    answer: dict[str, int] = board.ask(READ, Group.NODE, NodeCommand.ROLLBACK, {})["model"]
    return answer


@pytest.fixture
def board(host_program: Path, tmp_path: Path) -> Iterator[HostBoard]:
    flash = _flash(tmp_path / "flash.bin", TinyModule(machine=HOST).image(Version(3)))
    before = flash.read_bytes()
    with HostBoard(host_program, flash, is_read_only=True) as board:
        yield board
        # Whatever a test tried: nothing was written, and the model still serves.
        assert _infer(board)["out"] == step(ROW).tobytes()
    assert flash.read_bytes() == before


def test_the_model_that_was_put_there_serves(board: HostBoard) -> None:
    for _ in range(2):
        answer = _infer(board)
        assert answer["out"] == step(ROW).tobytes()
        assert "seq" not in answer  # no outbox keeps it
        images = board.ask(READ, Group.IMAGE, ImageCommand.STATE, {})["images"]
        model = next(image for image in images if image["image"] == smp.IMAGE_MODEL)
        assert (model["version"], model["active"]) == ("3.0.0", True)
        assert _reason(board) == {"group": 0, "rc": 0}
        board.restart()


def test_a_record_of_other_firmware_is_not_read(host_program: Path, tmp_path: Path) -> None:
    path = _flash(tmp_path / "flash.bin", TinyModule(machine=HOST).image())
    content = bytearray(path.read_bytes())
    record = make_record(1, 7, 0)
    content[: len(record)] = record
    path.write_bytes(content)
    with HostBoard(host_program, path, is_read_only=True) as board:
        assert board.ask(READ, Group.NODE, NodeCommand.LEDGER, {})["boot_id"] == 0


def test_it_says_that_it_writes_nothing(board: HostBoard) -> None:
    answer = board.ask(READ, Group.STAT, StatCommand.SHOW, {"name": "board"})
    assert answer["fields"] == {"clock": Clock.ONLY, "clock_hz": 10**9, "read_only": 1}


def test_whatever_would_write_is_refused(board: HostBoard) -> None:
    image = TinyModule(machine=HOST).image(Version(4))
    assert board.upload(image) == READ_ONLY
    for slot in range(4):
        erase = board.ask(WRITE, Group.IMAGE, ImageCommand.ERASE, {"slot": slot})
        assert erase == READ_ONLY
    start = {"off": 0, "image": 0, "len": len(image), "data": image[:64]}
    assert board.ask(WRITE, Group.IMAGE, ImageCommand.UPLOAD, start) == READ_ONLY
    configure = {"report_every": 7}
    assert board.ask(WRITE, Group.NODE, NodeCommand.CONFIGURATION, configure) == READ_ONLY
    assert board.ask(READ, Group.NODE, NodeCommand.CONFIGURATION, {}) == {"report_every": 1}
    outbox = board.ask(READ, Group.NODE, NodeCommand.OUTBOX_READ, {})
    assert outbox == {"first": 1, "next": 1, "dropped": 0, "records": []}


def test_what_changes_nothing_is_granted(board: HostBoard) -> None:
    """To confirm the firmware that runs, or to choose the model that serves."""
    images = board.ask(READ, Group.IMAGE, ImageCommand.STATE, {})["images"]
    choice = {"hash": images[1]["hash"], "confirm": True}
    for request in ({"confirm": True}, choice):
        assert board.ask(WRITE, Group.IMAGE, ImageCommand.STATE, request) == {"images": images}


def _altered() -> bytes:
    content = bytearray(TinyModule(machine=HOST).image())
    content[len(content) // 2] ^= 1
    return bytes(content)


BAD_MODELS: dict[str, tuple[Callable[[], bytes], int, int]] = {
    "nothing": (bytes, Group.IMAGE, ImageError.INVALID_MAGIC),
    "altered": (_altered, Group.NODE, NodeError.HASH_MISMATCH),
    "a stranger's": (
        lambda: TinyModule(machine=HOST).image(signing_key=STRANGER),
        Group.NODE,
        NodeError.KEY_UNTRUSTED,
    ),
    "more arena than RAM": (
        lambda: TinyModule(machine=HOST, arena_bytes=ARENA_BYTES).image(),
        Group.NODE,
        NodeError.ARENA_TOO_LARGE,
    ),
    "a wrong golden row": (
        lambda: TinyModule(machine=HOST, wrong_rows=True).image(),
        Group.NODE,
        NodeError.SELF_TEST_DIFFERS,
    ),
}


@pytest.mark.parametrize("name", BAD_MODELS)
def test_a_bad_model_does_not_serve_and_it_says_why(
    host_program: Path, tmp_path: Path, name: str
) -> None:
    model, group, code = BAD_MODELS[name]
    with HostBoard(host_program, _flash(tmp_path / "f", model()), is_read_only=True) as board:
        refused = {"err": {"group": int(Group.NODE), "rc": int(NodeError.NO_MODEL)}}
        assert _infer(board) == refused
        assert _reason(board) == {"group": int(group), "rc": int(code)}
