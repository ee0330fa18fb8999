"""The image format of MCUboot: how a module (and a firmware) travels and lies in flash.

    offset 0            header, 32 bytes: magic, sizes, flags, version; padded to `header_bytes`
    header_bytes        payload
    then                protected TLVs (info magic 0x6908): hashed; here the security counter, 0x50,
                        and the target, 0x00A0
    then                TLVs (info magic 0x6907): SHA-256 (0x10) of all that lies before them, the
                        hash of the signer's public key (0x01), its Ed25519 signature (0x24) over
                        the SHA-256

Source: MCUboot, docs/design.md, "Image format"; all little-endian. `imgtool` reads and verifies
these images, and what `imgtool sign` makes with its default for Ed25519 is read here.
"""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edge_runtime.wire.keys import KEY_HASH_BYTES, SIGNATURE_BYTES, short_hash
from edge_runtime.wire.module import ABI_VERSION, parse_module, profile_crc32
from jouleloop.errors import BundleError, SignatureError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from edge_runtime.wire.keys import PublicKey, SigningKey

MAGIC = 0x96F3B83D
# magic, load_addr, hdr_size, protect_tlv_size, img_size, flags, version, padding
HEADER = struct.Struct("<IIHHIIBBHI4x")
HEADER_BYTES = HEADER.size
# The header's own size field has 16 bits.
MAX_HEADER_BYTES = 0xFFF0
# Of the payload, so that code and constants in it keep the alignment they were linked with.
ALIGNMENT = 16

TLV_INFO = struct.Struct("<HH")  # magic, bytes of the area with this header
TLV_ENTRY = struct.Struct("<HH")  # type, bytes of the value
# The image executes in place, at its load address (MCUboot's IMAGE_F_ROM_FIXED).
FLAG_ROM_FIXED = 0x100
TLV_INFO_MAGIC = 0x6907
TLV_PROTECTED_INFO_MAGIC = 0x6908
TLV_KEY_HASH = 0x01
TLV_SHA256 = 0x10
TLV_ED25519 = 0x24
TLV_SECURITY_COUNTER = 0x50
# The first of the types that MCUboot leaves to vendors.
TLV_TARGET = 0x00A0

TARGET = struct.Struct("<BBHI")
PROFILE_CLASS_MCU = 1
PROFILE_CLASS_FIRMWARE = 2
# Services of the boot loader that firmware needs: JL_SERVICES_VERSION in jl_services.h.
SERVICES_VERSION = 1
COUNTER = struct.Struct("<I")
MAX_COUNTER = 2**32 - 1


@dataclass(frozen=True)
class Version:
    """An image's version, as MCUboot counts: `major.minor.revision+build`.

    Raises:
        ValueError: major or minor above 255, revision above 65535, build above 2**32 - 1.

    >>> str(Version(1, 2, 3))
    '1.2.3+0'
    """

    major: int
    minor: int = 0
    revision: int = 0
    build: int = 0

    def __post_init__(self) -> None:
        limits = (0xFF, 0xFF, 0xFFFF, 0xFFFF_FFFF)
        numbers = (self.major, self.minor, self.revision, self.build)
        if any(not 0 <= number <= limit for number, limit in zip(numbers, limits, strict=True)):
            raise ValueError(f"version {self} does not fit an image's header")

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}.{self.revision}+{self.build}"


@dataclass(frozen=True)
class Target:
    """What an image is made for: TLV 0x00A0, which a loader checks before it reads any code.

    Args:
        kernel_class: number of the core class (`device_profiles.core.KernelClass`).
        isa_features: instruction set features that the code needs (`device_profiles.core.Isa`);
            of firmware the CRC-32 of its board's profile id.
        abi_version: version of the module's ABI; of firmware, that of the boot loader's services.
        profile_class: 1, a module for a microcontroller; 2, firmware.
    """

    kernel_class: int
    isa_features: int
    abi_version: int = ABI_VERSION
    profile_class: int = PROFILE_CLASS_MCU

    def pack(self) -> bytes:
        """The value of the TLV."""
        return TARGET.pack(
            self.profile_class, self.kernel_class, self.abi_version, self.isa_features
        )

    @classmethod
    def unpack(cls, value: bytes) -> Target:
        """The inverse of `pack`.

        Raises:
            BundleError: not as long as a target is.
        """
        if len(value) != TARGET.size:
            raise BundleError(f"the image's target has {len(value)} bytes, not {TARGET.size}")
        profile_class, kernel_class, abi_version, isa_features = TARGET.unpack(value)
        return cls(kernel_class, isa_features, abi_version, profile_class)

    @classmethod
    def firmware(cls, kernel_class: int, profile_id: str) -> Target:
        """What firmware is made for: one board.

        Args:
            kernel_class: of its core.
            profile_id: of the board.
        """
        board = profile_crc32(profile_id)
        return cls(kernel_class, board, SERVICES_VERSION, PROFILE_CLASS_FIRMWARE)


@dataclass(frozen=True)
class Image:
    """A parsed image, its hash verified.

    Args:
        version: what the header states.
        payload: the module.
        sha256: hash over header, payload and protected TLVs; devices name an image by it.
        protected: type -> value of the protected TLVs.
        unprotected: type -> value of the others, the hash among them.
    """

    version: Version
    payload: bytes
    sha256: bytes
    protected: Mapping[int, bytes]
    unprotected: Mapping[int, bytes]

    @property
    def target(self) -> Target:
        """What the image is made for.

        Raises:
            BundleError: the image does not say.
        """
        if TLV_TARGET not in self.protected:
            raise BundleError("the image does not say what core it is made for (no TLV 0x00A0)")
        return Target.unpack(self.protected[TLV_TARGET])

    @property
    def security_counter(self) -> int:
        """Devices refuse the image once they have served one with a higher counter.

        Raises:
            BundleError: the image does not say.
        """
        value = self.protected.get(TLV_SECURITY_COUNTER, b"")
        if len(value) != COUNTER.size:
            raise BundleError("the image states no security counter (TLV 0x50)")
        counter: int = COUNTER.unpack(value)[0]
        return counter

    @property
    def key_hash(self) -> bytes:
        """Hash of the signer's public key, 32 bytes.

        Raises:
            SignatureError: the image is not signed.
        """
        key_hash = self.unprotected.get(TLV_KEY_HASH, b"")
        is_signed = len(self.unprotected.get(TLV_ED25519, b"")) == SIGNATURE_BYTES
        if len(key_hash) != KEY_HASH_BYTES or not is_signed:
            raise SignatureError(
                "the image is not signed with Ed25519", hint="export the model again"
            )
        return key_hash

    def verify(self, trusted: Iterable[PublicKey]) -> PublicKey:
        """The key that signed this image, its signature verified.

        Args:
            trusted: keys, one of which must have signed.

        Raises:
            SignatureError: not signed, by another key, or the signature is wrong.
            MissingToolError: the package `cryptography` is not installed.
        """
        keys = {key.key_hash: key for key in trusted}
        key = keys.get(self.key_hash)
        if key is None:
            known = ", ".join(map(short_hash, keys)) or "none"
            raise SignatureError(
                f"the image is signed by the key {short_hash(self.key_hash)}; trusted: {known}",
                hint="sign it by one of these, or trust its key too",
            )
        if not key.is_signed(self.sha256, self.unprotected[TLV_ED25519]):
            raise SignatureError(
                f"the image's signature is not that of the key {short_hash(self.key_hash)}",
                hint="fetch the image again, or export the model again",
            )
        return key


def make_image(
    payload: bytes,
    *,
    version: Version,
    signing_key: SigningKey | None,
    security_counter: int = 0,
    target: Target | None = None,
    header_bytes: int = HEADER_BYTES,
    load_address: int | None = None,
) -> bytes:
    """Wrap a native module, or firmware, as an image.

    Args:
        payload: the module; its code runs from where the image lies.
        version: goes into the header.
        signing_key: who vouches for it; None leaves it unsigned, and devices refuse it.
        security_counter: 0..2**32 - 1; devices refuse an image with a lower one than they reached.
        target: what the image is made for; None takes it from the module's own header.
        header_bytes: size of the header with its padding, 32..65520, a multiple of 16.
        load_address: where the image must lie; None: anywhere.

    Raises:
        BundleError: the payload is no module and no target was given.
        ValueError: a header size or counter out of range.
    """
    if header_bytes not in range(HEADER_BYTES, MAX_HEADER_BYTES + 1, ALIGNMENT):
        raise ValueError(
            f"an image's header has {HEADER_BYTES} to {MAX_HEADER_BYTES} bytes, a multiple of "
            f"{ALIGNMENT}, not {header_bytes}"
        )
    if not 0 <= security_counter <= MAX_COUNTER:
        raise ValueError(f"a security counter is 0 to {MAX_COUNTER}, not {security_counter}")
    if target is None:
        module = parse_module(payload)
        target = Target(int(module.kernel_class), int(module.isa), module.abi_version)
    protected = _tlv_area(
        TLV_PROTECTED_INFO_MAGIC,
        {TLV_SECURITY_COUNTER: COUNTER.pack(security_counter), TLV_TARGET: target.pack()},
    )
    header = HEADER.pack(
        MAGIC,
        load_address or 0,
        header_bytes,
        len(protected),
        len(payload),
        0 if load_address is None else FLAG_ROM_FIXED,
        version.major,
        version.minor,
        version.revision,
        version.build,
    )
    signed = header.ljust(header_bytes, b"\0") + payload + protected
    digest = hashlib.sha256(signed).digest()
    entries = {TLV_SHA256: digest}
    if signing_key is not None:
        entries[TLV_KEY_HASH] = signing_key.public.key_hash
        entries[TLV_ED25519] = signing_key.sign(digest)
    return signed + _tlv_area(TLV_INFO_MAGIC, entries)


def _tlv_area(magic: int, entries: Mapping[int, bytes]) -> bytes:
    body = b"".join(TLV_ENTRY.pack(kind, len(value)) + value for kind, value in entries.items())
    return TLV_INFO.pack(magic, TLV_INFO.size + len(body)) + body


def parse_image(content: bytes) -> Image:
    """Read an image and verify its hash; `Image.verify` verifies its signature.

    Args:
        content: the whole image, nothing behind it.

    Raises:
        BundleError: not an image, truncated, malformed or altered.
    """
    if len(content) < HEADER_BYTES:
        raise BundleError(f"not an image: {len(content)} bytes, a header has {HEADER_BYTES}")
    magic, _, header_bytes, protected_bytes, payload_bytes, _, *version = HEADER.unpack_from(
        content
    )
    if magic != MAGIC:
        raise BundleError(f"not an image: magic {magic:#010x}, MCUboot's is {MAGIC:#010x}")
    protected_at = header_bytes + payload_bytes
    if header_bytes < HEADER_BYTES or protected_at > len(content):
        raise BundleError(
            f"the image states a header of {header_bytes} and a payload of {payload_bytes} bytes; "
            f"it has {len(content)} in all"
        )
    protected: dict[int, bytes] = {}
    hashed_bytes = protected_at
    if protected_bytes:
        protected, hashed_bytes = _read_tlvs(content, protected_at, TLV_PROTECTED_INFO_MAGIC)
    if hashed_bytes - protected_at != protected_bytes:
        raise BundleError(
            f"the image's protected TLVs have {hashed_bytes - protected_at} bytes, "
            f"its header says {protected_bytes}"
        )
    unprotected, end = _read_tlvs(content, hashed_bytes, TLV_INFO_MAGIC)
    if end != len(content):
        raise BundleError(f"{len(content) - end} bytes lie behind the image's end")
    digest = hashlib.sha256(content[:hashed_bytes]).digest()
    if unprotected.get(TLV_SHA256) != digest:
        raise BundleError(
            "the image's SHA-256 is not the one that it states", hint="export the model again"
        )
    payload = content[header_bytes:protected_at]
    return Image(Version(*version), payload, digest, protected, unprotected)


def _read_tlvs(content: bytes, offset: int, expected_magic: int) -> tuple[dict[int, bytes], int]:
    """Entries of a TLV area, and where it ends."""
    area = f"TLV area at byte {offset}"
    if offset + TLV_INFO.size > len(content):
        raise BundleError(f"the image ends before its {area}")
    magic, area_bytes = TLV_INFO.unpack_from(content, offset)
    end = offset + area_bytes
    if magic != expected_magic or area_bytes < TLV_INFO.size or end > len(content):
        raise BundleError(
            f"the image's {area} has magic {magic:#06x} and {area_bytes} bytes; expected "
            f"{expected_magic:#06x} and at most {len(content) - offset}"
        )
    entries: dict[int, bytes] = {}
    at = offset + TLV_INFO.size
    while at < end:
        value_at = at + TLV_ENTRY.size
        kind, value_bytes = TLV_ENTRY.unpack_from(content, at) if value_at <= end else (0, end)
        if value_at + value_bytes > end or kind in entries:
            raise BundleError(f"entry {kind:#06x} in the image's {area} is cut off or repeated")
        entries[kind] = content[value_at : value_at + value_bytes]
        at = value_at + value_bytes
    return entries, end
