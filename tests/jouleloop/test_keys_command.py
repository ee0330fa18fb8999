"""`jouleloop keys`, as somebody at a terminal meets it."""

from __future__ import annotations

import json
import stat
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from edge_runtime.key_folder import read_signing_key
from edge_runtime.wire.keys import PublicKey
from jouleloop import cli
from jouleloop.errors import KeyFileError

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.pure


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user without keys."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return tmp_path / "config" / "jouleloop" / "keys"


def run(*arguments: str) -> str:
    done = CliRunner().invoke(cli.app, ["keys", *arguments], catch_exceptions=False)
    assert done.exit_code == 0
    return done.stdout


def refusal(*arguments: str) -> KeyFileError:
    done = CliRunner().invoke(cli.app, ["keys", *arguments])
    assert isinstance(done.exception, KeyFileError)
    assert done.stdout == ""
    return done.exception


def test_new_show_and_rotate(folder: Path) -> None:
    made = json.loads(run("new", "--json"))
    assert made["file"] == str(folder / "key-1.pem")
    assert stat.S_IMODE((folder / "key-1.pem").stat().st_mode) == 0o600
    assert json.loads(run("show", "--json")) == made
    assert made["trusted"] == [made["key_hash"]]
    public = PublicKey.from_pem(made["public_key"].encode(), "the answer")
    assert public.key_hash.hex() == made["key_hash"]
    assert public == read_signing_key(folder / "key-1.pem").public

    rotated = json.loads(run("rotate", "--json"))
    assert rotated["trusted"] == [rotated["key_hash"], made["key_hash"]]
    again = json.loads(run("rotate", "--json"))
    assert again["trusted"] == [again["key_hash"], rotated["key_hash"]]
    old = json.loads(run("show", str(folder / "key-1.pem"), "--json"))
    assert (old["key_hash"], old["is_trusted"]) == (made["key_hash"], False)


def test_people_are_told_hash_and_place_but_no_secret(folder: Path) -> None:
    for text in (run("new"), run("show"), run("rotate")):
        assert "-----BEGIN PUBLIC KEY-----" in text
        assert "PRIVATE" not in text
    assert f"private key: {folder / 'key-2.pem'}" in text
    key_hash = read_signing_key(folder / "key-2.pem").public.key_hash.hex()
    assert f"key hash: {key_hash}" in text
    assert "firmware built here trusts it: yes" in text


def test_a_key_in_a_file_of_its_own(folder: Path, tmp_path: Path) -> None:
    file = tmp_path / "release.pem"
    record = json.loads(run("new", "--out", str(file), "--json"))
    assert (record["file"], record["is_trusted"], record["trusted"]) == (str(file), False, [])
    assert not folder.exists()
    content = file.read_bytes()
    assert "never overwritten" in refusal("new", "--out", str(file)).message
    assert file.read_bytes() == content
    assert "firmware built here trusts it: no" in run("show", str(file))


def test_what_cannot_be_done_is_said(folder: Path) -> None:
    assert "make one: jouleloop keys new" in refusal("show").hint
    assert "make one: jouleloop keys new" in refusal("rotate").hint
    run("new")
    assert "jouleloop keys rotate" in refusal("new").hint
    (folder / "key-1.pem").chmod(0o644)
    assert "others can read" in refusal("show").message
