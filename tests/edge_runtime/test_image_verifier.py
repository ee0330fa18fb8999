"""The verifier in C, on this machine under sanitizers, against MCUboot's own tool and ours."""

from __future__ import annotations

import hashlib
import struct
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from device_profiles.core import KernelClass
from edge_runtime.firmware.build import FOLDER, WARNINGS
from edge_runtime.firmware.trusted_keys import render_trusted_keys
from edge_runtime.wire.image import (
    HEADER,
    MAGIC,
    TLV_ED25519,
    TLV_ENTRY,
    TLV_INFO,
    TLV_INFO_MAGIC,
    TLV_KEY_HASH,
    TLV_PROTECTED_INFO_MAGIC,
    TLV_SECURITY_COUNTER,
    TLV_SHA256,
    TLV_TARGET,
    Target,
    Version,
    make_image,
    parse_image,
)
from edge_runtime.wire.smp import Group, ImageError, NodeError
from jouleloop.errors import BundleError, InputError
from jouleloop.programs import require_program
from tests.edge_runtime.host_board import SANITIZERS, build_shims
from tests.edge_runtime.imgtool import imgtool_sign
from tests.keys import KEY, OTHER_KEY, STRANGER

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from edge_runtime.wire.keys import SigningKey

pytestmark = pytest.mark.host_c

TARGET = Target(kernel_class=2, isa_features=7)
OK = 0


@dataclass(frozen=True)
class Verdict:
    """What the verifier found: statuses as the firmware holds them, group << 16 | code."""

    status: int
    firmware: int
    image_bytes: int
    counter: int


class Verifier:
    """The compiled verifier, one process for all images."""

    def __init__(self, folder: Path) -> None:
        objects = build_shims(folder)
        keys = render_trusted_keys([KEY.public, OTHER_KEY.public])
        (folder / "trusted_keys.c").write_text(keys)
        sources = [f"{FOLDER}/src/{name}.c" for name in ("image", "crc")]
        sources += [str(Path(__file__).with_name("verifier.c")), "trusted_keys.c", *objects]
        flags = ("-std=c11", "-O1", "-g", *SANITIZERS, *WARNINGS, f"-I{FOLDER}/include")
        gcc = require_program("gcc")
        subprocess.run([gcc, *flags, *sources, "-o", "verifier"], cwd=folder, check=True)
        self._process = subprocess.Popen(
            [folder / "verifier"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=None
        )

    def __call__(self, image: bytes) -> Verdict:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(struct.pack("<I", len(image)) + image)
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, "the verifier ended: a sanitizer's words are above"
        return Verdict(*map(int, line.split()))

    def close(self) -> None:
        """End it; whatever a sanitizer found is an error."""
        self._process.communicate()
        assert self._process.returncode == 0


@pytest.fixture(scope="module")
def verify(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Verifier]:
    verifier = Verifier(tmp_path_factory.mktemp("verifier"))
    yield verifier
    verifier.close()


def _image(**changes: object) -> bytes:
    fields = {"version": Version(1, 2, 3), "signing_key": KEY, "target": TARGET} | changes
    return make_image(b"payload" * 30, **fields)  # type: ignore[arg-type]  # by name, as given


def _node(code: NodeError) -> int:
    return Group.NODE << 16 | code


def _format(code: ImageError) -> int:
    return Group.IMAGE << 16 | code


@pytest.mark.parametrize("signer", [KEY, OTHER_KEY], ids=["first", "second"])
@pytest.mark.parametrize("payload", [b"", b"x", bytes(3000), b"\xff" * 70000])
def test_images_by_every_trusted_key_are_taken(
    verify: Verifier, payload: bytes, signer: SigningKey
) -> None:
    image = make_image(
        payload, version=Version(1), target=TARGET, signing_key=signer, security_counter=2**32 - 1
    )
    assert verify(image) == Verdict(OK, _node(NodeError.WRONG_BOARD), len(image), 2**32 - 1)
    # What lies behind an image in its slot does not matter.
    assert verify(image + b"\xff" * 99).image_bytes == len(image)


@pytest.mark.parametrize("payload", [b"x", bytes(3000)])
def test_what_the_stock_imgtool_signs_is_taken(
    verify: Verifier, tmp_path: Path, payload: bytes
) -> None:
    image = imgtool_sign(tmp_path, payload, OTHER_KEY, counter=7)
    verdict = verify(image)
    assert (verdict.status, verdict.counter, verdict.image_bytes) == (OK, 7, len(image))
    stranger = imgtool_sign(tmp_path, payload, STRANGER, counter=7)
    assert verify(stranger).status == _node(NodeError.KEY_UNTRUSTED)
    assert verify(image[:40] + b"\x01" + image[41:]).status != OK


def _built(
    protected: dict[int, bytes],
    tlvs: Callable[[bytes], list[tuple[int, bytes]]],
    payload: bytes = b"payload",
) -> bytes:
    """An image with these very TLVs; `tlvs` gets the digest."""

    def area(magic: int, entries: list[tuple[int, bytes]]) -> bytes:
        body = b"".join(TLV_ENTRY.pack(kind, len(value)) + value for kind, value in entries)
        return TLV_INFO.pack(magic, TLV_INFO.size + len(body)) + body

    inside = area(TLV_PROTECTED_INFO_MAGIC, list(protected.items()))
    header = HEADER.pack(MAGIC, 0, HEADER.size, len(inside), len(payload), 0, 1, 0, 0, 0)
    signed = header + payload + inside
    return signed + area(TLV_INFO_MAGIC, tlvs(hashlib.sha256(signed).digest()))


PROTECTED = {TLV_SECURITY_COUNTER: bytes(4), TLV_TARGET: TARGET.pack()}
HASH = KEY.public.key_hash


def _entries(digest: bytes) -> list[tuple[int, bytes]]:
    return [(TLV_SHA256, digest), (TLV_KEY_HASH, HASH), (TLV_ED25519, KEY.sign(digest))]


def _without(kind: int) -> Callable[[bytes], list[tuple[int, bytes]]]:
    return lambda digest: [entry for entry in _entries(digest) if entry[0] != kind]


def _instead(kind: int, value: bytes) -> Callable[[bytes], list[tuple[int, bytes]]]:
    return lambda digest: [(k, value if k == kind else v) for k, v in _entries(digest)]


TAMPERED: dict[str, tuple[Callable[[], bytes], int]] = {
    "nothing": (lambda: _built(PROTECTED, _entries), OK),
    "unsigned": (lambda: _image(signing_key=None), _node(NodeError.UNSIGNED)),
    "no key hash": (
        lambda: _built(PROTECTED, _without(TLV_KEY_HASH)),
        _node(NodeError.UNSIGNED),
    ),
    "no signature": (
        lambda: _built(PROTECTED, _without(TLV_ED25519)),
        _node(NodeError.UNSIGNED),
    ),
    "no hash": (
        lambda: _built(PROTECTED, _without(TLV_SHA256)),
        _format(ImageError.HASH_NOT_FOUND),
    ),
    "unknown key": (lambda: _image(signing_key=STRANGER), _node(NodeError.KEY_UNTRUSTED)),
    "empty key hash": (
        lambda: _built(PROTECTED, _instead(TLV_KEY_HASH, b"")),
        _format(ImageError.INVALID_TLV),
    ),
    "short signature": (
        lambda: _built(PROTECTED, _instead(TLV_ED25519, bytes(63))),
        _format(ImageError.INVALID_TLV),
    ),
    "long signature": (
        lambda: _built(PROTECTED, _instead(TLV_ED25519, bytes(65))),
        _format(ImageError.INVALID_TLV),
    ),
    "signature of zeros": (
        lambda: _built(PROTECTED, _instead(TLV_ED25519, bytes(64))),
        _node(NodeError.SIGNATURE_WRONG),
    ),
    "signature of ones": (
        lambda: _built(PROTECTED, _instead(TLV_ED25519, b"\xff" * 64)),
        _node(NodeError.SIGNATURE_WRONG),
    ),
    "the other trusted key's signature": (
        lambda: _built(
            PROTECTED,
            lambda digest: [
                (TLV_SHA256, digest),
                (TLV_KEY_HASH, HASH),
                (TLV_ED25519, OTHER_KEY.sign(digest)),
            ],
        ),
        _node(NodeError.SIGNATURE_WRONG),
    ),
    "two signatures": (
        lambda: _built(PROTECTED, lambda digest: [*_entries(digest), _entries(digest)[2]]),
        _format(ImageError.INVALID_TLV),
    ),
    "two hashes": (
        lambda: _built(PROTECTED, lambda digest: [_entries(digest)[0], *_entries(digest)]),
        _format(ImageError.INVALID_TLV),
    ),
    "more TLVs": (
        lambda: _built(PROTECTED, lambda digest: [(0x9999, b"more"), *_entries(digest)]),
        OK,
    ),
    "no counter": (
        lambda: _built({TLV_TARGET: TARGET.pack()}, _entries),
        _node(NodeError.NO_COUNTER),
    ),
    "no target": (
        lambda: _built({TLV_SECURITY_COUNTER: bytes(4)}, _entries),
        _node(NodeError.NO_TARGET),
    ),
    "counter of 8 bytes": (
        lambda: _built(PROTECTED | {TLV_SECURITY_COUNTER: bytes(8)}, _entries),
        _format(ImageError.INVALID_TLV),
    ),
    "counter outside the protected TLVs": (
        lambda: _built(
            {TLV_TARGET: TARGET.pack()},
            lambda digest: [*_entries(digest), (TLV_SECURITY_COUNTER, bytes(4))],
        ),
        _node(NodeError.NO_COUNTER),
    ),
}


@pytest.mark.parametrize("name", TAMPERED)
def test_every_tampering_has_its_code(verify: Verifier, name: str) -> None:
    make, status = TAMPERED[name]
    assert verify(make()).status == status


def test_an_image_cut_anywhere_is_refused(verify: Verifier) -> None:
    image = _image()
    for end in range(len(image)):
        assert verify(image[:end]).status in {
            _format(ImageError.INVALID_HEADER),
            _format(ImageError.NO_TLVS),
            _format(ImageError.INVALID_TLV),
        }


@settings(max_examples=300)
@given(
    at=st.integers(0, len(_image()) - 1),
    mask=st.integers(1, 255),
    more=st.lists(st.tuples(st.integers(0, len(_image()) - 1), st.integers(0, 255)), max_size=3),
)
def test_no_altered_byte_is_taken(
    verify: Verifier, at: int, mask: int, more: list[tuple[int, int]]
) -> None:
    image = bytearray(_image())
    for place, value in more:
        image[place] = value
    image[at] = _image()[at] ^ mask
    assert verify(bytes(image)).status != OK
    with pytest.raises(BundleError):
        parse_image(bytes(image)).verify([KEY.public])


@settings(max_examples=300)
@given(content=st.binary(max_size=200), start=st.integers(0, 64))
def test_no_bytes_harm_the_verifier(verify: Verifier, content: bytes, start: int) -> None:
    assert verify(_image()[:start] + content).status != OK


@given(content=st.binary(min_size=4, max_size=150))
def test_no_tlvs_harm_the_verifier(verify: Verifier, content: bytes) -> None:
    """The right hash over any protected TLVs, and any TLVs behind it."""
    assert verify(_built({TLV_TARGET: content}, _entries)).status != OK
    made = _built(PROTECTED, lambda _: [])
    assert verify(made[: -TLV_INFO.size] + content).status != OK


def test_firmware_is_for_one_board(verify: Verifier) -> None:
    def firmware(target: Target) -> int:
        return verify(_image(target=target)).firmware

    scalar = int(KernelClass.SCALAR)
    right = Target.firmware(scalar, "host")
    assert firmware(right) == OK
    assert firmware(Target.firmware(scalar, "mps2-an386")) == _node(NodeError.WRONG_BOARD)
    assert firmware(Target.firmware(2, "host")) == _node(NodeError.WRONG_CORE)
    newer = Target(scalar, right.isa_features, right.abi_version + 1, right.profile_class)
    assert firmware(newer) == _node(NodeError.ABI_UNSUPPORTED)
    assert firmware(Target(scalar, right.isa_features)) == _node(NodeError.WRONG_BOARD)


def test_the_table_of_keys_has_a_size() -> None:
    with pytest.raises(InputError, match="1 to 4 keys, not 0"):
        render_trusted_keys([])
    keys = [KEY, OTHER_KEY, STRANGER]
    assert render_trusted_keys([k.public for k in keys * 2]).count(".key = ") == 3
