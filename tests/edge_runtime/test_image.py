from __future__ import annotations

import hashlib
import json
import subprocess
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from smpclient.mcuboot import IMAGE_TLV, ImageInfo

from edge_runtime.wire.image import (
    ALIGNMENT,
    HEADER_BYTES,
    MAX_HEADER_BYTES,
    PROFILE_CLASS_MCU,
    TLV_ED25519,
    TLV_SECURITY_COUNTER,
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
from jouleloop.errors import BundleError, SignatureError
from tests.edge_runtime.imgtool import IMGTOOL, imgtool_sign
from tests.keys import KEY, OTHER_KEY, STRANGER

if TYPE_CHECKING:
    from pathlib import Path

    from edge_runtime.wire.keys import SigningKey

pytestmark = pytest.mark.pure

TARGET = Target(kernel_class=2, isa_features=7)
# Head; SHA-256, key hash and signature, each behind its own head.
UNPROTECTED_BYTES = 4 + (4 + 32) + (4 + 32) + (4 + 64)
VERSIONS = st.builds(
    Version,
    st.integers(0, 0xFF),
    st.integers(0, 0xFF),
    st.integers(0, 0xFFFF),
    st.integers(0, 0xFFFF_FFFF),
)


def _image(payload: bytes = b"payload" * 9) -> bytes:
    return make_image(payload, version=Version(1, 2, 3, 4), target=TARGET, signing_key=KEY)


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
    counter=st.integers(0, 2**32 - 1),
)
def test_parse_gives_what_was_made(
    payload: bytes, version: Version, target: Target, header_bytes: int, counter: int
) -> None:
    content = make_image(
        payload,
        version=version,
        target=target,
        header_bytes=header_bytes,
        signing_key=KEY,
        security_counter=counter,
    )
    image = parse_image(content)
    assert (image.payload, image.version, image.target) == (payload, version, target)
    assert content[header_bytes : header_bytes + len(payload)] == payload
    assert image.sha256 == image.unprotected[TLV_SHA256]
    # The hash covers header, payload and protected TLVs: all but the last area.
    assert image.sha256 == hashlib.sha256(content[:-UNPROTECTED_BYTES]).digest()
    assert image.security_counter == counter
    assert image.verify((OTHER_KEY.public, KEY.public)) == KEY.public


@given(at=st.integers(0, len(_image()) - 1), bit=st.integers(0, 7))
def test_no_altered_bit_passes(at: int, bit: int) -> None:
    content = bytearray(_image())
    content[at] ^= 1 << bit
    with pytest.raises(BundleError):
        parse_image(bytes(content)).verify([KEY.public])


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
    image = parse_image(make_image(module, version=Version(1), signing_key=KEY))
    assert image.target == Target(2, 3, ABI_VERSION, PROFILE_CLASS_MCU)
    with pytest.raises(BundleError, match="not a native module"):
        make_image(b"x" * 100, version=Version(1), signing_key=KEY)


def test_an_image_without_a_target_says_so() -> None:
    image = parse_image(_image())
    with pytest.raises(ValueError, match="security counter is 0 to 4294967295, not 4294967296"):
        make_image(b"", version=Version(1), target=TARGET, signing_key=KEY, security_counter=2**32)
    bare = type(image)(image.version, image.payload, image.sha256, {}, image.unprotected)
    with pytest.raises(BundleError, match="does not say what core"):
        _ = bare.target
    with pytest.raises(BundleError, match="no security counter"):
        _ = bare.security_counter
    short = type(image)(image.version, image.payload, image.sha256, {TLV_TARGET: b"1"}, {})
    with pytest.raises(BundleError, match="1 bytes, not 8"):
        _ = short.target


@pytest.mark.parametrize("header_bytes", [0, 16, 31, 33, MAX_HEADER_BYTES + ALIGNMENT])
def test_header_sizes_that_break_alignment_are_refused(header_bytes: int) -> None:
    with pytest.raises(ValueError, match=f"not {header_bytes}"):
        make_image(
            b"", version=Version(1), target=TARGET, header_bytes=header_bytes, signing_key=KEY
        )


@pytest.mark.parametrize("numbers", [(256,), (0, 256), (0, 0, 2**16), (0, 0, 0, 2**32), (-1,)])
def test_versions_that_do_not_fit_are_refused(numbers: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="does not fit"):
        Version(*numbers)


def test_the_stock_imgtool_reads_it(tmp_path: Path) -> None:
    path = tmp_path / "model.bin"
    path.write_bytes(_image())
    dump = tmp_path / "dump.json"
    subprocess.run([IMGTOOL, "dumpinfo", "-s", "-f", "json", "-o", dump, path], check=True)
    told = json.loads(dump.read_text())
    assert told["header"]["version"] == "1.2.3+4"
    assert told["header"]["img_size"] == 63
    counter, target = told["tlv_area"]["tlvs_prot"]
    assert (counter["type"], counter["data"]) == (TLV_SECURITY_COUNTER, "00000000")
    assert (target["type"], target["data"]) == (TLV_TARGET, TARGET.pack().hex())


def test_the_stock_imgtool_verifies_it(tmp_path: Path) -> None:
    image = _image()
    assert _imgtool_verifies(tmp_path, image, KEY)
    assert not _imgtool_verifies(tmp_path, image, STRANGER)
    for at in (
        40,
        len(image) - UNPROTECTED_BYTES - 1,
        len(image) - 1,
    ):  # payload, target, signature
        altered = image[:at] + bytes([image[at] ^ 1]) + image[at + 1 :]
        assert not _imgtool_verifies(tmp_path, altered, KEY)
    unsigned = make_image(b"x", version=Version(1), target=TARGET, signing_key=None)
    assert not _imgtool_verifies(tmp_path, unsigned, KEY)


def _imgtool_verifies(folder: Path, image: bytes, key: SigningKey) -> bool:
    (folder / "image.bin").write_bytes(image)
    (folder / "public.pem").write_bytes(key.public.pem)
    command = [IMGTOOL, "verify", "-k", str(folder / "public.pem"), str(folder / "image.bin")]
    return subprocess.run(command, check=False, capture_output=True).returncode == 0


def test_what_the_stock_imgtool_signs_is_read(tmp_path: Path) -> None:
    image = parse_image(imgtool_sign(tmp_path, b"payload" * 50, KEY, counter=9))
    assert image.verify([KEY.public]) == KEY.public
    assert (image.version, image.security_counter) == (Version(1, 2, 3, 4), 9)
    assert (image.payload, image.target) == (b"payload" * 50, TARGET)


def test_each_wrong_signature_has_its_words() -> None:
    image = parse_image(_image())
    with pytest.raises(SignatureError, match=r"signed by the key fbbb\w+…; trusted: \w+…, \w+…$"):
        image.verify([OTHER_KEY.public, STRANGER.public])
    with pytest.raises(SignatureError, match="trusted: none"):
        image.verify([])
    wrong = dict(image.unprotected) | {TLV_ED25519: bytes(64)}
    with pytest.raises(SignatureError, match="signature is not that of the key fbbb"):
        replace(image, unprotected=wrong).verify([KEY.public])
    unsigned = make_image(b"x", version=Version(1), target=TARGET, signing_key=None)
    with pytest.raises(SignatureError, match="not signed"):
        parse_image(unsigned).verify([KEY.public])


def test_the_stock_smpclient_reads_it(tmp_path: Path) -> None:
    path = tmp_path / "model.bin"
    path.write_bytes(_image())
    info = ImageInfo.load_file(str(path))
    assert info.get_tlv(IMAGE_TLV.SHA256).value == parse_image(_image()).sha256
