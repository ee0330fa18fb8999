"""A serial line to a device that speaks SMP: one request, one answer, a deadline."""

from __future__ import annotations

import os
import time
from collections import deque
from typing import TYPE_CHECKING, Any, Self

import cbor2
import serial

from edge_runtime.wire import smp
from jouleloop.errors import DeviceRefusedError, DeviceTimeoutError, LinkError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

BAUD = 115200
DEADLINE_S = 2.0
# The answer to a repeated request may be that to the first: then nothing is lost by asking again.
RETRIES = 2


class SmpLink:
    """A serial port with a device behind it; a context manager.

    Args:
        port: path of the serial device or pty.

    Attributes:
        deadline_s: how long a request waits for its answer, seconds.
        bytes_sent: bytes written to the line so far, framing included.
        bytes_received: bytes read from it.

    Raises:
        LinkError: there is no such port, it is in use, or it is no serial port.
    """

    def __init__(self, port: str) -> None:
        self.port = port
        self.deadline_s = DEADLINE_S
        self.bytes_sent = 0
        self.bytes_received = 0
        self._sequence = os.urandom(1)[0]  # so that no answer to another client counts
        self._decoder = smp.LineDecoder()
        self._messages: deque[bytes] = deque()
        try:
            self._serial = serial.Serial(port, BAUD, exclusive=True, write_timeout=DEADLINE_S)
            self._serial.reset_input_buffer()
        except (serial.SerialException, OSError, ValueError) as error:
            raise LinkError(
                f"cannot open the serial port {port}: {_reason(error)}",
                hint="`jouleloop board` prints the port of an emulated board",
            ) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._serial.close()

    def read(
        self,
        group: int,
        command: int,
        payload: Mapping[str, Any],
        *,
        deadline_s: float | None = None,
        retries: int = RETRIES,
    ) -> dict[str, Any]:
        """Send a read request; repeats it when no answer comes.

        Args:
            group: group of commands.
            command: command of the group.
            payload: the request's map.
            deadline_s: how long to wait for an answer, each time, seconds; None: the link's own.
            retries: how often to ask again.

        Returns:
            The answer's map.

        Raises:
            DeviceTimeoutError: no answer in time.
            DeviceRefusedError: the answer is an error.
            LinkError: the line broke.
        """
        return self._request(smp.Operation.READ, group, command, payload, deadline_s, retries)

    def write(
        self,
        group: int,
        command: int,
        payload: Mapping[str, Any],
        *,
        deadline_s: float | None = None,
        is_idempotent: bool = False,
    ) -> dict[str, Any]:
        """Send a write request.

        Args:
            group: group of commands.
            command: command of the group.
            payload: the request's map.
            deadline_s: how long to wait for the answer, seconds; None: the link's own.
            is_idempotent: asking twice does no more than asking once, so it is repeated when no
                answer comes.

        Raises:
            DeviceTimeoutError: no answer in time.
            DeviceRefusedError: the answer is an error.
            LinkError: the line broke.
        """
        retries = RETRIES if is_idempotent else 0
        return self._request(smp.Operation.WRITE, group, command, payload, deadline_s, retries)

    def _request(
        self,
        operation: smp.Operation,
        group: int,
        command: int,
        payload: Mapping[str, Any],
        deadline_s: float | None,
        retries: int,
    ) -> dict[str, Any]:
        deadline_s = self.deadline_s if deadline_s is None else deadline_s
        body = cbor2.dumps(payload)
        self._sequence = (self._sequence + 1) % 256
        header = smp.Header(operation, group, command, self._sequence, len(body))
        lines = smp.encode_lines(header.pack() + body)
        for _ in range(1 + retries):
            self._send(lines)
            answer = self._await(header, time.monotonic() + deadline_s)
            if answer is not None:
                _refuse_error(answer, header)
                return answer
        raise DeviceTimeoutError(
            f"{self.port} gave no answer to command {command} of group {group} in "
            f"{deadline_s:g} s, asked {1 + retries} times",
            hint="is a device with our firmware connected there, and nobody else talking to it?",
        )

    def _send(self, lines: bytes) -> None:
        try:
            self._serial.write(lines)
        except (serial.SerialException, OSError) as error:
            raise LinkError(f"the line {self.port} broke: {_reason(error)}") from error
        self.bytes_sent += len(lines)

    def _await(self, request: smp.Header, deadline: float) -> dict[str, Any] | None:
        """The answer to a request; None when the deadline passes before it came."""
        while True:
            while self._messages:
                answer = _read_answer(self._messages.popleft(), request)
                if answer is not None:
                    return answer
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                return None
            self._messages.extend(self._decoder.feed(self._receive(left_s)))

    def _receive(self, timeout_s: float) -> bytes:
        try:
            self._serial.timeout = timeout_s
            data: bytes = self._serial.read(1)
            data += self._serial.read(self._serial.in_waiting)
        except (serial.SerialException, OSError, TypeError) as error:
            # pyserial raises TypeError where the port was closed under it.
            raise LinkError(f"the line {self.port} broke: {_reason(error)}") from error
        self.bytes_received += len(data)
        return data


def _reason(error: BaseException) -> str:
    # pyserial wraps what the system said into words of its own.
    number = getattr(error, "errno", None)
    return os.strerror(number) if isinstance(number, int) else str(error)


def _read_answer(message: bytes, request: smp.Header) -> dict[str, Any] | None:
    """The map of the message, or None when it is not the answer to the request."""
    try:
        header = smp.Header.unpack(message)
        body = cbor2.loads(message[smp.HEADER_BYTES :])
    except (ValueError, cbor2.CBORError):
        return None
    expected = (request.operation + 1, request.group, request.command, request.sequence)
    if (header.operation, header.group, header.command, header.sequence) != expected:
        return None  # late, or for somebody else
    return body if isinstance(body, dict) else None


def _refuse_error(answer: Mapping[str, Any], request: smp.Header) -> None:
    """Raise what an answer says went wrong.

    Raises:
        DeviceRefusedError: the answer is an error.
    """
    error = answer.get("err")
    group: int | None = None
    code = answer.get("rc", 0)
    if isinstance(error, dict):
        group, code = error.get("group"), error.get("rc")
    if code == 0:
        return
    place = "" if group is None else f", group {group}"
    known = isinstance(code, int) and (group is None or isinstance(group, int))
    reason = smp.explain(group, code) if known else "the device's error is malformed"
    raise DeviceRefusedError(
        f"the device refused command {request.command} of group {request.group}: {reason} "
        f"(rc {code}{place})",
        code=code if isinstance(code, int) else smp.ProtocolError.UNKNOWN,
        group=group if isinstance(group, int) else None,
    )
