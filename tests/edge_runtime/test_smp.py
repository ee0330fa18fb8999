from __future__ import annotations

import random
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from smp import error, header, image_management, packet

from edge_runtime.firmware import generate_ids
from edge_runtime.firmware.build import FOLDER
from edge_runtime.wire import smp
from edge_runtime.wire.smp import ImageError, LineDecoder, NodeError, ProtocolError

pytestmark = pytest.mark.pure

HEADERS = st.builds(
    smp.Header,
    st.sampled_from(smp.Operation),
    st.integers(100, 65535),
    st.integers(0, 255),
    st.integers(0, 255),
    st.integers(0, 65535),
    st.sampled_from([smp.VERSION_1, smp.VERSION_2]),
)


@given(own=HEADERS)
def test_the_header_is_that_of_the_stock_client(own: smp.Header) -> None:
    stock = header.Header.loads(own.pack())
    assert (stock.op, stock.version, stock.length) == (own.operation, own.version, own.length)
    assert (stock.group_id, stock.sequence) == (own.group, own.sequence)
    assert stock.command_id == own.command
    assert smp.Header.unpack(own.pack()) == own


def test_a_message_without_a_header_is_none() -> None:
    with pytest.raises(ValueError, match="7 bytes"):
        smp.Header.unpack(bytes(7))


@given(message=st.binary(min_size=1, max_size=1500))
def test_lines_are_those_of_the_stock_client(message: bytes) -> None:
    lines = smp.encode_lines(message)
    assert lines == b"".join(packet.encode(message, line_length=128))
    assert max(map(len, lines.splitlines(keepends=True))) <= smp.MAX_LINE_BYTES


@given(
    messages=st.lists(st.binary(max_size=400), max_size=4),
    noise=st.lists(st.sampled_from([b"", b"log\n", b"\n", b"\x06log\n", b"\x04\x14AAAA\n"])),
    seed=st.integers(0, 2**32),
)
def test_messages_come_back_however_the_bytes_are_cut(
    messages: list[bytes], noise: list[bytes], seed: int
) -> None:
    rng = random.Random(seed)
    line = b"".join(
        (rng.choice(noise) if noise else b"") + smp.encode_lines(message) for message in messages
    )
    decoder = LineDecoder()
    received: list[bytes] = []
    while line:
        size = rng.randrange(1, 200)
        received += decoder.feed(line[:size])
        line = line[size:]
    assert received == messages


@given(data=st.binary(max_size=500), message=st.binary(max_size=100))
def test_no_bytes_break_the_decoder(data: bytes, message: bytes) -> None:
    decoder = LineDecoder()
    list(decoder.feed(data + b"\n"))
    assert list(decoder.feed(smp.encode_lines(message))) == [message]


@given(message=st.binary(max_size=200), at=st.integers(0, 300), byte=st.integers(0, 255))
def test_altered_lines_give_no_other_message(message: bytes, at: int, byte: int) -> None:
    lines = bytearray(smp.encode_lines(message))
    lines[at % len(lines)] = byte
    assert list(LineDecoder().feed(bytes(lines))) in ([], [message])


def test_lines_without_end_take_no_memory() -> None:
    decoder = LineDecoder()
    for _ in range(100):
        list(decoder.feed(smp.FRAME_START + b"A" * 10_000))
    assert len(decoder._line) <= smp.MAX_LINE_BYTES


def test_the_c_header_is_up_to_date() -> None:
    assert generate_ids.HEADER_FILE.read_text(encoding="utf-8") == generate_ids.header()


# Our names -> those of the stock client.
PROTOCOL_NAMES = {
    "UNKNOWN": "EUNKNOWN",
    "NO_MEMORY": "ENOMEM",
    "INVALID": "EINVAL",
    "NOT_FOUND": "ENOENT",
    "BAD_STATE": "EBADSTATE",
    "TOO_LARGE": "EMSGSIZE",
    "NOT_SUPPORTED": "ENOTSUP",
    "CORRUPT": "ECORRUPT",
    "TOO_NEW": "UNSUPPORTED_TOO_NEW",
}
IMAGE_NAMES = {
    "NO_TLVS": "NO_TLVS",
    "INVALID_TLV": "INVALID_TLV",
    "HASH_NOT_FOUND": "HASH_NOT_FOUND",
    "NO_FREE_SLOT": "NO_FREE_SLOT",
    "FLASH_WRITE_FAILED": "FLASH_WRITE_FAILED",
    "FLASH_ERASE_FAILED": "FLASH_ERASE_FAILED",
    "INVALID_SLOT": "INVALID_SLOT",
    "INVALID_LENGTH": "INVALID_LENGTH",
    "INVALID_HEADER": "INVALID_IMAGE_HEADER",
    "INVALID_MAGIC": "INVALID_IMAGE_HEADER_MAGIC",
    "INVALID_HASH": "INVALID_HASH",
    "VERSION_OLDER": "CURRENT_VERSION_IS_NEWER",
    "TOO_LARGE": "INVALID_IMAGE_TOO_LARGE",
    "OVERRUN": "INVALID_IMAGE_DATA_OVERRUN",
}


def test_codes_are_those_of_the_protocol() -> None:
    images = image_management.IMG_MGMT_ERR
    assert {int(code): PROTOCOL_NAMES[code.name] for code in ProtocolError} == {
        error.MGMT_ERR[name].value: name for name in PROTOCOL_NAMES.values()
    }
    assert {int(code): IMAGE_NAMES[code.name] for code in ImageError} == {
        images[name].value: name for name in IMAGE_NAMES.values()
    }
    # Stock clients read a refused upload's code as one of the image group's, whatever its group.
    assert {int(code) for code in NodeError} <= {code.value for code in images}


def test_commands_are_those_of_the_protocol() -> None:
    os, images = header.CommandId.OSManagement, header.CommandId.ImageManagement
    for own in smp.OsCommand:
        assert os(own).name == {"PARAMETERS": "MCUMGR_PARAMETERS"}.get(own.name, own.name)
    for command in smp.ImageCommand:
        assert images(command).name == command.name
    for operation in smp.Operation:
        assert header.OP(operation).name == operation.name.replace("REPLY", "RSP")


def test_every_code_is_explained() -> None:
    for group, codes in ((None, ProtocolError), (1, ImageError), (64, NodeError)):
        for code in codes:
            assert smp.explain(group, code) == code.explanation
    assert "does not know" in smp.explain(None, 200)
    assert "does not know" in smp.explain(9, 1)


def test_the_page_on_signed_images_names_every_code_of_the_verifier() -> None:
    sources = ("src/image.c", "src/firmware.c")
    text = "".join((FOLDER / source).read_text(encoding="utf-8") for source in sources)
    given = {
        (group, int(codes[name]))
        for group, codes in (("IMAGE", ImageError), ("NODE", NodeError))
        for name in re.findall(rf"JL_{group}_ERROR_(\w+)", text)
        if not name.startswith("FLASH_")
    }
    page = (Path(__file__).parents[2] / "docs/security.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| .* \| ([\d, or]+) \((\d+)\) \| .* \|$", page, re.MULTILINE)
    groups = {smp.Group.IMAGE: "IMAGE", smp.Group.NODE: "NODE"}
    stated = {
        (groups[smp.Group(int(group))], int(code))
        for codes, group in rows
        for code in re.findall(r"\d+", codes)
    }
    # A module's instruction set is checked with its core, where the model is bound.
    assert stated - given == {("NODE", int(NodeError.ISA_MISSING))}
    assert given <= stated
