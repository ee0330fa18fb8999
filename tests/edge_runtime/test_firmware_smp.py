"""The firmware's framing, CBOR and SMP on this machine, under sanitizers."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_runtime.wire import smp
from edge_runtime.wire.smp import (
    Clock,
    Group,
    ImageCommand,
    NodeCommand,
    ProtocolError,
    StatCommand,
)

if TYPE_CHECKING:
    from tests.edge_runtime.host_board import HostBoard

pytestmark = pytest.mark.host_c

READ, WRITE = smp.Operation.READ, smp.Operation.WRITE


def _echo(host_board: HostBoard, text: str = "still there") -> None:
    assert host_board.ask(WRITE, Group.OS, 0, {"d": text}) == {"r": text}


# Console framing.


@given(data=st.binary(max_size=600))
def test_no_bytes_on_the_line_stop_the_board(host_board: HostBoard, data: bytes) -> None:
    host_board.send(data + b"\n")
    _echo_past_answers(host_board)


def _echo_past_answers(host_board: HostBoard) -> None:
    """The board may have found requests in the garbage; their answers come first."""
    body = cbor2.dumps({"d": "sentinel"})
    host_board.send(smp.encode_lines(smp.Header(WRITE, 0, 0, 0, len(body)).pack() + body))
    while not host_board.receive().endswith(b"ar" + b"\x68sentinel\xff"):
        pass


@given(
    message=st.binary(max_size=400),
    cuts=st.lists(st.integers(0, 700), max_size=3),
    junk=st.sampled_from(
        [b"", b"\x06", b"\x04", b"\x06\x09", b"\x04\x14", b"\n", b"\r", b"=", b"!"]
    ),
)
def test_broken_frames_never_break_the_next(
    host_board: HostBoard, message: bytes, cuts: list[int], junk: bytes
) -> None:
    lines = smp.encode_lines(message)
    for cut in sorted(cuts):
        lines = lines[:cut] + junk + lines[cut + 1 :]
    host_board.send(lines)
    _echo_past_answers(host_board)


def test_lines_of_any_length_and_carriage_returns(host_board: HostBoard) -> None:
    text = "long" * 150
    body = cbor2.dumps({"d": text})
    message = smp.Header(WRITE, 0, 0, 9, len(body)).pack() + body
    lines = smp.encode_lines(message)
    payload = b"".join(line[2:] for line in lines.split(b"\n"))
    variants = [
        lines,
        lines.replace(b"\n", b"\r\n"),
        smp.FRAME_START + payload + b"\n",
        smp.FRAME_START + payload[:4] + b"\n" + smp.FRAME_CONTINUE + payload[4:] + b"\n",
        b"log output\n"
        + lines.replace(b"\n" + smp.FRAME_CONTINUE, b"\nlog\n" + smp.FRAME_CONTINUE),
    ]
    for variant in variants:
        host_board.send(variant)
        assert cbor2.loads(host_board.receive()[8:]) == {"r": text}


def test_frames_that_must_not_be_answered(host_board: HostBoard) -> None:
    body = cbor2.dumps({"d": "x"})
    good = smp.Header(WRITE, 0, 0, 1, len(body)).pack() + body
    framed = smp.FRAME_LENGTH.pack(len(good) + 2) + good
    silent = [
        smp.FRAME_START + base64.b64encode(framed + b"\0\0") + b"\n",  # not its CRC
        smp.FRAME_START + base64.b64encode(framed + bytes(8000)) + b"\n",  # more than it says
        smp.FRAME_START + base64.b64encode(b"\0") + b"\n",
        smp.encode_lines(b""),
        smp.encode_lines(good[:7]),  # no whole header
        smp.encode_lines(smp.Header(smp.Operation.READ_REPLY, 0, 0, 1, len(body)).pack() + body),
        smp.encode_lines(smp.Header(smp.Operation.WRITE_REPLY, 0, 0, 1, len(body)).pack() + body),
        smp.encode_lines(smp.Header(7, 0, 0, 1, len(body)).pack() + body),
        smp.encode_lines(bytes(1021)),  # larger than the buffer
        smp.encode_lines(bytes(60000)),
    ]
    for lines in silent:
        host_board.send(lines)
    _echo(host_board, "first answer")


def test_own_lines_keep_the_limit(host_board: HostBoard) -> None:
    body = cbor2.dumps({"d": "x" * 900})
    host_board.send(smp.encode_lines(smp.Header(WRITE, 0, 0, 1, len(body)).pack() + body))
    assert host_board._process.stdout is not None
    raw = b""
    while list(smp.LineDecoder().feed(raw)) == []:
        raw += host_board._process.stdout.read(4096) or b""
    lines = raw.splitlines(keepends=True)
    assert [len(line) for line in lines[:-1]] == [smp.MAX_LINE_BYTES] * (len(lines) - 1)
    assert lines[0].startswith(smp.FRAME_START)
    assert all(line.startswith(smp.FRAME_CONTINUE) for line in lines[1:])


# CBOR.

SCALARS = (
    st.integers(-(2**63), 2**64 - 1)
    | st.floats()
    | st.booleans()
    | st.none()
    | st.binary(max_size=30)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
)
KEYS = st.text(st.characters(exclude_categories=["Cs"]), max_size=6).filter(lambda key: key != "d")
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4),
)


def _depth(value: object) -> int:
    if isinstance(value, dict):
        return 1 + max(map(_depth, value.values()), default=0)
    return 1 + max(map(_depth, value), default=0) if isinstance(value, list) else 0


@given(
    before=st.dictionaries(KEYS, VALUES, max_size=4),
    text=st.text(st.characters(exclude_categories=["Cs"]), max_size=40),
    after=st.dictionaries(KEYS, VALUES, max_size=4),
    indefinite=st.booleans(),
)
def test_a_key_is_found_among_any_others(
    host_board: HostBoard,
    before: dict[str, Any],
    text: str,
    after: dict[str, Any],
    indefinite: bool,
) -> None:
    payload = {**before, "d": text, **{k: v for k, v in after.items() if k not in before}}
    body = cbor2.dumps(payload)
    if indefinite and len(payload) < 24:
        body = b"\xbf" + body[1:] + b"\xff"
    if len(body) > 1000:
        return
    answer = cbor2.loads(host_board.ask_raw(WRITE, Group.OS, 0, body))
    assert answer == ({"r": text} if _depth(payload) <= 8 else {"rc": ProtocolError.INVALID})


@given(body=st.binary(max_size=200))
def test_any_body_is_answered(host_board: HostBoard, body: bytes) -> None:
    for group, command in ((Group.OS, 0), (Group.IMAGE, 1), (Group.NODE, 0)):
        answer = cbor2.loads(host_board.ask_raw(WRITE, group, command, body))
        assert answer.keys() in ({"rc"}, {"err"}, {"r"})


@given(data=st.data())
def test_altered_requests_are_answered(host_board: HostBoard, data: st.DataObject) -> None:
    body = bytearray(
        cbor2.dumps({"image": 1, "len": 70000, "off": 0, "data": bytes(40), "sha": b""})
    )
    for _ in range(data.draw(st.integers(1, 4))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(body)))
    for variant in (bytes(body), bytes(body[:cut])):
        host_board.ask_raw(WRITE, Group.IMAGE, ImageCommand.UPLOAD, variant)
        host_board.ask_raw(WRITE, Group.NODE, NodeCommand.INFER, variant)
        host_board.ask_raw(READ, Group.NODE, NodeCommand.INFER, variant)
        host_board.ask_raw(WRITE, Group.IMAGE, ImageCommand.ERASE, variant)


MALFORMED = {
    "map that ends early": b"\xa1",
    "more pairs than bytes": b"\xbb\xff\xff\xff\xff\xff\xff\xff\xfe",
    "all pairs of 64 bits": b"\xbb" + b"\xff" * 8,
    "text longer than all": b"\xa1\x7b" + b"\xff" * 8,
    "indefinite text": b"\xa1\x7f\x61a\xff\x01",
    "break as a value": b"\xa1\x61d\xff",
    "break after a key": b"\xbf\x61d\xff",
    "no break": b"\xbf\x61d\x61x",
    "reserved head": b"\xa1\x61d\x1c",
    "bytes behind": b"\xa1\x61d\x61x\x00",
    "array": b"\x81\x01",
    "nesting": b"\xa1\x61d" + b"\x81" * 900,
    "indefinite nesting": b"\xa1\x61d" + b"\x9f" * 900,
    "tags without an item": b"\xa1\x61d" + b"\xc0" * 900,
    "text for a number of 64 bits": b"\xa1\x61d\x1b" + b"\xff" * 8,
}


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_maps_are_refused(host_board: HostBoard, name: str) -> None:
    answer = host_board.ask_raw(WRITE, Group.OS, 0, MALFORMED[name])
    assert cbor2.loads(answer) == {"rc": ProtocolError.INVALID}


def test_tags_and_empty_bodies(host_board: HostBoard) -> None:
    # A tag before a value that does not matter is stepped over, alone at the top level too.
    body = b"\xa2\x61x\xc0\x63abc\x61d\x62ok"
    assert cbor2.loads(host_board.ask_raw(WRITE, Group.OS, 0, body)) == {"r": "ok"}
    assert "buf_size" in cbor2.loads(host_board.ask_raw(READ, Group.OS, 6, b""))
    wrong_length = smp.Header(READ, 0, 6, 3, 5).pack() + b"\xa0"
    host_board.send(smp.encode_lines(wrong_length))
    assert cbor2.loads(host_board.receive()[8:]) == {"rc": ProtocolError.INVALID}


def test_ids_of_version_1_clients(host_board: HostBoard) -> None:
    def ask(group: int, command: int, payload: dict[str, Any]) -> Any:
        body = cbor2.dumps(payload)
        header = smp.Header(WRITE, group, command, 1, len(body), version=smp.VERSION_1)
        host_board.send(smp.encode_lines(header.pack() + body))
        message = host_board.receive()
        assert smp.Header.unpack(message).version == smp.VERSION_1
        return cbor2.loads(message[8:])

    start = {"image": 1, "len": 2**30, "off": 0, "data": bytes(64)}
    assert ask(Group.IMAGE, 1, start) == {"rc": ProtocolError.NO_MEMORY}
    assert ask(Group.IMAGE, 1, start | {"len": 99, "sha": b"1"}) == {"rc": ProtocolError.CORRUPT}
    assert ask(Group.IMAGE, 5, {"slot": 9}) == {"rc": ProtocolError.INVALID}
    assert ask(77, 0, {}) == {"rc": ProtocolError.NOT_SUPPORTED}


def test_statistics_are_listed_and_shown(fresh_board: HostBoard) -> None:
    listed = fresh_board.ask(READ, Group.STAT, StatCommand.LIST, {})
    assert listed == {"stat_list": ["ledger", "outbox", "board"]}
    shown = fresh_board.ask(READ, Group.STAT, StatCommand.SHOW, {"name": "ledger"})
    ledger = fresh_board.ask(READ, Group.NODE, NodeCommand.LEDGER, {})
    assert shown["name"] == "ledger"
    assert shown["fields"].keys() == ledger.keys()
    assert shown["fields"]["bytes_in"] < ledger["bytes_in"]
    outbox = fresh_board.ask(READ, Group.STAT, StatCommand.SHOW, {"name": "outbox"})["fields"]
    assert outbox == {"first": 1, "next": 1, "dropped": 0}
    board = fresh_board.ask(READ, Group.STAT, StatCommand.SHOW, {"name": "board"})["fields"]
    assert board == {"clock": Clock.ONLY, "clock_hz": 10**9, "read_only": 0}
    # Nobody painted this machine's stack.
    for name in ("ledgers", "stack"):
        unknown = fresh_board.ask(READ, Group.STAT, StatCommand.SHOW, {"name": name})
        assert unknown == {"rc": ProtocolError.NOT_FOUND}
    assert fresh_board.ask(READ, Group.STAT, StatCommand.SHOW, {}) == {"rc": ProtocolError.INVALID}
    refused = fresh_board.ask(WRITE, Group.STAT, StatCommand.LIST, {})
    assert refused == {"rc": ProtocolError.NOT_SUPPORTED}
