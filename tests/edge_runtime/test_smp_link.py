"""The link's faults, which the real firmware does not show: a device of our own on a pty."""

from __future__ import annotations

import os
import pty
import threading
import tty
from typing import TYPE_CHECKING, Any

import cbor2
import pytest

from edge_runtime.node import serial_device
from edge_runtime.node.serial_device import SerialDevice
from edge_runtime.wire import smp
from edge_runtime.wire.image import Target, Version, make_image, parse_image
from jouleloop.errors import DeviceRefusedError, DeviceTimeoutError, LinkError
from tests.keys import KEY

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    # Takes a request's header and map; gives the bytes to send back.
    Answer = Callable[[smp.Header, dict[str, Any]], bytes]

pytestmark = pytest.mark.pure


class FaultyDevice:
    """Answers on a pty as it is told to, right or wrong."""

    def __init__(self) -> None:
        self.master, slave = pty.openpty()
        tty.setraw(slave)
        self.port = os.ttyname(slave)
        self._slave = slave
        self.requests: list[dict[str, Any]] = []
        self.answer: Answer = lambda header, _: reply(header, {})
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        decoder = smp.LineDecoder()
        while True:
            try:
                data = os.read(self.master, 4096)
            except OSError:
                return  # hung up
            for message in decoder.feed(data):
                body = cbor2.loads(message[smp.HEADER_BYTES :])
                self.requests.append(body)
                os.write(self.master, self.answer(smp.Header.unpack(message), body))

    def close(self) -> None:
        """Hang up: the reader sees the line end."""
        os.close(self._slave)
        self._thread.join(5)
        os.close(self.master)


def reply(header: smp.Header, body: Any, *, sequence: int | None = None) -> bytes:
    """An answer to the request with this header."""
    content = body if isinstance(body, bytes) else cbor2.dumps(body)
    sequence = header.sequence if sequence is None else sequence
    answer = smp.Header(header.operation + 1, header.group, header.command, sequence, len(content))
    return smp.encode_lines(answer.pack() + content)


@pytest.fixture
def faulty() -> Iterator[FaultyDevice]:
    device = FaultyDevice()
    yield device
    device.close()


def _silent(_header: smp.Header, _body: dict[str, Any]) -> bytes:
    return b""


def test_no_such_port() -> None:
    for port in ("/dev/pts/no-such", "/dev/null", "/etc/hostname", ""):
        with pytest.raises(LinkError, match=r"cannot open the serial port") as error:
            SerialDevice(port)
        assert "jouleloop board" in error.value.hint


def test_a_port_in_use(faulty: FaultyDevice) -> None:
    with SerialDevice(faulty.port), pytest.raises(LinkError, match="cannot open"):
        SerialDevice(faulty.port)


def test_silence_ends_and_only_what_may_be_repeated_is(faulty: FaultyDevice) -> None:
    faulty.answer = _silent
    with SerialDevice(faulty.port) as device:
        with pytest.raises(DeviceTimeoutError, match="asked 3 times"):
            device._link.read(smp.Group.OS, 6, {"read": 1}, deadline_s=0.05)
        with pytest.raises(DeviceTimeoutError, match="asked 1 times"):
            device._link.write(smp.Group.NODE, 0, {"write": 1}, deadline_s=0.05)
    assert faulty.requests == [{"read": 1}] * 3 + [{"write": 1}]


def test_a_lost_answer_is_asked_for_again(faulty: FaultyDevice) -> None:
    def second_time(header: smp.Header, body: dict[str, Any]) -> bytes:
        return reply(header, {"r": body["d"]}) if len(faulty.requests) > 1 else b""

    faulty.answer = second_time
    with SerialDevice(faulty.port) as device:
        device._link.deadline_s = 0.1
        assert device.echo("again") == "again"


WRONG_FIRST: dict[str, Answer] = {
    "late": lambda header, _: reply(header, {"r": "old"}, sequence=(header.sequence - 1) % 256),
    "another command": lambda h, _: reply(
        smp.Header(h.operation, h.group, h.command + 6, h.sequence, 0), {"r": "other"}
    ),
    "no map": lambda header, _: reply(header, [1]),
    "broken CBOR": lambda header, _: reply(header, b"\xa1\x61"),
    "log": lambda _header, _: b"booting...\r\n\x06half",
    "short": lambda _header, _: smp.encode_lines(b"1234"),
}


@pytest.mark.parametrize("name", WRONG_FIRST)
def test_what_is_no_answer_is_skipped(faulty: FaultyDevice, name: str) -> None:
    wrong = WRONG_FIRST[name]
    faulty.answer = lambda header, body: (
        wrong(header, body) + b"\n" + reply(header, {"r": body["d"]})
    )
    with SerialDevice(faulty.port) as device:
        assert device.echo("right") == "right"


@pytest.mark.parametrize(
    ("answer", "code", "words"),
    [
        ({"rc": 8}, 8, "does not know this command"),
        ({"err": {"group": 64, "rc": 2}}, 2, "no model is active"),
        ({"err": {"group": 1, "rc": 30}}, 30, "larger than the device's slot"),
        ({"err": {"group": 99, "rc": 7}}, 7, "does not know"),
        ({"err": {"group": "x", "rc": "y"}}, 1, "malformed"),
    ],
)
def test_errors_of_the_device_are_explained(
    faulty: FaultyDevice, answer: dict[str, Any], code: int, words: str
) -> None:
    faulty.answer = lambda header, _: reply(header, answer)
    with SerialDevice(faulty.port) as device:
        with pytest.raises(DeviceRefusedError, match=words) as refused:
            device.infer(b"1")
        assert refused.value.code == code


def test_answers_that_make_no_sense(faulty: FaultyDevice) -> None:
    faulty.answer = lambda header, _: reply(header, {"r": 5, "buf_size": 16, "buf_count": 1})
    with SerialDevice(faulty.port) as device:
        with pytest.raises(LinkError, match="no str 'r'"):
            device.echo("x")
        with pytest.raises(LinkError, match="no list 'images'"):
            device.image_state()
        with pytest.raises(LinkError, match="buffer of 16 bytes"):
            device._upload_piece(b"x" * 100, smp.IMAGE_MODEL, 0)


def test_a_device_that_loses_every_upload(faulty: FaultyDevice) -> None:
    def forgetful(header: smp.Header, _body: dict[str, Any]) -> bytes:
        parameters = {"buf_size": 1024, "buf_count": 1}
        return reply(header, parameters if header.group == 0 else {"off": 0})

    faulty.answer = forgetful
    image = make_image(bytes(5000), version=Version(1), target=Target(2, 0), signing_key=KEY)
    with SerialDevice(faulty.port) as device, pytest.raises(LinkError, match="lost the upload"):
        device.upload_model(image)


def test_a_lost_answer_to_the_last_piece_is_no_failure(
    faulty: FaultyDevice, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = make_image(b"small", version=Version(1), target=Target(2, 0), signing_key=KEY)
    active = {"image": 1, "slot": 0, "version": "1.0.0", "hash": parse_image(image).sha256}

    def mute_about_uploads(header: smp.Header, _body: dict[str, Any]) -> bytes:
        if header.command == smp.ImageCommand.UPLOAD:
            return b""
        state = {"images": [active | {"active": True}]}
        return reply(header, state | {"buf_size": 1024, "buf_count": 1})

    monkeypatch.setattr(serial_device, "ACTIVATION_DEADLINE_S", 0.1)
    faulty.answer = mute_about_uploads
    with SerialDevice(faulty.port) as device:
        device.upload_model(image)
        active["hash"] = bytes(32)
        with pytest.raises(DeviceTimeoutError):
            device.upload_model(image)
