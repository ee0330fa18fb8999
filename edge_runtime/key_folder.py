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


def read_public_key(path: Path) -> PublicKey:
    """Read a public key.

    Raises:
        KeyFileError: missing, or no public Ed25519 key.
        MissingToolError: the package `cryptography` is not installed.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MAX_KEY_FILE_BYTES)
    except OSError as error:
        raise KeyFileError(f"cannot read the public key {path}: {error.strerror}") from error
    return PublicKey.from_pem(content, str(path))


def write_signing_key(path: Path, key: SigningKey) -> None:
    """Write a private key for its owner alone; the file is there whole, or not at all.

    Raises:
        KeyFileError: there is a file already, or it cannot be written.
    """
    if path.is_dir():
        raise KeyFileError(
            f"cannot write the signing key {path}: it is a folder",
            hint="name a file, for example key.pem",
        )
    partial = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE_MODE)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(key.pem)
                file.flush()
                os.fsync(file.fileno())
            # A link, unlike a rename, never takes the place of a key that is there.
            path.hardlink_to(partial)
        finally:
            partial.unlink()
    except FileExistsError as error:
        raise KeyFileError(
            f"there is a file {path} already; a key is never overwritten",
            hint="name another file",
        ) from error
    except OSError as error:
        raise KeyFileError(f"cannot write the signing key {path}: {error.strerror}") from error


@dataclass(frozen=True)
class KeyFolder:
    """Signing keys in the order of their making.

    Every method raises `KeyFileError` where a key cannot be used, and `MissingToolError` where the
    package `cryptography` is not installed.

    Args:
        path: the folder; made with the first key.
    """

    path: Path

    def files(self) -> tuple[Path, ...]:
        """The files of all keys, oldest first."""
        if not self.path.is_dir():
            return ()
        found = {int(m[1]): file for file in self.path.iterdir() if (m := _numbered(file))}
        return tuple(found[number] for number in sorted(found))

    def signing_file(self) -> Path:
        """The file of the key that signs.

        Raises:
            KeyFileError: there is none yet.
        """
        files = self.files()
        if not files:
            raise KeyFileError(
                f"there is no signing key in {self.path}", hint="make one: jouleloop keys new"
            )
        return files[-1]

    def current(self) -> SigningKey:
        """The key that signs; the first call of all makes it."""
        files = self.files()
        return read_signing_key(files[-1]) if files else self._first()

    def trusted(self) -> tuple[PublicKey, ...]:
        """Keys that new firmware trusts: the current one, and the one before it."""
        self.current()
        return tuple(read_signing_key(file).public for file in reversed(self.files()[-2:]))

    def new(self) -> Path:
        """Make the first key; returns its file.

        Raises:
            KeyFileError: there is a key already.
        """
        files = self.files()
        if files:
            raise KeyFileError(
                f"there is a signing key already: {files[-1]}",
                hint="`jouleloop keys rotate` makes the next one; --out FILE one elsewhere",
            )
        return self._add(1)

    def rotate(self) -> Path:
        """Make the key that signs from now on; returns its file.

        Raises:
            KeyFileError: there is no key yet, or the one that signs cannot be used: firmware that
                trusts the next key trusts this one too, so nothing is made before it is mended.
        """
        last = self.signing_file()
        read_signing_key(last)
        return self._add(_number(last) + 1)

    def _first(self) -> SigningKey:
        try:
            return read_signing_key(self._add(1))
        except KeyFileError:
            # Another process may have been first.
            if files := self.files():
                return read_signing_key(files[-1])
            raise

    def _add(self, number: int) -> Path:
        try:
            self.path.mkdir(parents=True, exist_ok=True, mode=FOLDER_MODE)
        except OSError as error:
            raise KeyFileError(
                f"cannot make the key folder {self.path}: {error.strerror}",
                hint="XDG_CONFIG_HOME names another place for it, ~/.config by default",
            ) from error
        file = self.path / f"key-{number}.pem"
        write_signing_key(file, SigningKey.new())
        return file


def _numbered(file: Path) -> re.Match[str] | None:
    return KEY_FILE.fullmatch(file.name)


def _number(file: Path) -> int:
    match = _numbered(file)
    if match is None:
        raise ValueError(f"{file} is not a key of the folder")
    return int(match[1])


def key_folder() -> KeyFolder:
    """The user's own."""
    return KeyFolder(default_folder())
