"""Keys: formats, files that only their owner reads, and the folder that only ever grows."""

from __future__ import annotations

import hashlib
import os
import stat
import subprocess
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from edge_runtime.key_folder import (
    KeyFolder,
    default_folder,
    read_public_key,
    read_signing_key,
    write_signing_key,
)
from edge_runtime.wire.keys import PublicKey, SigningKey
from jouleloop.errors import KeyFileError
from tests.edge_runtime.imgtool import IMGTOOL
from tests.keys import KEY, OTHER_KEY

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.pure


@given(digest=st.binary(min_size=32, max_size=32), other=st.binary(min_size=32, max_size=32))
def test_a_signature_is_of_one_key_over_one_digest(digest: bytes, other: bytes) -> None:
    signature = KEY.sign(digest)
    assert KEY.public.is_signed(digest, signature)
    assert not OTHER_KEY.public.is_signed(digest, signature)
    assert KEY.public.is_signed(other, signature) == (other == digest)


def test_rfc_8032_holds() -> None:
    # Section 7.1, test 2.
    public = PublicKey(
        bytes.fromhex("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c")
    )
    signature = bytes.fromhex(
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
        "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
    )
    assert public.is_signed(b"\x72", signature)
    assert not public.is_signed(b"\x73", signature)


def test_pem_goes_both_ways(tmp_path: Path) -> None:
    key = SigningKey.new()
    assert SigningKey.from_pem(key.pem, "here").public == key.public
    assert PublicKey.from_pem(key.public.pem, "here") == key.public
    assert b"PRIVATE" not in key.public.pem
    # The hash is over the DER that stands in the PEM file.
    public = serialization.load_pem_public_key(key.public.pem)
    der = public.public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    assert key.public.key_hash == hashlib.sha256(der).digest()


def test_nothing_prints_a_private_key() -> None:
    assert repr(KEY) == "SigningKey(fbbb18bf4e65d601…)"


def test_the_stock_imgtool_makes_keys_for_us_and_reads_ours(tmp_path: Path) -> None:
    theirs, ours = tmp_path / "theirs.pem", tmp_path / "ours.pem"
    subprocess.run([IMGTOOL, "keygen", "-t", "ed25519", "-k", theirs], check=True)
    theirs.chmod(0o600)
    read_signing_key(theirs)
    write_signing_key(ours, KEY)
    told = subprocess.run(
        [IMGTOOL, "getpub", "-k", ours, "-e", "pem"], check=True, capture_output=True
    )
    assert PublicKey.from_pem(told.stdout, "there") == KEY.public


RSA = rsa.generate_private_key(65537, 2048)
PEM, PKCS8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
PLAIN = serialization.NoEncryption()
NO_KEYS = {
    "empty": (b"", "no private key in PEM"),
    "words": (b"words", "no private key in PEM"),
    "cut": (KEY.pem[:80], "no private key in PEM"),
    "public": (KEY.public.pem, "no private key in PEM"),
    "RSA": (RSA.private_bytes(PEM, PKCS8, PLAIN), "another kind than Ed25519"),
    "X25519": (
        X25519PrivateKey.generate().private_bytes(PEM, PKCS8, PLAIN),
        "another kind than Ed25519",
    ),
    "password": (
        KEY.private.private_bytes(PEM, PKCS8, serialization.BestAvailableEncryption(b"word")),
        "has a password",
    ),
}


@pytest.mark.parametrize("name", NO_KEYS)
def test_what_is_no_signing_key_is_refused(tmp_path: Path, name: str) -> None:
    content, words = NO_KEYS[name]
    path = tmp_path / "key.pem"
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(KeyFileError, match=words) as refused:
        read_signing_key(path)
    assert str(path) in refused.value.message


def test_what_is_no_public_key_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "public.pem"
    with pytest.raises(KeyFileError, match="No such file"):
        read_public_key(path)
    for content, words in (
        (b"", "no public key in PEM"),
        (KEY.pem, "no public key in PEM"),
        (
            RSA.public_key().public_bytes(PEM, serialization.PublicFormat.SubjectPublicKeyInfo),
            "another kind than Ed25519",
        ),
    ):
        path.write_bytes(content)
        with pytest.raises(KeyFileError, match=words):
            read_public_key(path)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o660, 0o610, 0o601, 0o777])
def test_a_key_that_others_can_read_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "key.pem"
    write_signing_key(path, KEY)
    path.chmod(mode)
    with pytest.raises(KeyFileError, match=f"its mode is {mode:04o}, not 0600") as refused:
        read_signing_key(path)
    assert f"chmod 600 {path}" in refused.value.hint


@pytest.mark.parametrize("mask", [0o000, 0o022, 0o077])
def test_a_key_is_its_owners_alone_whatever_the_mask(tmp_path: Path, mask: int) -> None:
    before = os.umask(mask)
    try:
        write_signing_key(tmp_path / "key.pem", KEY)
        KeyFolder(tmp_path / "config" / "keys").new()
    finally:
        os.umask(before)
    for path in (tmp_path / "key.pem", tmp_path / "config/keys/key-1.pem"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "config/keys").stat().st_mode) & 0o077 == 0
    # Nothing half written stays beside it.
    assert [path.name for path in tmp_path.iterdir()].count("key.pem") == 1
    assert len([*tmp_path.iterdir()]) == 2


def test_no_key_is_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    path.write_bytes(b"something dear")
    with pytest.raises(KeyFileError, match="never overwritten"):
        write_signing_key(path, KEY)
    assert path.read_bytes() == b"something dear"
    with pytest.raises(KeyFileError, match="No such file"):
        write_signing_key(tmp_path / "missing" / "key.pem", KEY)
    assert [*tmp_path.iterdir()] == [path]


@pytest.mark.parametrize("name", ["", "folder"])
def test_a_folder_is_no_file_for_a_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    with pytest.raises(KeyFileError, match="it is a folder"):
        write_signing_key(type(tmp_path)(name), SigningKey.new())
    assert [path.name for path in tmp_path.rglob("*")] == ["folder"]


def test_no_key_follows_one_that_cannot_be_used(tmp_path: Path) -> None:
    folder = KeyFolder(tmp_path)
    folder.new()
    broken = tmp_path / "key-2.pem"
    broken.write_bytes(b"no key")
    broken.chmod(0o600)
    with pytest.raises(KeyFileError):
        folder.rotate()
    assert folder.files()[-1] == broken


def test_missing_keys_are_missed(tmp_path: Path) -> None:
    with pytest.raises(KeyFileError, match="no signing key at") as refused:
        read_signing_key(tmp_path / "key.pem")
    assert "jouleloop keys new --out" in refused.value.hint
    with pytest.raises(KeyFileError, match="Is a directory"):
        read_signing_key(tmp_path)


def test_the_folder_signs_with_the_last_and_trusts_the_last_two(tmp_path: Path) -> None:
    folder = KeyFolder(tmp_path / "keys")
    assert folder.files() == ()
    for call in (folder.signing_file, folder.rotate):
        with pytest.raises(KeyFileError, match="no signing key in") as refused:
            call()
        assert "jouleloop keys new" in refused.value.hint
    first = read_signing_key(folder.new()).public
    assert folder.trusted() == (first,)
    with pytest.raises(KeyFileError, match="a signing key already"):
        folder.new()
    made = [first]
    for number in range(2, 12):  # key-10.pem is newer than key-9.pem
        assert folder.rotate().name == f"key-{number}.pem"
        made.append(folder.current().public)
        assert folder.trusted() == (made[-1], made[-2])
    assert len(set(made)) == 11
    # Nothing is lost by a rotation.
    assert [read_signing_key(file).public for file in folder.files()] == made


def test_strange_files_in_the_folder_do_not_matter(tmp_path: Path) -> None:
    folder = KeyFolder(tmp_path)
    folder.new()
    for name in ("key-2.pem.bak", "key-02.pem", "key-x.pem", "notes.txt", ".key-3.pem.1234"):
        (tmp_path / name).write_bytes(b"no key")
    assert [file.name for file in folder.files()] == ["key-1.pem"]


def test_the_first_key_is_made_once_by_all_who_ask_at_once(tmp_path: Path) -> None:
    folder = KeyFolder(tmp_path / "keys")
    with ThreadPoolExecutor(8) as pool:
        keys = [*pool.map(lambda _: folder.current().public, range(16))]
    assert len(set(keys)) == 1
    assert [path.name for path in folder.path.iterdir()] == ["key-1.pem"]


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(KeyFileError, match="cannot make the key folder"):
        KeyFolder(tmp_path / "file" / "keys").current()


def test_the_folder_is_where_the_system_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", "relative/is/ignored")
    assert default_folder() == tmp_path / ".config/jouleloop/keys"
    monkeypatch.delenv("XDG_CONFIG_HOME")
    assert default_folder() == tmp_path / ".config/jouleloop/keys"
    monkeypatch.setenv("XDG_CONFIG_HOME", "/elsewhere")
    assert str(default_folder()) == "/elsewhere/jouleloop/keys"
