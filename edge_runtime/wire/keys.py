"""Ed25519 keys: who may make images for a device.

An image names its signer by a hash of the public key, as imgtool does: SHA-256 over the key in DER,
SubjectPublicKeyInfo (RFC 8410). The cryptography is that of the package `cryptography`.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from jouleloop.errors import KeyFileError
from jouleloop.programs import require_package

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

KEY_BYTES = 32
SIGNATURE_BYTES = 64
KEY_HASH_BYTES = 32
# SubjectPublicKeyInfo of an Ed25519 key up to the key itself (RFC 8410, section 4).
DER_PREFIX = bytes.fromhex("302a300506032b6570032100")
# Enough to tell keys apart in a sentence.
SHORT_HASH_DIGITS = 16


@dataclass(frozen=True)
class PublicKey:
    """The half of a key that devices hold.

    Args:
        raw: the key, 32 bytes.
    """

    raw: bytes

    @property
    def key_hash(self) -> bytes:
        """By which an image names its signer, 32 bytes."""
        return hashlib.sha256(DER_PREFIX + self.raw).digest()

    @property
    def pem(self) -> bytes:
        """The key as a PEM file, which `imgtool verify -k` takes."""
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

        return Ed25519PublicKey.from_public_bytes(self.raw).public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )

    @classmethod
    def from_pem(cls, content: bytes, where: str) -> PublicKey:
        """Read a public key.

        Args:
            content: a PEM file.
            where: what to call it in an error.

        Raises:
            KeyFileError: not a public Ed25519 key.
            MissingToolError: the package `cryptography` is not installed.
        """
        require_package("cryptography")
        from cryptography.exceptions import UnsupportedAlgorithm
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

        try:
            key = serialization.load_pem_public_key(content)
        except (ValueError, UnsupportedAlgorithm) as error:
            raise KeyFileError(
                f"{where} is no public key in PEM",
                hint="`jouleloop keys show` prints one that is",
            ) from error
        if not isinstance(key, Ed25519PublicKey):
            raise KeyFileError(f"{where} is a public key of another kind than Ed25519")
        return cls(key.public_bytes_raw())

    def is_signed(self, digest: bytes, signature: bytes) -> bool:
        """Whether a signature is this key's over a digest.

        Raises:
            MissingToolError: the package `cryptography` is not installed.
        """
        require_package("cryptography")
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

        try:
            Ed25519PublicKey.from_public_bytes(self.raw).verify(signature, digest)
        except InvalidSignature:
            return False
        return True


@dataclass(frozen=True, repr=False)
class SigningKey:
    """A private key; nothing prints it.

    Args:
        private: the key, as `cryptography` holds it.
    """

    private: Ed25519PrivateKey

    def __repr__(self) -> str:
        return f"SigningKey({short_hash(self.public.key_hash)})"

    @classmethod
    def new(cls) -> SigningKey:
        """A new key, from the system's randomness.

        Raises:
            MissingToolError: the package `cryptography` is not installed.
        """
        require_package("cryptography")
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        return cls(Ed25519PrivateKey.generate())

    @classmethod
    def from_pem(cls, content: bytes, where: str) -> SigningKey:
        """Read a private key.

        Args:
            content: a PEM file, PKCS #8 without a password, as imgtool and openssl write it.
            where: what to call it in an error.

        Raises:
            KeyFileError: not a private Ed25519 key, or one with a password.
            MissingToolError: the package `cryptography` is not installed.
        """
        require_package("cryptography")
        from cryptography.exceptions import UnsupportedAlgorithm
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        try:
            key = serialization.load_pem_private_key(content, password=None)
        except TypeError as error:
            raise KeyFileError(
                f"the key {where} has a password",
                hint="jouleloop asks for none; protect the file by its mode and its disk",
            ) from error
        except (ValueError, UnsupportedAlgorithm) as error:
            raise KeyFileError(
                f"{where} is no private key in PEM", hint="`jouleloop keys new` makes one"
            ) from error
        if not isinstance(key, Ed25519PrivateKey):
            raise KeyFileError(
                f"{where} is a private key of another kind than Ed25519",
                hint="`jouleloop keys new` makes one of the right kind",
            )
        return cls(key)

    @property
    def pem(self) -> bytes:
        """The key as a PEM file (PKCS #8, no password); keep it from others."""
        from cryptography.hazmat.primitives import serialization

        return self.private.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )

    @property
    def public(self) -> PublicKey:
        """The other half."""
        return PublicKey(self.private.public_key().public_bytes_raw())

    def sign(self, digest: bytes) -> bytes:
        """The signature over a digest, 64 bytes."""
        return self.private.sign(digest)


def short_hash(key_hash: bytes) -> str:
    """A key's hash as sentences write it: the first 16 of its 64 digits.

    >>> short_hash(bytes(32))
    '0000000000000000…'
    """
    return key_hash.hex()[:SHORT_HASH_DIGITS] + "…"
