"""What every port of the firmware must do, asked over its serial line: emulated board or real one.

Each check stands alone, opens the line itself and leaves a board that serves the model.
"""

from __future__ import annotations

import io
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import serial

from edge_runtime.node.serial_device import SerialDevice
from edge_runtime.node.smp_link import BAUD
from edge_runtime.wire import smp
from edge_runtime.wire.bundle import GOLDEN
from edge_runtime.wire.image import make_image, parse_image
from jouleloop.errors import DeviceRefusedError, JouleloopError

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge_runtime.wire.bundle import Bundle

# A board's clock against this machine's: a crystal and a second of waiting are far better.
CLOCK_TOLERANCE = 0.2
CLOCK_WINDOW_S = 1.0
LEAST_SLEEP = 0.9
# More than a start with four images to verify takes.
RESTART_LIMIT_S = 10.0
CLOCKS = {
    smp.Clock.ONLY: "its only clock",
    smp.Clock.CRYSTAL: "the crystal",
    smp.Clock.INTERNAL: "the internal oscillator, for the crystal did not start in time",
    smp.Clock.UNCONTROLLED: "what an emulator without clock control runs at, after it waited for "
    "the crystal in vain",
}
GARBAGE_SEED = 7
GARBAGE_BYTES = 4096


@dataclass(frozen=True)
class Subject:
    """The board under test.

    Args:
        port: path of its serial device or pty.
        bundle: exported for it.
        image: the bundle's module.
    """

    port: str
    bundle: Bundle
    image: bytes

    def open(self) -> SerialDevice:
        """A line to the board."""
        return SerialDevice(self.port)


@dataclass(frozen=True)
class Verdict:
    """What one check found.

    Args:
        check: its name.
        is_passed: the board does what it must.
        finding: what was seen.
        applies: False where the board says that it cannot, and therefore refuses as it must.
    """

    check: str
    is_passed: bool
    finding: str
    applies: bool = True


@dataclass(frozen=True)
class Conformance:
    """What the whole suite found.

    Args:
        device: profile that the bundle was made for.
        port: where the board is.
        verdicts: one per check, in order.
    """

    device: str
    port: str
    verdicts: tuple[Verdict, ...]

    @property
    def is_passed(self) -> bool:
        """Every check passed."""
        return all(verdict.is_passed for verdict in self.verdicts)

    def as_record(self) -> dict[str, Any]:
        """The record for JSON."""
        return asdict(self) | {"is_passed": self.is_passed}


class _FailureError(Exception):
    """A check's finding that the board does not conform."""


@dataclass(frozen=True)
class _DoesNotApply:
    """A check asks for what the board, by its own word, does not have, and refuses as it must."""

    finding: str


READ_ONLY = "does not apply: the board says that it does not write its flash"


def _refused(request: Callable[[], object]) -> str:
    """Demand that the board refuses to write; returns its code."""
    try:
        request()
    except DeviceRefusedError as error:
        return f"rc {error.code}"
    raise _FailureError("it does not write its flash, and accepts what would have to be written")


def _demand(holds: bool, finding: str) -> None:
    if not holds:
        raise _FailureError(finding)


def _echo(subject: Subject) -> str:
    with subject.open() as device:
        room = device.parameters().buffer_bytes - 64
        for text in ("", "jouleloop", "ü" * 100, "x" * room):
            _demand(device.echo(text) == text, f"{len(text)} characters came back changed")
    return f"texts of 0 to {room} characters came back"


def _parameters(subject: Subject) -> str:
    with subject.open() as device:
        parameters = device.parameters()
    least = smp.MIN_BUFFER_BYTES
    _demand(parameters.buffer_bytes >= least, f"its buffer has {parameters.buffer_bytes} bytes")
    return f"{parameters.buffers} buffer of {parameters.buffer_bytes} bytes"


def _garbage(subject: Subject) -> str:
    noise = np.random.default_rng(GARBAGE_SEED).integers(0, 256, GARBAGE_BYTES, np.uint8)
    message = (
        smp.Header(smp.Operation.READ, smp.Group.OS, smp.OsCommand.ECHO, 1, 1).pack() + b"\xa0"
    )
    whole = smp.encode_lines(message)
    with serial.Serial(subject.port, BAUD, exclusive=True, write_timeout=10) as line:
        line.write(noise.tobytes())
        line.write(b"\n" + whole[: len(whole) // 2])  # half a frame, for ever
        line.write(b"\n" + whole.replace(b"\xa0", b"\xa1"))
        line.flush()
    with subject.open() as device:
        _demand(device.echo("after noise") == "after noise", "it does not answer after noise")
    return f"{GARBAGE_BYTES} random bytes and half a frame did no harm"


def _clock(subject: Subject) -> str:
    states = ("wake_ticks", "run_ticks", "link_ticks", "sleep_ticks")
    with subject.open() as device:
        begin, first = time.monotonic(), device.ledger()
        time.sleep(CLOCK_WINDOW_S)  # the board has nothing to do: that is the check
        last, seconds = device.ledger(), time.monotonic() - begin
        clock = device.board().clock
    passed = sum(getattr(last, state) - getattr(first, state) for state in states)
    ratio = passed / first.ticks_hz / seconds
    slept = (last.sleep_ticks - first.sleep_ticks) / max(passed, 1)
    _demand(abs(ratio - 1.0) <= CLOCK_TOLERANCE, f"its second takes {1 / max(ratio, 1e-9):.3f} s")
    _demand(slept >= LEAST_SLEEP, f"without work it slept {slept:.0%} of the time")
    return (
        f"{CLOCKS[clock]}, {first.ticks_hz} Hz, {ratio:.3f} of this machine's clock, asleep "
        f"{slept:.1%} of the time"
    )


def _restart(subject: Subject) -> str:
    with subject.open() as device:
        before, begin = device.ledger().boot_id, time.monotonic()
        device.reset()
        seconds, after = time.monotonic() - begin, device.ledger().boot_id
        keeps_count = not device.board().is_read_only
    _demand(seconds <= RESTART_LIMIT_S, f"it took {seconds:.1f} s to answer again")
    if not keeps_count:
        return f"answering after {seconds:.2f} s; it keeps no count of starts in its flash"
    _demand(after == before + 1, f"its count of starts went from {before} to {after}")
    return f"start {after}, answering after {seconds:.2f} s"


def _serves(subject: Subject, device: SerialDevice) -> bool:
    active = device.active_model()
    return active is not None and active.sha256 == parse_image(subject.image).sha256


def _model(subject: Subject) -> str | _DoesNotApply:
    image = subject.image
    with subject.open() as device:
        if device.board().is_read_only:
            code = _refused(lambda: device.upload_model(image))
            _demand(_serves(subject, device), "the model was not put into its flash")
            return _DoesNotApply(f"{READ_ONLY}; upload: {code}; it serves what was put there")
        device.upload_model(image)
        _demand(_serves(subject, device), "not served")
        device.confirm_model(parse_image(image).sha256)
        device.reset()
        _demand(_serves(subject, device), "forgotten")
    return f"{len(image)} bytes stored, served, and served again after a restart"


def _golden(subject: Subject) -> str:
    with np.load(io.BytesIO(subject.bundle.file(GOLDEN))) as golden:
        rows, expected = golden["inputs"], golden["outputs"]
    with subject.open() as device:
        device.self_test()
        for index, (row, exact) in enumerate(zip(rows, expected, strict=True)):
            output = np.frombuffer(device.infer(row.tobytes()).output, np.int8)
            _demand(np.array_equal(output, exact.reshape(-1)), f"golden row {index} differs")
    return f"{len(rows)} golden rows exact, and its own self-test"


def _refusals(subject: Subject) -> str:
    image = subject.image
    flipped = bytearray(image)
    flipped[len(image) // 2] ^= 1
    tried = {"an altered image": bytes(flipped), "an unsigned image": _unsigned(image)}
    codes = []
    with subject.open() as device:
        for name, content in tried.items():
            try:
                device.upload_as_is(content)
            except DeviceRefusedError as error:
                codes.append(f"{name}: rc {error.code}")
            else:
                raise _FailureError(f"it took {name}")
        _demand(_serves(subject, device), "the model that served before does not serve any more")
    return "; ".join(codes) + "; the model still serves"


def _unsigned(image: bytes) -> bytes:
    """The same module in an image that nobody signed."""
    parsed = parse_image(image)
    counter = parsed.security_counter
    return make_image(
        parsed.payload, version=parsed.version, signing_key=None, security_counter=counter
    )


def _stack(subject: Subject) -> str:
    with subject.open() as device:
        device.self_test()
        stack = device.stack()
    used, reserved = stack.used_bytes, stack.reserved_bytes
    _demand(0 < used < reserved, f"{used} of its stack's {reserved} bytes were used")
    return f"{used} of {reserved} bytes used since its start"


def _configuration(subject: Subject) -> str | _DoesNotApply:
    with subject.open() as device:
        kept = device.report_every()
        if device.board().is_read_only:
            code = _refused(lambda: device.set_report_every(kept + 41))
            _demand(device.report_every() == kept, "it refused, and changed nevertheless")
            return _DoesNotApply(f"{READ_ONLY}; storing it: {code}")
        device.set_report_every(kept + 41)
        device.reset()
        found = device.report_every()
        device.set_report_every(kept)
    _demand(found == kept + 41, f"after a restart it holds {found}, not {kept + 41}")
    return "survives a restart"


def _outbox(subject: Subject) -> str | _DoesNotApply:
    row = bytes(sum(spec.size for spec in subject.bundle.inputs))
    with subject.open() as device:
        if device.board().is_read_only:
            _demand(device.infer(row).sequence is None, "it promised to keep a decision")
            _demand(not device.outbox().decisions, "it keeps decisions")
            return _DoesNotApply(f"{READ_ONLY}; it promises to keep no decision")
        kept = device.report_every()
        device.set_report_every(1)
        sequence = device.infer(row).sequence
        _demand(sequence is not None, "an inference was not put into the outbox")
        device.reset()
        decisions = device.outbox(sequence or 0).decisions
        _demand([d.sequence for d in decisions] == [sequence], "it was lost in a restart")
        device.acknowledge(sequence or 0)
        rest = device.outbox(sequence or 0)
        device.set_report_every(kept)
    _demand(not rest.decisions, "it came again after it was acknowledged")
    return f"decision {sequence} survived a restart and was acknowledged"


CHECKS: dict[str, Callable[[Subject], str | _DoesNotApply]] = {
    "parameters": _parameters,
    "echo": _echo,
    "garbage on the line": _garbage,
    "clock": _clock,
    "restart": _restart,
    "model": _model,
    "golden rows": _golden,
    "refusals": _refusals,
    "stack": _stack,
    "configuration": _configuration,
    "outbox": _outbox,
}


def run_conformance(
    bundle: Bundle, port: str, *, progress: Callable[[int, int], None] | None = None
) -> Conformance:
    """Run every check on the board behind a serial port.

    Args:
        bundle: a model for the board, signed by a key that it trusts.
        port: path of the serial device or pty.
        progress: called with (checks done, checks in all).

    Raises:
        BundleError: the bundle has no native module.
    """
    subject = Subject(port, bundle, bundle.native)
    verdicts: list[Verdict] = []
    for name, check in CHECKS.items():
        verdicts.append(_judge(name, check, subject))
        if progress is not None:
            progress(len(verdicts), len(CHECKS))
    return Conformance(bundle.device_id, port, tuple(verdicts))


def _judge(name: str, check: Callable[[Subject], str | _DoesNotApply], subject: Subject) -> Verdict:
    try:
        found = check(subject)
    except (_FailureError, JouleloopError, serial.SerialException, OSError) as error:
        return Verdict(name, False, str(error))
    if isinstance(found, _DoesNotApply):
        return Verdict(name, True, found.finding, applies=False)
    return Verdict(name, True, found)
