"""SMP, the MCUmgr management protocol, over a serial console: numbers, header, framing.

The numbers live here once; `edge_runtime/firmware/include/jl_smp_ids.h` is generated from them
(`python -m edge_runtime.firmware.generate_ids`).

A message is an 8-byte header (big-endian) and a CBOR map. On a console it travels as lines: the
message with its length before it and its CRC-16/XMODEM behind it, in base64, cut into lines that
start with 0x06 0x09 (the first) or 0x04 0x14 (the others) and end with a newline.

Source: Zephyr, doc/services/device_mgmt/smp_protocol.rst and smp_transport.rst.
"""

from __future__ import annotations

import binascii
import struct
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

HEADER = struct.Struct(">BBHHBB")  # operation and version, flags, length, group, sequence, command
HEADER_BYTES = HEADER.size
VERSION_1 = 0
VERSION_2 = 1

# What a device's buffer must at least hold, header and CBOR together.
MIN_BUFFER_BYTES = 1024
# A line on the console, delimiter and newline included (smp_transport.rst).
MAX_LINE_BYTES = 127
FRAME_START = b"\x06\x09"
FRAME_CONTINUE = b"\x04\x14"
# The length before a framed message and the CRC behind it.
FRAME_LENGTH = struct.Struct(">H")
FRAME_CRC = struct.Struct(">H")

# Images as the protocol numbers them: 0 is the firmware, 1 the model; two slots each.
IMAGE_FIRMWARE = 0
IMAGE_MODEL = 1
SLOTS_PER_IMAGE = 2


class Operation(IntEnum):
    """What a message asks, or answers."""

    READ = 0
    READ_REPLY = 1
    WRITE = 2
    WRITE_REPLY = 3


class Group(IntEnum):
    """Groups of commands; from 64 on they belong to whoever builds the device."""

    OS = 0
    IMAGE = 1
    STAT = 2
    NODE = 64


class OsCommand(IntEnum):
    """Commands of the group `OS`."""

    ECHO = 0
    RESET = 5
    PARAMETERS = 6


class ImageCommand(IntEnum):
    """Commands of the group `IMAGE`."""

    STATE = 0
    UPLOAD = 1
    ERASE = 5


class StatCommand(IntEnum):
    """Commands of the group `STAT`.

    SHOW, read {"name": text} gives {"name", "fields": {text: uint}}: `ledger`, `outbox`, `board`
    (see `edge_runtime.node.device_records.Board`).
    LIST, read {} gives {"stat_list": [text]}.
    """

    SHOW = 0
    LIST = 1


class Clock(IntEnum):
    """What a board's ticks come from."""

    ONLY = 0  # it has one clock
    CRYSTAL = 1
    INTERNAL = 2  # the crystal did not start in time: slower, and less exact
    UNCONTROLLED = 3  # an emulator without the chip's clock control


class NodeCommand(IntEnum):
    """Commands of our group `NODE`.

    INFER, write {"in": bytes, "off"?: uint}: a piece of the input, "off" its place (0 when left
    out). While the input is incomplete the answer is {"off": bytes so far}; then the model runs,
    and it is {"out": bytes, "len": output bytes in all, "ticks": uint}. Where "out" holds less
    than "len", read {"off": uint} gives the rest, piece by piece, as {"off", "out"}.
    LEDGER, read {}: see `edge_runtime.node.device_records.Ledger`.
    OUTBOX_READ, read {"seq"?: uint}: the decisions from this sequence on, as many as the answer
    holds: {"first", "next", "dropped", "records": [{"seq", "boot_id", "at", "ticks", "len", "crc",
    "out"}]}; see `edge_runtime.node.device_records.Outbox`. An inference that was put into the
    outbox says so: "seq".
    OUTBOX_ACKNOWLEDGE, write {"seq": uint}: all up to and with this one are stored elsewhere; the
    answer is {"first", "next", "dropped"}.
    CONFIGURATION, read {} gives {"report_every": uint}, write replaces it: every how many decisions
    one goes to the outbox, 0 for none.
    KEYS, read {}: whose images the device takes, as SHA-256 of each public key's DER, and the
    security counters that it has reached: {"keys": [bytes], "firmware": uint, "model": uint}.
    """

    INFER = 0
    LEDGER = 1
    OUTBOX_READ = 2
    OUTBOX_ACKNOWLEDGE = 3
    CONFIGURATION = 4
    SELF_TEST = 5
    KEYS = 6
    ROLLBACK = 7


class ErrorCode(IntEnum):
    """An error code with the sentence that explains it."""

    explanation: str

    def __new__(cls, value: int, explanation: str) -> ErrorCode:
        """A member: its number and its sentence."""
        member = int.__new__(cls, value)
        member._value_ = value
        member.explanation = explanation
        return member


class ProtocolError(ErrorCode):
    """The protocol's own codes, {"rc": code}: those that our firmware gives."""

    UNKNOWN = 1, "the device failed without saying why"
    NO_MEMORY = 2, "it does not fit into the device's memory"
    INVALID = 3, "the request is malformed, or a value in it is not allowed"
    NOT_FOUND = 5, "the device has no such thing"
    BAD_STATE = 6, "the device's state does not allow that now"
    TOO_LARGE = 7, "the answer does not fit into the device's buffer"
    NOT_SUPPORTED = 8, "the device does not know this command"
    CORRUPT = 9, "what the device received is corrupt"
    TOO_NEW = 13, "the device speaks only older versions of SMP"


class ImageError(ErrorCode):
    """Codes of the group `IMAGE` (Zephyr's img_mgmt.h): those that our firmware gives."""

    NO_TLVS = 4, "the image ends before its TLVs"
    INVALID_TLV = 5, "an entry of the image's TLVs is cut off, or of a wrong size"
    HASH_NOT_FOUND = 8, "the image carries no SHA-256"
    NO_FREE_SLOT = (
        9,
        "the device has no slot for firmware; only its model, image 1, can be replaced",
    )
    FLASH_WRITE_FAILED = 12, "the device's flash could not be programmed"
    FLASH_ERASE_FAILED = 13, "the device's flash could not be erased"
    INVALID_SLOT = 14, "the device has no such slot for models; theirs are 2 and 3"
    INVALID_LENGTH = 21, "the upload states no length, or sends a piece too short to be stored"
    INVALID_HEADER = 22, "the image is shorter than its header, or its header's sizes are wrong"
    INVALID_MAGIC = 23, "this is no image: its first bytes are not MCUboot's magic"
    INVALID_HASH = 24, "the received file is not the one whose SHA-256 the upload announced"
    VERSION_OLDER = 27, "only a newer version was to be stored, and this one is not"
    TOO_LARGE = 30, "the image is larger than the device's slot"
    OVERRUN = 31, "more bytes were sent than announced"


class NodeError(ErrorCode):
    """Codes of our group: why the device did not infer, or did not take a model.

    They stay below 34: stock clients know no higher number where an upload fails.
    """

    NO_MODEL = 2, "no model is active; upload one"
    INPUT_SIZE = 3, "the input has not the size that the model expects"
    INFERENCE_FAILED = 4, "the model's code reported a failure"
    HASH_MISMATCH = 5, "the image's SHA-256 is not the one that it states"
    NO_TARGET = 6, "the image does not say that it is a microcontroller's module"
    WRONG_CORE = 7, "the model was compiled for another class of cores"
    ISA_MISSING = 8, "the model needs instructions that this core lacks"
    ABI_UNSUPPORTED = 9, "the module's ABI version is not the firmware's"
    MODULE_MALFORMED = 10, "the module's header contradicts itself or leads outside the module"
    ARENA_TOO_LARGE = 11, "input, output and arena do not fit into the device's RAM"
    STACK_TOO_LARGE = 12, "the model needs more stack than the device has"
    SELF_TEST_DIFFERS = 13, "a golden row of the model's self-test gave another output"
    SELF_TEST_TOO_SLOW = 14, "the self-test took more ticks than the model's ceiling allows"
    UNSIGNED = 15, "the image is not signed; sign it with Ed25519 as imgtool does"
    KEY_UNTRUSTED = 16, "the image is signed by a key that the device does not trust"
    SIGNATURE_WRONG = 17, "the image's signature is not that of its key over this image"
    NO_COUNTER = 18, "the image states no security counter"
    COUNTER_OLDER = 19, "the image's security counter is below the one that the device has reached"
    WRONG_BOARD = 20, "this is no firmware, or it was built for another board"
    WRONG_SLOT = 21, "the firmware is linked for the device's other slot"
    NOT_CONFIRMED = 22, "what was on trial was not confirmed before the next start"
    SELF_TEST_STOPPED = 23, "the board stopped in the model's self-test"
    SELF_TEST_TOO_COSTLY = 24, "the self-test took more modelled joules than the model's ceiling"
    FLASH_READ_ONLY = 29, "the device does not write its flash; a debug probe puts models there"
    TRIAL_CRASHED = 25, "a fault stopped the board while something was on trial"
    TRIAL_HUNG = 26, "the watchdog stopped the board while something was on trial"
    FLASH_FAILED = 30, "the device's flash could not be written"


_ERRORS: dict[int, type[ErrorCode]] = {Group.IMAGE: ImageError, Group.NODE: NodeError}


def explain(group: int | None, code: int) -> str:
    """The sentence for an error code.

    Args:
        group: from {"err": {"group", "rc"}}, or None for the protocol's own {"rc"}.
        code: its rc.
    """
    codes: type[ErrorCode] | None = ProtocolError if group is None else _ERRORS.get(group)
    known = {int(member): member.explanation for member in codes or ()}
    return known.get(code, "the device gave a code that this jouleloop does not know")


@dataclass(frozen=True)
class Header:
    """The header of a message; `length` counts the CBOR behind it."""

    operation: int
    group: int
    command: int
    sequence: int
    length: int
    version: int = VERSION_2
    flags: int = 0

    def pack(self) -> bytes:
        """Its 8 bytes."""
        first = self.version << 3 | self.operation
        return HEADER.pack(first, self.flags, self.length, self.group, self.sequence, self.command)

    @classmethod
    def unpack(cls, message: bytes) -> Header:
        """The header at the start of a message.

        Raises:
            ValueError: the message is shorter than a header.
        """
        if len(message) < HEADER_BYTES:
            raise ValueError(f"a message of {len(message)} bytes has no header")
        first, flags, length, group, sequence, command = HEADER.unpack_from(message)
        return cls(first & 7, group, command, sequence, length, first >> 3 & 3, flags)


def encode_lines(message: bytes) -> bytes:
    r"""A message as console lines.

    Args:
        message: header and CBOR, at most 65533 bytes.

    >>> encode_lines(b"hi")
    b'\x06\tAARoaX8M\n'
    """
    crc = binascii.crc_hqx(message, 0)  # CRC-16/XMODEM
    framed = FRAME_LENGTH.pack(len(message) + FRAME_CRC.size) + message + FRAME_CRC.pack(crc)
    text = binascii.b2a_base64(framed, newline=False)
    # Whole groups of four characters, so that every line decodes by itself.
    room = (MAX_LINE_BYTES - len(FRAME_START) - 1) // 4 * 4
    lines = [text[at : at + room] for at in range(0, len(text), room)]
    first = FRAME_START + lines[0] + b"\n"
    return first + b"".join(FRAME_CONTINUE + line + b"\n" for line in lines[1:])


class LineDecoder:
    """Takes bytes as they arrive and gives the messages in them; skips what is none.

    >>> decoder = LineDecoder()
    >>> list(decoder.feed(b"boot text" + encode_lines(b"hi")))
    [b'hi']
    """

    def __init__(self) -> None:
        self._line = bytearray()
        self._frame: bytearray | None = None

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Take bytes.

        Args:
            data: as received, any cut.

        Yields:
            Messages whose length and CRC are right.
        """
        *complete, rest = (bytes(self._line) + data).split(b"\n")
        self._line = bytearray(rest[-MAX_LINE_BYTES:])
        for line in complete:
            message = self._take_line(line)
            if message is not None:
                yield message

    def _take_line(self, line: bytes) -> bytes | None:
        start, more = line.rfind(FRAME_START), line.rfind(FRAME_CONTINUE)
        if start >= 0 and start > more:
            self._frame = bytearray()
        frame = self._frame
        if frame is None or max(start, more) < 0:
            return None  # other output of the device, or a frame whose start was lost
        try:
            frame += binascii.a2b_base64(line[max(start, more) + 2 :], strict_mode=True)
        except binascii.Error:
            self._frame = None
            return None
        return self._finish(frame)

    def _finish(self, frame: bytearray) -> bytes | None:
        if len(frame) < FRAME_LENGTH.size:
            return None
        length = FRAME_LENGTH.unpack_from(frame)[0]
        received = len(frame) - FRAME_LENGTH.size
        if received < length:
            return None
        self._frame = None
        message = bytes(frame[FRAME_LENGTH.size :])
        # Over a message and its CRC the CRC is zero.
        if received != length or received < FRAME_CRC.size or binascii.crc_hqx(message, 0):
            return None
        return message[: -FRAME_CRC.size]
