"""The key folder: this user's signing keys, which exports are signed by and boards trust.

    key-1.pem  key-2.pem  …     private keys in the order of their making; the last one signs

A rotation only adds a file, so that nothing is lost when it is cut short. Firmware trusts the last
key and the one before it: a fleet can be moved from one to the other (docs/security.md).
"""

from __future__ import annotations

import os
import re
import secrets
import stat
from dataclasses import dataclass
from pathlib import Path

from edge_runtime.wire.keys import PublicKey, SigningKey
from jouleloop.errors import KeyFileError

KEY_FILE = re.compile(r"key-([1-9][0-9]*)\.pem")
PRIVATE_MODE = 0o600
FOLDER_MODE = 0o700
# A PEM file of an Ed25519 key has 119 bytes.
MAX_KEY_FILE_BYTES = 65536


def default_folder() -> Path:
    """`jouleloop/keys` in the user's configuration, by the XDG Base Directory rule."""
    # The rule says that a relative path in the variable is to be ignored.
    given = Path(os.environ.get("XDG_CONFIG_HOME", ""))
    return (given if given.is_absolute() else Path.home() / ".config") / "jouleloop" / "keys"


def read_signing_key(path: Path) -> SigningKey:
    """Read a private key that only its owner can read.

    Raises:
        KeyFileError: missing, open to others, or no private Ed25519 key.
        MissingToolError: the package `cryptography` is not installed.
    """
    try:
        with path.open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            content = file.read(MAX_KEY_FILE_BYTES)
    except FileNotFoundError as error:
        raise KeyFileError(
            f"no signing key at {path}", hint=f"make one: jouleloop keys new --out {path}"
        ) from error
    except OSError as error:
        raise KeyFileError(f"cannot read the signing key {path}: {error.strerror}") from error
    if mode & 0o077:
        raise KeyFileError(
            f"others can read the signing key {path}: its mode is {mode:04o}, not "
            f"{PRIVATE_MODE:04o}",
            hint=f"chmod 600 {path}, and replace the key (jouleloop keys rotate) if anybody may "
            "have read it",
        )
    return SigningKey.from_pem(content, str(path))


def write_signing_key(path: Path, key: SigningKey) -> None:
    """Write a private key for its owner alone; the file is there whole, or not at all.

    Raises:
        KeyFileError: there is a file already, or it cannot be written.
    """
    partial = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE_MODE)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(key.pem)
                file.flush()
                os.fsync(file.fileno())
            # A link, unlike a rename, never takes the place of a key that is there.
            partial.hardlink_to(path) if False else os.link(partial, path)
        finally:
            partial.unlink()
    except FileExistsError as error:
        raise KeyFileError(
            f"there is a file {path} already; a key is never overwritten",
            hint="name another file",
        ) from error
    except OSError as error:
        raise KeyFileError(f"cannot write the signing key {path}: {error.strerror}") from error
