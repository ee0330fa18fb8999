"""`jouleloop bundle`: what is in a bundle, and its files for other tools."""

from __future__ import annotations

import json
import subprocess
import zipfile
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from edge_runtime.wire.bundle import MANIFEST, PUBLIC_KEY, Bundle, native_name, write_bundle
from edge_runtime.wire.image import Target, Version, make_image, parse_image
from jouleloop import cli
from jouleloop.errors import BundleError, JouleloopError, KeyFileError, SignatureError
from tests.edge_runtime.imgtool import IMGTOOL
from tests.edge_runtime.tiny_bundle import tiny_bundle
from tests.keys import KEY, STRANGER

if TYPE_CHECKING:
    from pathlib import Path

    from edge_runtime.wire.keys import SigningKey

pytestmark = pytest.mark.pure

BOARD = "mps2-an386"
MODULE = native_name(BOARD)


def signed_bundle(
    key: SigningKey | None = KEY, public_pem: bytes | None = KEY.public.pem
) -> Bundle:
    image = make_image(
        b"a module" * 20,
        version=Version(1, 2, 3),
        target=Target(2, 7),
        signing_key=key,
        security_counter=5,
    )
    files = {**tiny_bundle().files, MODULE: image}
    if public_pem is not None:
        files[PUBLIC_KEY] = public_pem
    return tiny_bundle(BOARD, files=files)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.jlb"
    write_bundle(signed_bundle(), path)
    return path


def run(*arguments: str | Path) -> str:
    done = CliRunner().invoke(cli.app, ["bundle", *map(str, arguments)], catch_exceptions=False)
    assert done.exit_code == 0
    return done.stdout


def refusal(*arguments: str | Path) -> JouleloopError:
    done = CliRunner().invoke(cli.app, ["bundle", *map(str, arguments)])
    assert isinstance(done.exception, JouleloopError)
    assert done.stdout == ""
    return done.exception


def imgtool_verifies(key: Path, image: Path) -> bool:
    done = subprocess.run([IMGTOOL, "verify", "-k", key, image], check=False, capture_output=True)
    return done.returncode == 0


def test_imgtool_verifies_what_is_extracted(path: Path, tmp_path: Path) -> None:
    folder = tmp_path / "new" / "files"
    told = json.loads(run("extract", path, folder, "--json"))
    assert told["folder"] == str(folder)
    bundle = signed_bundle()
    assert told["files"] == sorted([MANIFEST, *bundle.files])
    assert {file.name for file in folder.iterdir()} == set(told["files"])
    for name, content in bundle.files.items():
        assert (folder / name).read_bytes() == content
    assert json.loads((folder / MANIFEST).read_bytes())["name"] == "tiny"

    assert imgtool_verifies(folder / PUBLIC_KEY, folder / MODULE)
    other = tmp_path / "other.pem"
    other.write_bytes(STRANGER.public.pem)
    assert not imgtool_verifies(other, folder / MODULE)
    altered = bytearray((folder / MODULE).read_bytes())
    altered[60] ^= 1
    (folder / MODULE).write_bytes(altered)
    assert not imgtool_verifies(folder / PUBLIC_KEY, folder / MODULE)


def test_no_private_key_is_in_a_bundle(path: Path, tmp_path: Path) -> None:
    run("extract", path, tmp_path / "files")
    for file in (tmp_path / "files").iterdir():
        assert b"PRIVATE" not in file.read_bytes()


def test_extracted_files_do_not_replace_others_unasked(path: Path, tmp_path: Path) -> None:
    folder = tmp_path / "files"
    folder.mkdir()
    (folder / "mine.txt").write_text("mine")
    (folder / PUBLIC_KEY).write_text("mine too")
    refused = refusal("extract", path, folder)
    assert f"already: {PUBLIC_KEY}" in refused.message
    assert "--force" in refused.hint
    # Refused before anything was written.
    assert {file.name for file in folder.iterdir()} == {"mine.txt", PUBLIC_KEY}
    run("extract", path, folder, "--force")
    assert (folder / PUBLIC_KEY).read_bytes() == KEY.public.pem
    assert (folder / "mine.txt").read_text() == "mine"


def test_a_link_in_the_folder_is_not_followed(path: Path, tmp_path: Path) -> None:
    folder, outside = tmp_path / "files", tmp_path / "outside.txt"
    folder.mkdir()
    outside.write_text("mine")
    (folder / MODULE).symlink_to(outside)
    (folder / PUBLIC_KEY).symlink_to(tmp_path / "nowhere")
    assert PUBLIC_KEY in refusal("extract", path, folder).message
    run("extract", path, folder, "--force")
    assert outside.read_text() == "mine"
    assert not (tmp_path / "nowhere").exists()
    assert parse_image((folder / MODULE).read_bytes()).verify([KEY.public]) == KEY.public


@pytest.mark.parametrize(
    "name",
    ["../escaped", "/tmp/escaped", "a/b", "..", ".", "", ".hidden", "a\\b", "C:x", "a\nb", "é"],  # noqa: S108 - a name in a hostile archive
)
def test_no_file_of_a_bundle_leaves_the_folder(path: Path, tmp_path: Path, name: str) -> None:
    with zipfile.ZipFile(path) as archive:
        manifest = json.loads(archive.read(MANIFEST))
    manifest["files"][name] = {"bytes": 4, "sha256": "0" * 64}
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(MANIFEST, json.dumps(manifest))
        archive.writestr(name or "empty", b"evil")
    refused = refusal("extract", path, tmp_path / "deep" / "files")
    assert isinstance(refused, BundleError)
    assert "plain names" in refused.message
    assert not (tmp_path / "deep").exists()


def test_show(path: Path) -> None:
    record = json.loads(run("show", path, "--json"))
    image = parse_image(signed_bundle().native)
    assert record["bundle"] == str(path)
    assert record["module"] == {
        "file": MODULE,
        "bytes": len(signed_bundle().native),
        "version": "1.2.3+0",
        "image_sha256": image.sha256.hex(),
        "security_counter": 5,
        "kernel_class": 2,
        "isa_features": 7,
        "abi_version": 1,
        "signed_by": KEY.public.key_hash.hex(),
    }
    assert set(record["files"]) == set(signed_bundle().files)
    text = run("show", path)
    for word in (KEY.public.key_hash.hex(), "mps2-an386", "model.tflite", "security counter"):
        assert word in text
    assert "…" not in text


def test_show_a_bundle_without_a_module(tmp_path: Path) -> None:
    write_bundle(tiny_bundle(), tmp_path / "pi.jlb")
    assert json.loads(run("show", tmp_path / "pi.jlb", "--json"))["module"] is None
    assert "none" in run("show", tmp_path / "pi.jlb")


@pytest.mark.parametrize(
    ("key", "public_pem", "kind", "words"),
    [
        (None, None, SignatureError, "not signed"),
        (None, KEY.public.pem, SignatureError, "not signed"),
        (KEY, None, SignatureError, "trusted: none"),
        (KEY, STRANGER.public.pem, SignatureError, "signed by the key fbbb"),
        (KEY, b"no key", KeyFileError, "public.pem in tiny is no public key"),
    ],
)
def test_a_bundle_that_nobody_vouches_for_is_not_shown(
    tmp_path: Path,
    key: SigningKey | None,
    public_pem: bytes | None,
    kind: type[JouleloopError],
    words: str,
) -> None:
    write_bundle(signed_bundle(key, public_pem), tmp_path / "bad.jlb")
    refused = refusal("show", tmp_path / "bad.jlb", "--json")
    assert isinstance(refused, kind)
    assert words in refused.message
