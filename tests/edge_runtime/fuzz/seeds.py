"""Where fuzzing begins: good inputs of every parser, and near misses."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import cbor2

from device_profiles.core import Isa, KernelClass
from edge_runtime.wire import smp
from edge_runtime.wire.image import Target, Version, make_image, parse_image
from edge_runtime.wire.smp import Group, ImageCommand, NodeCommand
from tests.edge_runtime.tiny_module import HOST, TinyModule
from tests.keys import KEY, STRANGER

if TYPE_CHECKING:
    from collections.abc import Callable

READ, WRITE = smp.Operation.READ, smp.Operation.WRITE
DIGEST_BYTES = 32
TARGETS = (
    Target(int(KernelClass.SCALAR), int(Isa.NONE)),
    Target.firmware(int(KernelClass.SCALAR), "host"),
)


def cbor() -> list[bytes]:
    """Maps, of what clients send and of every type."""
    maps = [
        {},
        {"d": "text", "off": 1, "data": b"bytes", "hash": b"\0" * 32, "confirm": True},
        {"off": 2**32 - 1, "data": [1, [2, {"d": None}]], "confirm": 1.5},
        {"d": -1, "off": 2**64 - 1, "hash": "text", "": cbor2.CBORTag(1, 2)},
        {1: {"off": 3}, b"d": 4, "d": [[[[[[[0]]]]]]]},
    ]
    return [b"\xbf\x61d\x01\xff", b"\xbf\x61d\x9f\x01\xff\xff", *map(cbor2.dumps, maps)]


def console() -> list[bytes]:
    """Frames of every padding and of several lines, and what breaks one."""
    frames = [smp.encode_lines(bytes(range(size))) for size in (0, 1, 2, 3, 100, 240)]
    return [*frames, frames[4] + b"\x04\x14" + frames[2], frames[4][:20] + b"\r\n", b"\x06\x09=A="]


def image() -> list[bytes]:
    """Images whose digest is what `fuzz_image.c` computes: zeros."""
    made = []
    for target in TARGETS:
        for key in (KEY, STRANGER, None):
            content = make_image(
                b"payload", version=Version(1, 2, 3, 4), signing_key=key, target=target
            )
            made.append(content.replace(parse_image(content).sha256, bytes(DIGEST_BYTES)))
    return made


def module() -> list[bytes]:
    """Modules with golden rows, ceilings and none."""
    shapes = (TinyModule(HOST, size=4), TinyModule(HOST, size=4, rows=2), TinyModule(HOST, size=9))
    return [parse_image(shape.image()).payload for shape in shapes]


def smp_messages() -> list[bytes]:
    """Requests of every group, one behind the other, each behind its length."""
    unsigned = make_image(b"x", version=Version(1), signing_key=None, target=TARGETS[0])
    first = {"image": 1, "len": len(unsigned), "off": 0, "data": unsigned[:64]}
    rest = {"off": 64, "data": unsigned[64:]}
    requests = [
        (WRITE, Group.OS, 0, {"d": "echo"}),
        (READ, Group.OS, 6, {}),
        (READ, Group.IMAGE, ImageCommand.STATE, {}),
        (WRITE, Group.IMAGE, ImageCommand.UPLOAD, first),
        (WRITE, Group.IMAGE, ImageCommand.UPLOAD, rest),
        (WRITE, Group.IMAGE, ImageCommand.STATE, {"hash": bytes(32), "confirm": True}),
        (WRITE, Group.IMAGE, ImageCommand.ERASE, {"slot": 1}),
        (WRITE, Group.NODE, NodeCommand.INFER, {"in": b"1", "off": 0}),
        *((operation, Group.NODE, command, {}) for command in range(10) for operation in (0, 2)),
    ]
    messages = []
    for operation, group, command, fields in requests:
        body = cbor2.dumps(fields)
        message = smp.Header(operation, group, command, 7, len(body)).pack() + body
        messages.append(struct.pack(">H", len(message)) + message)
    return [*messages, b"".join(messages[:8]), b"".join(messages[8:])]


SEEDS: dict[str, Callable[[], list[bytes]]] = {
    "cbor": cbor,
    "console": console,
    "image": image,
    "module": module,
    "smp": smp_messages,
}
