"""A microcontroller with our firmware behind a serial port: echo, upload, infer, ledger."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, Self, TypeVar

from edge_runtime.node.device_records import (
    Board,
    Decision,
    ImageState,
    Inference,
    Ledger,
    Outbox,
    Parameters,
    Rollback,
    Stack,
    Trust,
)
from edge_runtime.node.refusal import explain_refusal
from edge_runtime.node.smp_link import SmpLink
from edge_runtime.wire import smp
from edge_runtime.wire.image import parse_image
from edge_runtime.wire.smp import (
    Clock,
    Group,
    ImageCommand,
    NodeCommand,
    NodeError,
    OsCommand,
    StatCommand,
)
from jouleloop.errors import DeviceRefusedError, DeviceTimeoutError, LinkError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import TracebackType

# The last piece of an upload: the device hashes the image and runs its golden rows.
ACTIVATION_DEADLINE_S = 30.0
INFERENCE_DEADLINE_S = 30.0
START_DEADLINE_S = 10.0
START_POLL_S = 0.1
# Keys, heads and numbers of a request that carries a piece of something.
PIECE_OVERHEAD_BYTES = 32
# The first piece of an upload announces length, image and SHA-256 as well.
ANNOUNCEMENT_BYTES = 64
# A device that sends the upload back more often than this restarts again and again.
MAX_STEPS_BACK = 3

_Value = TypeVar("_Value")


class SerialDevice:
    """A device on a serial port; a context manager.

    Every method raises `DeviceTimeoutError` when no answer comes, `DeviceRefusedError` when the
    device answers with an error, and `LinkError` when the line breaks or the answer makes no sense.

    Args:
        port: path of the serial device or pty.

    Raises:
        LinkError: the port cannot be opened.
    """

    def __init__(self, port: str) -> None:
        self._link = SmpLink(port)
        self._parameters: Parameters | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._link.__exit__(kind, error, traceback)

    @property
    def bytes_sent(self) -> int:
        """Bytes written to the line so far, framing included."""
        return self._link.bytes_sent

    @property
    def bytes_received(self) -> int:
        """Bytes read from the line so far, framing included."""
        return self._link.bytes_received

    def echo(self, text: str) -> str:
        """Send a text and give back what the device returns."""
        answer = self._link.write(Group.OS, OsCommand.ECHO, {"d": text}, is_idempotent=True)
        return _take(answer, "r", str)

    def parameters(self) -> Parameters:
        """Size and number of the device's buffers."""
        answer = self._link.read(Group.OS, OsCommand.PARAMETERS, {})
        return Parameters(_take(answer, "buf_size", int), _take(answer, "buf_count", int))

    def board(self) -> Board:
        """What it says of its board.

        Raises:
            LinkError: it names a clock that this jouleloop does not know.
        """
        answer = self._link.read(Group.STAT, StatCommand.SHOW, {"name": "board"})
        fields = _take(answer, "fields", dict)
        clock, clock_hz, read_only = (
            _take(fields, key, int) for key in ("clock", "clock_hz", "read_only")
        )
        if clock not in set(Clock):
            raise LinkError(f"the device names a clock that is not known: {clock}")
        return Board(Clock(clock), clock_hz, bool(read_only))

    def reset(self) -> None:
        """Start the device afresh; returns once it answers again."""
        self._link.write(Group.OS, OsCommand.RESET, {})
        self.wait_until_up()

    def wait_until_up(self) -> None:
        """Wait until a device that is starting answers."""
        # What arrives before it listens is lost, so the first requests may be.
        self._link.read(
            Group.OS,
            OsCommand.PARAMETERS,
            {},
            deadline_s=START_POLL_S,
            retries=round(START_DEADLINE_S / START_POLL_S),
        )

    def image_state(self) -> tuple[ImageState, ...]:
        """The images on the device; an empty slot is not listed."""
        answer = self._link.read(Group.IMAGE, ImageCommand.STATE, {})
        return tuple(
            ImageState(
                image.get("image", smp.IMAGE_FIRMWARE),
                _take(image, "slot", int),
                _take(image, "version", str),
                image.get("hash"),
                image.get("active", False),
                image.get("confirmed", False),
                image.get("pending", False),
            )
            for image in _take(answer, "images", list)
        )

    def active_model(self) -> ImageState | None:
        """The model that serves, or None."""
        models = (state for state in self.image_state() if state.image == smp.IMAGE_MODEL)
        return next((model for model in models if model.is_active), None)

    def trust(self) -> Trust:
        """Whose images the device takes."""
        answer = self._link.read(Group.NODE, NodeCommand.KEYS, {})
        return Trust(
            tuple(_take(answer, "keys", list)),
            _take(answer, "firmware", int),
            _take(answer, "model", int),
        )

    def firmware(self) -> tuple[ImageState, ...]:
        """What lies in the slots of firmware."""
        return tuple(s for s in self.image_state() if s.image == smp.IMAGE_FIRMWARE)

    def rollback(self) -> Rollback:
        """What was rolled back last."""
        answer = self._link.read(Group.NODE, NodeCommand.ROLLBACK, {})
        return Rollback(
            _reason(_take(answer, "firmware", dict)),
            _reason(_take(answer, "model", dict)),
            _take(answer, "trial", bool),
            # Older firmware confirms every model that passed its self-test.
            bool(answer.get("model_trial", False)),
        )

    def self_test(self) -> int:
        """Run the golden rows of the model that serves; the ticks that it took."""
        answer = self._link.write(
            Group.NODE, NodeCommand.SELF_TEST, {}, deadline_s=ACTIVATION_DEADLINE_S
        )
        return _take(answer, "ticks", int)

    def try_image(self, sha256: bytes) -> None:
        """Firmware in the spare slot starts on trial at the next start; a model serves at once.

        A model serves on trial once it passed its self-test: `confirm_model` keeps it. In a trial,
        the confirmed model's hash ends it.

        Args:
            sha256: of the image, as it states it.
        """
        self._choose_image(sha256, is_confirmed=False)

    def confirm_model(self, sha256: bytes) -> None:
        """Keep a model beyond the next start; older security counters are refused from now on.

        Args:
            sha256: of the image, as it states it; it serves, or passes its self-test now.
        """
        self._choose_image(sha256, is_confirmed=True)

    def _choose_image(self, sha256: bytes, *, is_confirmed: bool) -> None:
        self._link.write(
            Group.IMAGE,
            ImageCommand.STATE,
            {"hash": sha256, "confirm": is_confirmed},
            deadline_s=ACTIVATION_DEADLINE_S,
            is_idempotent=True,
        )

    def confirm_firmware(self) -> None:
        """Keep the firmware that runs; older security counters are refused from now on."""
        self._link.write(Group.IMAGE, ImageCommand.STATE, {"confirm": True}, is_idempotent=True)

    def upload_firmware(
        self, image: bytes, progress: Callable[[int, int], None] | None = None
    ) -> None:
        """Upload firmware into the spare slot; nothing starts it yet. Arguments as for a model."""
        self._upload_image(image, smp.IMAGE_FIRMWARE, progress)

    def upload_model(
        self, image: bytes, progress: Callable[[int, int], None] | None = None
    ) -> None:
        """Upload a model; the device tries it and serves it, on trial: `confirm_model` keeps it.

        The first model of a device is confirmed at once. An interrupted upload is resumed.

        Args:
            image: the whole image.
            progress: called with (bytes stored, bytes in all).

        Raises:
            BundleError: this is no image.
        """
        self._upload_image(image, smp.IMAGE_MODEL, progress)

    def upload_as_is(self, content: bytes) -> None:
        """Offer a device bytes as a model, whatever they are: it must know itself what to refuse.

        Raises:
            DeviceRefusedError: it refused them.
        """
        self._upload(content, smp.IMAGE_MODEL, b"", None)

    def _upload_image(
        self, image: bytes, kind: int, progress: Callable[[int, int], None] | None
    ) -> None:
        parsed = parse_image(image)
        try:
            self._upload(image, kind, parsed.sha256, progress)
        except DeviceRefusedError as error:
            if error.group != Group.NODE:
                raise
            raise explain_refusal(error, parsed, self.trust) from error

    def _is_stored(self, kind: int, sha256: bytes) -> bool:
        """Whether an image was taken; a model that was taken serves."""
        return any(
            state.image == kind
            and state.sha256 == sha256
            and (state.is_active or kind == smp.IMAGE_FIRMWARE)
            for state in self.image_state()
        )

    def _upload(
        self, image: bytes, kind: int, sha256: bytes, progress: Callable[[int, int], None] | None
    ) -> None:
        offset = steps_back = 0
        while offset < len(image):
            if progress is not None:
                progress(offset, len(image))
            try:
                stored = self._upload_piece(image, kind, offset)
                steps_back += stored <= offset
                offset = stored
            except DeviceTimeoutError:
                # The answer to the last piece may be all that was lost.
                if not self._is_stored(kind, sha256):
                    raise
                offset = len(image)
            if steps_back > MAX_STEPS_BACK:
                raise LinkError(
                    f"the device lost the upload {steps_back} times; it stands at byte {offset} of "
                    f"{len(image)}",
                    hint="does it start again and again?",
                )
        if progress is not None:
            progress(len(image), len(image))

    def _upload_piece(self, image: bytes, kind: int, offset: int) -> int:
        """Send the piece at `offset`; returns where the device wants to go on."""
        room = self._piece_bytes()
        payload: dict[str, Any] = {"off": offset}
        if offset == 0:
            room -= ANNOUNCEMENT_BYTES
            payload |= {
                "image": kind,
                "len": len(image),
                "sha": hashlib.sha256(image).digest(),
            }
        payload["data"] = image[offset : offset + room]
        answer = self._link.write(
            Group.IMAGE,
            ImageCommand.UPLOAD,
            payload,
            deadline_s=ACTIVATION_DEADLINE_S,
            # The device stores a piece once, and says where it stands when it comes again.
            is_idempotent=offset + room < len(image),
        )
        stored = _take(answer, "off", int)
        if not 0 <= stored <= len(image):
            raise LinkError(f"the device says that it stored {stored} of {len(image)} bytes")
        return stored

    def _piece_bytes(self) -> int:
        """Bytes of payload that one request takes."""
        if self._parameters is None:
            self._parameters = self.parameters()
        room = self._parameters.buffer_bytes - smp.FRAME_LENGTH.size - smp.FRAME_CRC.size
        room -= smp.HEADER_BYTES + PIECE_OVERHEAD_BYTES
        if room <= ANNOUNCEMENT_BYTES:
            raise LinkError(
                f"the device's buffer of {self._parameters.buffer_bytes} bytes is too small; "
                f"at least {smp.MIN_BUFFER_BYTES} are needed"
            )
        return room

    def infer(self, row: bytes) -> Inference:
        """Run the model once. Not repeated when the answer is lost: it would count twice.

        Args:
            row: int8, all inputs one behind the other.
        """
        answer = self._send_input(row)
        if "out" not in answer:
            raise DeviceRefusedError(
                f"the model expects more than {len(row)} bytes of input",
                code=NodeError.INPUT_SIZE,
            )
        output = _take(answer, "out", bytes)
        output_bytes = _take(answer, "len", int)
        while len(output) < output_bytes:
            more = self._link.read(Group.NODE, NodeCommand.INFER, {"off": len(output)})
            output += _take(more, "out", bytes)
        return Inference(output, _take(answer, "ticks", int), answer.get("seq"))

    def _send_input(self, row: bytes) -> dict[str, Any]:
        """Send an input, in pieces where it is large; returns the answer to the last."""
        # Without asking: every device takes that much at once.
        room = smp.MIN_BUFFER_BYTES - PIECE_OVERHEAD_BYTES - smp.HEADER_BYTES
        answer: dict[str, Any] = {}
        for offset in range(0, max(len(row), 1), room):
            payload: dict[str, Any] = {"in": row[offset : offset + room]}
            if offset:
                payload["off"] = offset
            answer = self._link.write(
                Group.NODE, NodeCommand.INFER, payload, deadline_s=INFERENCE_DEADLINE_S
            )
        return answer

    def ledger(self) -> Ledger:
        """Where the device's time went since it started."""
        answer = self._link.read(Group.NODE, NodeCommand.LEDGER, {})
        return Ledger(**{name: _take(answer, name, int) for name in Ledger.__dataclass_fields__})

    def stack(self) -> Stack:
        """How deep the device's stack has been since it started.

        Raises:
            DeviceRefusedError: it does not know.
        """
        answer = self._link.read(Group.STAT, StatCommand.SHOW, {"name": "stack"})
        fields = _take(answer, "fields", dict)
        return Stack(_take(fields, "used_bytes", int), _take(fields, "reserved_bytes", int))

    def outbox(self, sequence: int = 0) -> Outbox:
        """The oldest decisions that the board keeps.

        Args:
            sequence: only from this one on.
        """
        answer = self._link.read(Group.NODE, NodeCommand.OUTBOX_READ, {"seq": sequence})
        return _outbox(answer, tuple(map(_decision, _take(answer, "records", list))))

    def acknowledge(self, sequence: int) -> Outbox:
        """Tell the board that all decisions up to and with this one are stored elsewhere."""
        answer = self._link.write(
            Group.NODE, NodeCommand.OUTBOX_ACKNOWLEDGE, {"seq": sequence}, is_idempotent=True
        )
        return _outbox(answer)

    def report_every(self) -> int:
        """Every how many decisions one goes to the outbox; 0: none does."""
        answer = self._link.read(Group.NODE, NodeCommand.CONFIGURATION, {})
        return _take(answer, "report_every", int)

    def set_report_every(self, decisions: int) -> None:
        """Store what `report_every` gives; survives restarts.

        Args:
            decisions: 0..2**32 - 1.
        """
        payload = {"report_every": decisions}
        self._link.write(Group.NODE, NodeCommand.CONFIGURATION, payload, is_idempotent=True)


def _outbox(answer: Mapping[str, Any], decisions: tuple[Decision, ...] = ()) -> Outbox:
    first, following, dropped = (_take(answer, key, int) for key in ("first", "next", "dropped"))
    return Outbox(first, following, dropped, decisions)


def _reason(answer: Mapping[str, Any]) -> str | None:
    group, code = _take(answer, "group", int), _take(answer, "rc", int)
    return smp.explain(group, code) if code else None


def _decision(record: Mapping[str, Any]) -> Decision:
    return Decision(
        sequence=_take(record, "seq", int),
        boot_id=_take(record, "boot_id", int),
        at_ticks=_take(record, "at", int),
        run_ticks=_take(record, "ticks", int),
        output_bytes=_take(record, "len", int),
        output_crc32=_take(record, "crc", int),
        output=_take(record, "out", bytes),
    )


def _take(answer: Mapping[str, Any], key: str, kind: type[_Value]) -> _Value:
    """A value of an answer.

    Raises:
        LinkError: it is missing, or of another type.
    """
    value = answer.get(key)
    if not isinstance(value, kind):
        raise LinkError(f"the device's answer has no {kind.__name__} {key!r}: {dict(answer)}")
    return value
