from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from smpclient.mcuboot import IMAGE_TLV, ImageInfo

from edge_runtime.wire.image import (
    ALIGNMENT,
    HEADER_BYTES,
    MAX_HEADER_BYTES,
    PROFILE_CLASS_MCU,
    TLV_SHA256,
    TLV_TARGET,
    Target,
    Version,
    make_image,
    parse_image,
)
from edge_runtime.wire.module import ABI_VERSION
from edge_runtime.wire.module import HEADER as MODULE_HEADER
from edge_runtime.wire.module import HEADER_BYTES as MODULE_BYTES
from jouleloop.errors import BundleError

pytestmark = pytest.mark.pure

TARGET = Target(kernel_class=2, isa_features=7)
VERSIONS = st.builds(
    Version,
    st.integers(0, 0xFF),
    st.integers(0, 0xFF),
    st.integers(0, 0xFFFF),
    st.integers(0, 0xFFFF_FFFF),
)
IMGTOOL = str(Path(sys.executable).with_name("imgtool"))


def _image(payload: bytes = b"payload" * 9) -> bytes:
    return make_image(payload, version=Version(1, 2, 3, 4), target=TARGET)


@given(
    payload=st.binary(max_size=300),
    version=VERSIONS,
    target=st.builds(
        Target,
        st.integers(0, 255),
        st.integers(0, 2**32 - 1),
        st.integers(0, 65535),
        st.integers(0, 255),
    ),
    header_bytes=st.sampled_from(range(HEADER_BYTES, 600, ALIGNMENT)),
)
def test_parse_gives_what_was_made(
    payload: bytes, version: Version, target: Target, header_bytes: int
) -> None:
    content = make_image(payload, version=version, target=target, header_bytes=header_bytes)
    image = parse_image(content)
    assert (image.payload, image.version, image.target) == (payload, version, target)
    assert content[header_bytes : header_bytes + len(payload)] == payload
    assert image.sha256 == image.unprotected[TLV_SHA256]
    # The hash covers header, payload and protected TLVs: all but the last area.
    assert image.sha256 == hashlib.sha256(content[: -4 - 4 - 32]).digest()


@given(at=st.integers(0, len(_image()) - 1), bit=st.integers(0, 7))
def test_no_altered_bit_passes(at: int, bit: int) -> None:
    content = bytearray(_image())
    content[at] ^= 1 << bit
    with pytest.raises(BundleError):
        parse_image(bytes(content))


@given(content=st.binary(max_size=300), is_image=st.booleans())
def test_no_bytes_crash_the_parser(content: bytes, is_image: bool) -> None:
    if is_image:
        content = _image()[:20] + content
    with pytest.raises(BundleError):
        parse_image(content)


def test_truncated_and_trailing_bytes_are_refused() -> None:
    content = _image()
    for end in range(len(content)):
        with pytest.raises(BundleError):
            parse_image(content[:end])
    with pytest.raises(BundleError, match="1 bytes lie behind"):
        parse_image(content + b"\0")


def test_the_target_of_a_module_is_its_own() -> None:
    fields = (b"JLM1", ABI_VERSION, MODULE_BYTES, 2, 3, MODULE_BYTES, 0, 0, 0, 0, bytes(32))
    module = MODULE_HEADER.pack(*fields, 0, 0, MODULE_BYTES, 0)
    image = parse_image(make_image(module, version=Version(1)))
    assert image.target == Target(2, 3, ABI_VERSION, PROFILE_CLASS_MCU)
    with pytest.raises(BundleError, match="not a native module"):
        make_image(b"x" * 100, version=Version(1))


def test_an_image_without_a_target_says_so() -> None:
    image = parse_image(_image())
    bare = type(image)(image.version, image.payload, image.sha256, {}, image.unprotected)
    with pytest.raises(BundleError, match="does not say what core"):
        _ = bare.target
    short = type(image)(image.version, image.payload, image.sha256, {TLV_TARGET: b"1"}, {})
    with pytest.raises(BundleError, match="1 bytes, not 8"):
        _ = short.target


@pytest.mark.parametrize("header_bytes", [0, 16, 31, 33, MAX_HEADER_BYTES + ALIGNMENT])
def test_header_sizes_that_break_alignment_are_refused(header_bytes: int) -> None:
    with pytest.raises(ValueError, match=f"not {header_bytes}"):
        make_image(b"", version=Version(1), target=TARGET, header_bytes=header_bytes)


@pytest.mark.parametrize("numbers", [(256,), (0, 256), (0, 0, 2**16), (0, 0, 0, 2**32), (-1,)])
def test_versions_that_do_not_fit_are_refused(numbers: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="does not fit"):
        Version(*numbers)


def test_the_stock_imgtool_reads_it(tmp_path: Path) -> None:
    path = tmp_path / "model.bin"
    path.write_bytes(_image())
    subprocess.run([IMGTOOL, "verify", path], check=True, capture_output=True)
    dump = tmp_path / "dump.json"
    subprocess.run([IMGTOOL, "dumpinfo", "-s", "-f", "json", "-o", dump, path], check=True)
    told = json.loads(dump.read_text())
    assert told["header"]["version"] == "1.2.3+4"
    assert told["header"]["img_size"] == 63
    (target,) = told["tlv_area"]["tlvs_prot"]
    assert (target["type"], target["data"]) == (TLV_TARGET, TARGET.pack().hex())
    # One changed byte, and it is refused.
    path.write_bytes(_image()[:40] + b"\0" + _image()[41:])
    refused = subprocess.run([IMGTOOL, "verify", path], check=False, capture_output=True)
    assert refused.returncode != 0


def test_the_stock_smpclient_reads_it(tmp_path: Path) -> None:
    path = tmp_path / "model.bin"
    path.write_bytes(_image())
    info = ImageInfo.load_file(str(path))
    assert info.get_tlv(IMAGE_TLV.SHA256).value == parse_image(_image()).sha256
