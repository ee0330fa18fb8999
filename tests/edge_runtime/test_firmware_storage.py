"""The firmware's outbox and configuration on this machine, under sanitizers."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Any

import pytest

from edge_runtime.wire import smp
from edge_runtime.wire.smp import Group, NodeCommand, ProtocolError
from tests.edge_runtime.host_board import ERASE_BYTES, HostBoard
from tests.edge_runtime.tiny_module import HOST, TinyModule

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.host_c

READ, WRITE = smp.Operation.READ, smp.Operation.WRITE
OUTBOX_AT, OUTBOX_BLOCKS, ENTRY_BYTES = 0x10000, 4, 64
CONFIGURATION_AT = 0x8000
# A block begins with a mark.
DECISIONS_PER_BLOCK = ERASE_BYTES // ENTRY_BYTES - 1


def _infer(board: HostBoard, value: int, size: int = 4) -> int | None:
    row = bytes([value % 100] * size)
    answer = board.ask(WRITE, Group.NODE, NodeCommand.INFER, {"in": row})
    return answer.get("seq")


def _outbox(board: HostBoard, sequence: int = 0) -> dict[str, Any]:
    return board.ask(READ, Group.NODE, NodeCommand.OUTBOX_READ, {"seq": sequence})


def _all(board: HostBoard) -> list[dict[str, Any]]:
    records: list[dict[str, Any]] = []
    while found := _outbox(board, records[-1]["seq"] + 1 if records else 0)["records"]:
        records += found
    return records


def _acknowledge(board: HostBoard, sequence: int) -> dict[str, Any]:
    return board.ask(WRITE, Group.NODE, NodeCommand.OUTBOX_ACKNOWLEDGE, {"seq": sequence})


def _configure(board: HostBoard, report_every: int) -> dict[str, Any]:
    payload = {"report_every": report_every}
    return board.ask(WRITE, Group.NODE, NodeCommand.CONFIGURATION, payload)


def _report_every(board: HostBoard) -> int:
    return int(board.ask(READ, Group.NODE, NodeCommand.CONFIGURATION, {})["report_every"])


@pytest.fixture
def board(fresh_board: HostBoard) -> HostBoard:
    fresh_board.upload(TinyModule(machine=HOST).image())
    return fresh_board


def test_decisions_are_kept_over_restarts(board: HostBoard) -> None:
    assert _outbox(board) == {"first": 1, "next": 1, "dropped": 0, "records": []}
    assert [_infer(board, value) for value in (1, 2)] == [1, 2]
    board.restart()
    assert _infer(board, 3) == 3
    first, second, third = _all(board)
    assert [r["seq"] for r in (first, second, third)] == [1, 2, 3]
    assert [r["boot_id"] for r in (first, second, third)] == [1, 1, 2]
    assert [r["out"] for r in (first, second, third)] == [bytes([v] * 4) for v in (2, 3, 4)]
    assert second["crc"] == zlib.crc32(second["out"])
    assert second["len"] == 4
    assert first["at"] < second["at"]


def test_of_a_long_output_the_start_and_the_crc_are_kept(fresh_board: HostBoard) -> None:
    fresh_board.upload(TinyModule(machine=HOST, size=17).image())
    _infer(fresh_board, 7, size=17)
    (record,) = _all(fresh_board)
    assert (record["len"], record["out"]) == (17, bytes([8] * 16))
    assert record["crc"] == zlib.crc32(bytes([8] * 17))


def test_what_is_acknowledged_is_owed_no_more(board: HostBoard) -> None:
    for value in range(6):
        _infer(board, value)
    assert _acknowledge(board, 4) == {"first": 5, "next": 7, "dropped": 0}
    for _ in range(2):
        assert [record["seq"] for record in _all(board)] == [5, 6]
        assert [record["seq"] for record in _outbox(board, 6)["records"]] == [6]
        assert _outbox(board, 7)["records"] == []
        # Again, or an older one: nothing changes.
        assert _acknowledge(board, 2) == {"first": 5, "next": 7, "dropped": 0}
        board.restart()
    assert _acknowledge(board, 7) == {"rc": ProtocolError.INVALID}
    assert _acknowledge(board, 6) == {"first": 7, "next": 7, "dropped": 0}
    board.restart()
    assert _outbox(board) == {"first": 7, "next": 7, "dropped": 0, "records": []}
    assert _infer(board, 1) == 7


@pytest.mark.parametrize("restart_every", [0, 50])
def test_the_oldest_make_room_and_are_counted(board: HostBoard, restart_every: int) -> None:
    total = DECISIONS_PER_BLOCK * (OUTBOX_BLOCKS + 3) + 5
    for value in range(total):
        assert _infer(board, value) == value + 1
        if restart_every and value % restart_every == 0:
            board.restart()
    state = _outbox(board)
    kept = [record["seq"] for record in _all(board)]
    assert kept == list(range(state["first"], total + 1))
    assert state["next"] == total + 1
    assert state["dropped"] == state["first"] - 1
    assert len(kept) == DECISIONS_PER_BLOCK * (OUTBOX_BLOCKS - 1) + 5
    # Nothing that was acknowledged counts as dropped.
    _acknowledge(board, total)
    for value in range(DECISIONS_PER_BLOCK * OUTBOX_BLOCKS):
        _infer(board, value)
        _acknowledge(board, total + value + 1)
    assert _outbox(board)["dropped"] == state["dropped"]


def test_wear_is_spread(board: HostBoard) -> None:
    for value in range(DECISIONS_PER_BLOCK * OUTBOX_BLOCKS * 2):
        _infer(board, value)
    board.stop()
    flash = board.flash.read_bytes()
    serials = [
        int.from_bytes(flash[OUTBOX_AT + block * ERASE_BYTES + 4 :][:4], "little")
        for block in range(OUTBOX_BLOCKS)
    ]
    # Every block was opened in the last round.
    assert sorted(serials)[-1] - sorted(serials)[0] == (OUTBOX_BLOCKS - 1) * (ERASE_BYTES // 64)
    board.start()


def test_an_altered_entry_is_left_out(board: HostBoard) -> None:
    for value in range(3):
        _infer(board, value)
    board.stop()
    flash = bytearray(board.flash.read_bytes())
    flash[OUTBOX_AT + 2 * ENTRY_BYTES + 20] ^= 1
    board.flash.write_bytes(flash)
    board.start()
    assert [record["seq"] for record in _all(board)] == [1, 3]


def test_an_outbox_of_garbage_is_empty(host_program: Path, tmp_path: Path) -> None:
    flash = tmp_path / "flash.bin"
    flash.write_bytes(bytes(2**20))
    with HostBoard(host_program, flash) as board:
        assert _outbox(board) == {"first": 1, "next": 1, "dropped": 0, "records": []}
        assert _report_every(board) == 1


def test_the_configuration_says_what_is_kept(board: HostBoard) -> None:
    assert _report_every(board) == 1
    assert _configure(board, 3) == {}
    assert [_infer(board, value) for value in range(6)] == [None, None, 1, None, None, 2]
    board.restart()
    assert _report_every(board) == 3
    for every in (0, 2**32 - 1, 0):
        _configure(board, every)
        assert _infer(board, 1) is None
        board.restart()
        assert _report_every(board) == every


def test_a_broken_configuration_gives_way_to_the_one_before(board: HostBoard) -> None:
    _configure(board, 5)
    _configure(board, 9)
    board.stop()
    flash = bytearray(board.flash.read_bytes())
    flash[CONFIGURATION_AT + ERASE_BYTES + 8] ^= 1
    board.flash.write_bytes(flash)
    board.start()
    assert _report_every(board) == 5
    assert _configure(board, 7) == {}
    assert _report_every(board) == 7


@pytest.mark.parametrize(
    ("operation", "command", "payload"),
    [
        (READ, NodeCommand.OUTBOX_READ, {"seq": "1"}),
        (READ, NodeCommand.OUTBOX_READ, {"seq": 2**32}),
        (WRITE, NodeCommand.OUTBOX_ACKNOWLEDGE, {}),
        (WRITE, NodeCommand.OUTBOX_ACKNOWLEDGE, {"seq": -1}),
        (WRITE, NodeCommand.OUTBOX_ACKNOWLEDGE, {"seq": 2**32 - 1}),
        (WRITE, NodeCommand.CONFIGURATION, {}),
        (WRITE, NodeCommand.CONFIGURATION, {"report_every": 2**32}),
    ],
)
def test_malformed_requests(
    host_board: HostBoard, operation: int, command: int, payload: dict[str, Any]
) -> None:
    answer = host_board.ask(operation, Group.NODE, command, payload)
    assert answer == {"rc": ProtocolError.INVALID}


def test_wrong_operations(host_board: HostBoard) -> None:
    for operation, command in (
        (WRITE, NodeCommand.OUTBOX_READ),
        (READ, NodeCommand.OUTBOX_ACKNOWLEDGE),
    ):
        answer = host_board.ask(operation, Group.NODE, command, {"seq": 1})
        assert answer == {"rc": ProtocolError.NOT_SUPPORTED}
