"""The firmware's upload, loader, slots and records on this machine, under sanitizers."""

from __future__ import annotations

import hashlib
import random
import struct
import zlib
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_profiles.core import Isa, KernelClass
from edge_runtime.wire import smp
from edge_runtime.wire.image import HEADER_BYTES, Target, Version, make_image
from edge_runtime.wire.module import Ceiling, profile_crc32
from edge_runtime.wire.smp import (
    Group,
    ImageCommand,
    ImageError,
    NodeCommand,
    NodeError,
    ProtocolError,
)
from tests.edge_runtime.host_board import ARENA_BYTES, ERASE_BYTES, SLOT_BYTES, HostBoard
from tests.edge_runtime.tiny_module import FAIL, HOST, TinyModule, step
from tests.keys import KEY

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.host_c

READ, WRITE = smp.Operation.READ, smp.Operation.WRITE


def _module(**fields: Any) -> TinyModule:
    return TinyModule(machine=HOST, **fields)


def _image_error(code: int) -> dict[str, Any]:
    return {"err": {"group": int(Group.IMAGE), "rc": code}}


def _node_error(code: int) -> dict[str, Any]:
    return {"err": {"group": int(Group.NODE), "rc": code}}


def _models(host_board: HostBoard) -> dict[str, bool]:
    """Version -> whether it serves."""
    images = host_board.ask(READ, Group.IMAGE, ImageCommand.STATE, {})["images"]
    return {i["version"]: i.get("active", False) for i in images if i["image"] == smp.IMAGE_MODEL}


def _infer(host_board: HostBoard, row: np.ndarray[Any, np.dtype[np.int8]]) -> dict[str, Any]:
    return host_board.ask(WRITE, Group.NODE, NodeCommand.INFER, {"in": row.tobytes()})


@pytest.mark.parametrize("size", [1, 5, 700])
def test_models_run_and_survive_a_restart(fresh_board: HostBoard, size: int) -> None:
    row = np.random.default_rng(size).integers(-128, 128, size, np.int8)
    assert _infer(fresh_board, row) == _node_error(NodeError.NO_MODEL)
    assert fresh_board.upload(_module(size=size).image(Version(9)))["off"] > size
    for _ in range(2):
        answer = _infer(fresh_board, row)
        assert answer["out"] == step(row).tobytes()
        assert answer["len"] == size
        fresh_board.restart()
    assert _models(fresh_board) == {"9.0.0": True}


def test_large_inputs_and_outputs_travel_in_pieces(fresh_board: HostBoard) -> None:
    row = np.random.default_rng(1).integers(-128, 128, 5000, np.int8)
    fresh_board.upload(_module(size=5000, rows=0).image())
    content = row.tobytes()
    for off in range(0, 5000, 900):
        piece = {"off": off, "in": content[off : off + 900]}
        answer = fresh_board.ask(WRITE, Group.NODE, NodeCommand.INFER, piece)
        if off == 1800:  # out of order: said, and nothing is lost
            wrong = fresh_board.ask(WRITE, Group.NODE, NodeCommand.INFER, piece)
            assert wrong == _node_error(NodeError.INPUT_SIZE)
    output = answer["out"]
    while len(output) < answer["len"]:
        more = fresh_board.ask(READ, Group.NODE, NodeCommand.INFER, {"off": len(output)})
        assert more["off"] == len(output)
        output += more["out"]
    assert output == step(row).tobytes()
    beyond = fresh_board.ask(READ, Group.NODE, NodeCommand.INFER, {"off": 5000})
    assert beyond == {"rc": ProtocolError.NOT_FOUND}


@given(piece_bytes=st.integers(33, 900), size=st.integers(1, 400))
def test_pieces_of_any_size_store_the_same(
    host_board: HostBoard, piece_bytes: int, size: int
) -> None:
    image = _module(size=4, shape=(1, 4), rows=size).image()
    assert host_board.upload(image, piece_bytes) == {"rc": 0, "off": len(image)}


def test_an_interrupted_upload_is_resumed(fresh_board: HostBoard) -> None:
    image = _module(rows=300).image()
    first = {"image": 1, "len": len(image), "sha": hashlib.sha256(image).digest(), "off": 0}
    first["data"] = image[:600]
    assert fresh_board.ask(WRITE, Group.IMAGE, 1, first) == {"rc": 0, "off": 600}
    # The same announcement again: the device says where to go on.
    assert fresh_board.ask(WRITE, Group.IMAGE, 1, first) == {"rc": 0, "off": 600}
    # A piece that is not wanted changes nothing.
    stray = {"off": 100, "data": image[100:200]}
    assert fresh_board.ask(WRITE, Group.IMAGE, 1, stray) == {"rc": 0, "off": 600}
    # Another file starts afresh.
    other = first | {"sha": bytes(32)}
    assert fresh_board.ask(WRITE, Group.IMAGE, 1, other | {"data": image[:64]})["off"] == 64
    # A restart forgets the upload: the client is sent back.
    fresh_board.restart()
    assert fresh_board.ask(WRITE, Group.IMAGE, 1, {"off": 64, "data": image[64:128]})["off"] == 0
    answer = fresh_board.ask(WRITE, Group.IMAGE, 1, first)
    while answer["off"] < len(image):
        off = answer["off"]
        answer = fresh_board.ask(
            WRITE, Group.IMAGE, 1, {"off": off, "data": image[off : off + 500]}
        )
    assert answer == {"rc": 0, "off": len(image), "match": True}


def _start(**changes: Any) -> dict[str, Any]:
    image = _module().image()
    return {"image": 1, "len": len(image), "off": 0, "data": image[:64]} | changes


UPLOAD_ERRORS: dict[str, tuple[Callable[[], dict[str, Any]], dict[str, Any]]] = {
    "firmware": (lambda: _start(image=0), _image_error(ImageError.NO_FREE_SLOT)),
    "no image number": (
        lambda: {k: v for k, v in _start().items() if k != "image"},
        _image_error(ImageError.NO_FREE_SLOT),
    ),
    "unknown image": (lambda: _start(image=2), _image_error(ImageError.INVALID_SLOT)),
    "no length": (
        lambda: {k: v for k, v in _start().items() if k != "len"},
        _image_error(ImageError.INVALID_LENGTH),
    ),
    "too large": (lambda: _start(len=SLOT_BYTES + 1), _image_error(ImageError.TOO_LARGE)),
    "length of 64 bits": (lambda: _start(len=2**32), _image_error(ImageError.INVALID_LENGTH)),
    "more than announced": (lambda: _start(len=40), _image_error(ImageError.OVERRUN)),
    "short hash": (lambda: _start(sha=b"123"), _image_error(ImageError.INVALID_HASH)),
    "no data": (
        lambda: {"image": 1, "len": 99, "off": 0},
        {"rc": ProtocolError.INVALID},
    ),
    "no offset": (lambda: {"image": 1, "len": 99, "data": b""}, {"rc": ProtocolError.INVALID}),
    "data as text": (lambda: _start(data="x" * 40), {"rc": ProtocolError.INVALID}),
    "negative offset": (lambda: _start(off=-1), {"rc": ProtocolError.INVALID}),
    "upgrade as number": (lambda: _start(upgrade=1), {"rc": ProtocolError.INVALID}),
    "short first piece": (lambda: _start(data=b"x"), _image_error(ImageError.INVALID_HEADER)),
    "no image at all": (lambda: _start(data=bytes(64)), _image_error(ImageError.INVALID_MAGIC)),
}


@pytest.mark.parametrize("name", UPLOAD_ERRORS)
def test_uploads_that_cannot_start(host_board: HostBoard, name: str) -> None:
    make, error = UPLOAD_ERRORS[name]
    assert host_board.ask(WRITE, Group.IMAGE, ImageCommand.UPLOAD, make()) == error


def test_a_piece_too_short_to_store_is_refused(fresh_board: HostBoard) -> None:
    image = _module().image()
    fresh_board.ask(WRITE, Group.IMAGE, 1, _start())
    answer = fresh_board.ask(WRITE, Group.IMAGE, 1, {"off": 64, "data": image[64:67]})
    assert answer == _image_error(ImageError.INVALID_LENGTH)


def test_only_upgrades_when_asked(fresh_board: HostBoard) -> None:
    fresh_board.upload(_module().image(Version(2, 1, 0)))
    for version, is_newer in (
        (Version(2, 1, 0), False),
        (Version(2, 0, 9), False),
        (Version(1, 9, 9), False),
        (Version(2, 1, 0, 1), True),
        (Version(2, 1, 1), True),
        (Version(3), True),
    ):
        start = _start(upgrade=True, data=_module().image(version)[:64])
        answer = fresh_board.ask(WRITE, Group.IMAGE, ImageCommand.UPLOAD, start)
        expected = {"rc": 0, "off": 64} if is_newer else _image_error(ImageError.VERSION_OLDER)
        assert answer == expected


def test_another_file_than_announced_is_refused(fresh_board: HostBoard) -> None:
    image = _module(size=2, rows=1).image()
    payload = {"image": 1, "len": len(image), "sha": bytes(32), "off": 0, "data": image}
    answer = fresh_board.ask(WRITE, Group.IMAGE, ImageCommand.UPLOAD, payload)
    assert answer == _image_error(ImageError.INVALID_HASH)
    assert _models(fresh_board) == {}


def test_erase(fresh_board: HostBoard) -> None:
    fresh_board.upload(_module().image(Version(1)))
    image = _module().image(Version(2))
    fresh_board.upload(image)

    def erase(**slot: int) -> dict[str, Any]:
        return fresh_board.ask(WRITE, Group.IMAGE, ImageCommand.ERASE, slot)

    # The host port has no boot loader, and so no slots of firmware.
    assert erase() == erase(slot=0) == _image_error(ImageError.NO_FREE_SLOT)
    assert erase(slot=4) == _image_error(ImageError.INVALID_SLOT)
    bad_state = {"rc": ProtocolError.BAD_STATE}
    assert erase(slot=3) == bad_state  # it serves
    assert erase(slot=2) == bad_state  # the way back
    fresh_board.choose(image, confirm=True)
    assert erase(slot=3) == bad_state
    assert _models(fresh_board) == {"1.0.0": False, "2.0.0": True}
    assert erase(slot=2) == {}
    assert _models(fresh_board) == {"2.0.0": True}
    fresh_board.restart()
    assert _models(fresh_board) == {"2.0.0": True}


def _patched(at: int, value: int) -> bytes:
    """An image of a module with one 32-bit field changed."""
    module = bytearray(_module(size=3).build())
    struct.pack_into("<I", module, at, value)
    return make_image(bytes(module), version=Version(1), target=Target(SCALAR, 0), signing_key=KEY)


TENSORS_AT, SELF_TEST_AT = 80, 80 + 2 * 28
CRC = profile_crc32("host")
SCALAR = int(KernelClass.SCALAR)
BAD_MODULES: dict[str, tuple[Callable[[], bytes], int]] = {
    "target class": (lambda: _module().image(target=Target(SCALAR, 0, 1, 7)), NodeError.NO_TARGET),
    "target ABI": (lambda: _module().image(target=Target(SCALAR, 0, 9)), NodeError.ABI_UNSUPPORTED),
    "target core": (lambda: _module().image(target=Target(2, 0)), NodeError.WRONG_CORE),
    "target ISA": (lambda: _module().image(target=Target(SCALAR, 1)), NodeError.ISA_MISSING),
    "ABI": (lambda: _module(abi_version=0).image(), NodeError.ABI_UNSUPPORTED),
    "core": (lambda: _module(kernel_class=KernelClass.MVE).image(), NodeError.WRONG_CORE),
    "ISA": (lambda: _module(isa=Isa.THUMB2).image(), NodeError.ISA_MISSING),
    "too short": (
        lambda: make_image(b"JLM1", version=Version(1), target=Target(SCALAR, 0), signing_key=KEY),
        NodeError.MODULE_MALFORMED,
    ),
    "magic": (
        lambda: make_image(
            bytes(200), version=Version(1), target=Target(SCALAR, 0), signing_key=KEY
        ),
        NodeError.MODULE_MALFORMED,
    ),
    "reserved": (lambda: _module(reserved=1).image(), NodeError.MODULE_MALFORMED),
    "module bytes": (lambda: _module(module_bytes=2**32 - 1).image(), NodeError.MODULE_MALFORMED),
    "entry in the header": (lambda: _module(entry_offset=4).image(), NodeError.MODULE_MALFORMED),
    "entry outside": (lambda: _module(entry_offset=2**31).image(), NodeError.MODULE_MALFORMED),
    "tensors outside": (
        lambda: _module(tensors_offset=2**32 - 4).image(),
        NodeError.MODULE_MALFORMED,
    ),
    "tensors unaligned": (lambda: _module(tensors_offset=82).image(), NodeError.MODULE_MALFORMED),
    "dimension 0": (lambda: _module(shape=(1, 0)).image(), NodeError.MODULE_MALFORMED),
    "dimensions that overflow": (
        lambda: _module(shape=(2**31, 2**31, 2**31, 2**31)).image(),
        NodeError.MODULE_MALFORMED,
    ),
    "rank 5": (lambda: _patched(TENSORS_AT, 5), NodeError.MODULE_MALFORMED),
    "rank of 32 bits": (lambda: _patched(TENSORS_AT + 28, 2**32 - 1), NodeError.MODULE_MALFORMED),
    "ceilings outside": (lambda: _patched(SELF_TEST_AT + 4, 2**30), NodeError.MODULE_MALFORMED),
    "inputs outside": (lambda: _patched(SELF_TEST_AT + 8, 2**31), NodeError.MODULE_MALFORMED),
    "outputs outside": (lambda: _patched(SELF_TEST_AT + 12, 2**31), NodeError.MODULE_MALFORMED),
    "self-test outside": (
        lambda: _module(self_test_offset=2**32 - 8).image(),
        NodeError.MODULE_MALFORMED,
    ),
    "self-test unaligned": (
        lambda: _module(self_test_offset=137).image(),
        NodeError.MODULE_MALFORMED,
    ),
    "rows that overflow": (
        lambda: _module(self_test_rows=2**32 - 1).image(),
        NodeError.MODULE_MALFORMED,
    ),
    "arena": (lambda: _module(arena_bytes=ARENA_BYTES - 31).image(), NodeError.ARENA_TOO_LARGE),
    "arena of 32 bits": (
        lambda: _module(arena_bytes=2**32 - 1).image(),
        NodeError.ARENA_TOO_LARGE,
    ),
    "input larger than RAM": (
        lambda: _module(shape=(1, ARENA_BYTES), rows=0).image(),
        NodeError.ARENA_TOO_LARGE,
    ),
    "stack": (lambda: _module(stack_bytes=2**32 - 1).image(), NodeError.STACK_TOO_LARGE),
    "wrong rows": (lambda: _module(wrong_rows=True).image(), NodeError.SELF_TEST_DIFFERS),
    "fails": (lambda: _module(body=FAIL).image(), NodeError.INFERENCE_FAILED),
    "costly": (
        lambda: _module(size=3000, ceilings=(Ceiling(CRC, 0, 1),)).image(),
        NodeError.SELF_TEST_TOO_COSTLY,
    ),
    "slow": (
        lambda: _module(size=3000, ceilings=(Ceiling(1, 0, 0), Ceiling(CRC, 1, 0))).image(),
        NodeError.SELF_TEST_TOO_SLOW,
    ),
}


@pytest.mark.parametrize("name", BAD_MODULES)
def test_bad_modules_are_refused(host_board: HostBoard, name: str) -> None:
    good = _module(size=3).image(Version(5, 5, 5))
    assert host_board.upload(good)["off"] == len(good)
    make, code = BAD_MODULES[name]
    assert host_board.upload(make()) == _node_error(code)
    assert _models(host_board) == {"5.5.5": True}
    row = np.array([127, -128, 0], np.int8)
    assert _infer(host_board, row)["out"] == step(row).tobytes()


@pytest.mark.parametrize(
    ("at", "content", "code"),
    [
        (-144, b"\x00\x00", ImageError.NO_TLVS),  # the area's magic
        (-142, b"\x02\x00", ImageError.INVALID_TLV),  # the area is shorter than its head
        (-142, b"\xff\xff", ImageError.INVALID_TLV),  # or than what it holds
        (-142, b"\x06\x00", ImageError.INVALID_TLV),  # an entry's head is cut off
        (-140, b"\x11\x00", ImageError.HASH_NOT_FOUND),
        (-138, b"\x1f\x00", ImageError.INVALID_TLV),  # a hash of 31 bytes
        (-138, b"\xff\xff", ImageError.INVALID_TLV),
        (12, b"\xff\xff\xff\xff", ImageError.NO_TLVS),  # payload bytes
        (8, b"\x10\x00", ImageError.INVALID_HEADER),  # header bytes
        (10, b"\x00\x00", ImageError.NO_TLVS),  # protected bytes
        (10, b"\xff\xff", ImageError.INVALID_TLV),
    ],
)
def test_images_that_contradict_themselves(
    fresh_board: HostBoard, at: int, content: bytes, code: ImageError
) -> None:
    image = bytearray(_module().image())
    at %= len(image)
    image[at : at + len(content)] = content
    # What lies behind the image in the slot must not complete it.
    assert fresh_board.upload(bytes(image)) == _image_error(code)


def test_the_largest_arena_fits(host_board: HostBoard) -> None:
    # Input and output take 16 bytes each, whatever their size up to that.
    image = _module(arena_bytes=ARENA_BYTES - 32).image()
    assert host_board.upload(image)["off"] == len(image)


@given(data=st.data())
def test_altered_images_never_harm_the_board(host_board: HostBoard, data: st.DataObject) -> None:
    image = bytearray(_module(size=3).image())
    for _ in range(data.draw(st.integers(1, 3))):
        # Anywhere, and more often where structure is.
        limit = data.draw(st.sampled_from([HEADER_BYTES, HEADER_BYTES + 250, len(image)]))
        image[data.draw(st.integers(0, limit - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.just(len(image)) | st.integers(0, len(image)))
    answer = host_board.upload(bytes(image[:cut]))
    assert "err" in answer or bytes(image) == _module(size=3).image()
    assert host_board.ask(WRITE, Group.OS, 0, {"d": "x"}) == {"r": "x"}


@given(data=st.data())
def test_altered_modules_with_a_right_hash_never_harm_the_board(
    host_board: HostBoard, data: st.DataObject
) -> None:
    # The header, tensors and self-test of a module; its code is the code of who signs it.
    module = bytearray(_module(size=3, arena_bytes=16).build())
    fields = [at for at in range(80 + 56 + 16) if not 28 <= at < 32]  # all but the entry
    for _ in range(data.draw(st.integers(1, 3))):
        module[data.draw(st.sampled_from(fields))] = data.draw(st.integers(0, 255))
    host_board.upload(
        make_image(bytes(module), version=Version(1), target=Target(SCALAR, 0), signing_key=KEY)
    )
    assert host_board.ask(WRITE, Group.OS, 0, {"d": "x"}) == {"r": "x"}


# Records.


NO_SLOT = 0xFF


def make_record(
    sequence: int, boot_id: int, slot: int, trial: int = NO_SLOT, trials: int = 0
) -> bytes:
    """A record as it lies in flash."""
    # Firmware: the first slot's, none on trial. Counters. Attempts, reasons, trials of the model.
    slots = (slot, trial, 0, NO_SLOT)
    ends = (0, 0, 0, trials)
    body = struct.pack("<4s2I4B2I4B", b"JLRC", sequence, boot_id, *slots, 0, 0, *ends)
    return body + struct.pack("<I", zlib.crc32(body))


def test_boots_are_counted_across_blocks(fresh_board: HostBoard) -> None:
    def boot_id() -> int:
        return int(fresh_board.ask(READ, Group.NODE, NodeCommand.LEDGER, {})["boot_id"])

    image = _module().image(Version(8))
    fresh_board.upload(image)
    assert boot_id() == 1
    for block in (0, 1):
        # Fill the block to its last record but one, then cross over to the other.
        fresh_board.stop()
        content = bytearray(fresh_board.flash.read_bytes())
        start = block * ERASE_BYTES
        last = boot_id_in(content)
        records = b"".join(
            make_record(1000 * (block + 1) + n, last, 0) for n in range(ERASE_BYTES // 32 - 1)
        )
        content[start : start + ERASE_BYTES] = records + b"\xff" * 32
        fresh_board.flash.write_bytes(content)
        for n in range(1, 4):
            fresh_board.start()
            assert boot_id() == last + n
            assert _models(fresh_board) == {"8.0.0": True}
            fresh_board.stop()
        fresh_board.start()


def boot_id_in(flash: bytearray) -> int:
    """The boot id of the newest record in flash."""
    newest = (0, 0)
    for at in range(0, 2 * ERASE_BYTES, 32):
        record = bytes(flash[at : at + 32])
        sequence, boot_id, slot = struct.unpack_from("<2IB", record, 4)
        if record == make_record(sequence, boot_id, slot):
            newest = max(newest, (sequence, boot_id))
    return newest[1]


@pytest.mark.parametrize(("trials", "models"), [(2, {"1.0.0": True}), (3, {})])
def test_the_last_model_is_tried_three_times(
    fresh_board: HostBoard, trials: int, models: dict[str, bool]
) -> None:
    fresh_board.upload(_module().image(Version(1)))
    fresh_board.upload(_module(body="return 0;", rows=0).image(Version(2)))
    fresh_board.stop()
    content = bytearray(fresh_board.flash.read_bytes())
    # As it is when the board stops in the midst of the trial of slot 0, and slot 1 breaks then.
    content[:ERASE_BYTES] = b"".join(
        (make_record(1, 5, 1), make_record(2, 5, 1, trial=0, trials=trials)),
    ).ljust(ERASE_BYTES, b"\xff")
    content[2 * SLOT_BYTES + 40] ^= 1
    fresh_board.flash.write_bytes(content)
    for boot in (6, 7):
        fresh_board.start()
        assert _models(fresh_board) == models
        assert fresh_board.ask(READ, Group.NODE, NodeCommand.LEDGER, {})["boot_id"] == boot
        fresh_board.stop()
    fresh_board.start()


def test_the_other_model_serves_where_the_recorded_one_breaks(fresh_board: HostBoard) -> None:
    fresh_board.upload(_module().image(Version(1)))
    fresh_board.upload(_module().image(Version(2)))
    fresh_board.stop()
    content = bytearray(fresh_board.flash.read_bytes())
    content[2 * SLOT_BYTES + 40] ^= 1
    fresh_board.flash.write_bytes(content)
    for _ in range(2):
        fresh_board.start()
        assert _models(fresh_board) == {"1.0.0": True}
        fresh_board.stop()
    fresh_board.start()


def test_torn_records_are_stepped_over(fresh_board: HostBoard) -> None:
    fresh_board.upload(_module().image(Version(8)))
    rng = random.Random(0)
    for boot in range(2, 8):
        fresh_board.stop()
        content = bytearray(fresh_board.flash.read_bytes())
        end = max(at for at in range(0, ERASE_BYTES, 32) if content[at] != 0xFF) + 32
        torn = make_record(10**6, 10**6, 1)[: rng.randrange(1, 31)]
        content[end : end + len(torn)] = torn
        fresh_board.flash.write_bytes(content)
        fresh_board.start()
        assert fresh_board.ask(READ, Group.NODE, NodeCommand.LEDGER, {})["boot_id"] == boot
        assert _models(fresh_board) == {"8.0.0": True}


def test_flash_full_of_anything_is_no_model(host_program: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    for content in (bytes(2**20), rng.bytes(2**20)):
        flash = tmp_path / "flash.bin"
        flash.write_bytes(content)
        with HostBoard(host_program, flash) as host_board:
            assert _models(host_board) == {}
            image = _module().image()
            assert host_board.upload(image)["off"] == len(image)
            assert host_board.ask(READ, Group.NODE, NodeCommand.LEDGER, {})["boot_id"] == 1
