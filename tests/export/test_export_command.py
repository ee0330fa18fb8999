"""`jouleloop export` as people and scripts run it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import device_profiles
from edge_runtime.key_folder import read_signing_key, write_signing_key
from edge_runtime.wire.bundle import PUBLIC_KEY, TFLITE, read_bundle
from edge_runtime.wire.image import parse_image
from export.pipeline import ExportOptions, export_model
from tests.export.checkpoints import write_checkpoint
from tests.keys import STRANGER

pytestmark = pytest.mark.host_c

JOULELOOP = str(Path(sys.executable).with_name("jouleloop"))


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_checkpoint(tmp_path_factory.mktemp("checkpoint"), (12, 24, 4))


@pytest.fixture(scope="module")
def model(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same as a file, which a command reads ten times as fast: it needs no torch."""
    options = ExportOptions(native=False)
    bundle = export_model(checkpoint, device_profiles.load("raspberry-pi-5"), options)
    path = tmp_path_factory.mktemp("model") / "policy.tflite"
    path.write_bytes(bundle.file(TFLITE))
    return path


def run_export(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [JOULELOOP, "export", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_json_is_one_object_and_nothing_else(checkpoint: Path, tmp_path: Path) -> None:
    out = tmp_path / "made" / "policy.jlb"
    done = run_export(checkpoint, "--device", "mps2-an386", "--out", out, "--json")
    assert done.returncode == 0, done.stderr
    record = json.loads(done.stdout)
    assert record["bundle"] == str(out)
    assert record["cost"]["energy"]["total"]["kind"] == "modelled"
    assert sorted(record["files"]) == sorted(read_bundle(out).files)
    assert done.stderr == ""


def test_the_table_names_layers_sizes_and_where_joules_come_from(
    model: Path, tmp_path: Path
) -> None:
    done = run_export(model, "--out", tmp_path / "policy.jlb")
    assert done.returncode == 0, done.stderr
    for word in ("FULLY_CONNECTED", "weights", "arena", "stack", "modelled", "nucleo-l4r5zi"):
        assert word in done.stdout
    assert "#" * 20 in done.stdout, "the fullest layer almost fills the arena"
    assert "this module" in done.stdout


def test_optimize_memory_makes_the_smaller_arena(model: Path, tmp_path: Path) -> None:
    arenas = {}
    for mode in ("speed", "memory"):
        out = tmp_path / f"{mode}.jlb"
        done = run_export(model, "--out", out, "--optimize", mode, "--json")
        assert done.returncode == 0, done.stderr
        arenas[mode] = json.loads(done.stdout)["cost"]["ram"]["arena_bytes"]
    assert arenas["memory"] < arenas["speed"]


def test_over_budget_exits_1_with_a_table_and_leaves_no_bundle(model: Path, tmp_path: Path) -> None:
    out = tmp_path / "policy.jlb"
    done = run_export(model, "--out", out, "--budget-joules", "1e-9")
    assert done.returncode == 1
    assert done.stdout == ""
    assert "inference" in done.stderr
    assert "FULLY_CONNECTED" in done.stderr
    assert not out.exists()


def test_the_battery_options_belong_together(model: Path, tmp_path: Path) -> None:
    out = tmp_path / "policy.jlb"
    done = run_export(model, "--out", out, "--battery-joules", "10", "--days", "3")
    assert done.returncode == 2
    assert "belong together" in done.stderr
    whole = ("--battery-joules", "10", "--days", "3", "--decisions-per-day", "4")
    done = run_export(model, "--out", out, *whole, "--budget-joules", "1")
    assert done.returncode == 2


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--device", "mps2-an38"), ("mps2-an386", "no device profile")),
        (("--device", "esp32-s3", "--native"), ("esp32-s3 gets no native module", "Xtensa")),
    ],
    ids=lambda value: value[-1],
)
def test_what_cannot_be_done_exits_1_and_says_why(
    model: Path, tmp_path: Path, arguments: tuple[str, ...], words: tuple[str, ...]
) -> None:
    done = run_export(model, "--out", tmp_path / "policy.jlb", *arguments)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    for word in words:
        assert word in done.stderr


def test_a_folder_that_is_no_checkpoint_exits_1(tmp_path: Path) -> None:
    done = run_export(tmp_path, "--out", tmp_path / "policy.jlb")
    assert done.returncode == 1
    assert "is not a checkpoint: it has no program.pt2" in done.stderr


def test_an_export_signs_and_makes_the_first_key(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    folder = tmp_path / "config" / "jouleloop" / "keys"
    # A device without a native module gets nothing signed, and so no key is made.
    done = run_export(model, "--device", "raspberry-pi-5", "--out", tmp_path / "pi.jlb")
    assert done.returncode == 0, done.stderr
    assert not folder.exists()
    assert PUBLIC_KEY not in read_bundle(tmp_path / "pi.jlb").files

    first = run_export(model, "--out", tmp_path / "a.jlb", "--json")
    assert first.returncode == 0
    json.loads(first.stdout)
    assert f"made a signing key: {folder / 'key-1.pem'}" in first.stderr
    second = run_export(model, "--out", tmp_path / "b.jlb", "--json")
    assert second.stderr == ""
    assert (tmp_path / "a.jlb").read_bytes() == (tmp_path / "b.jlb").read_bytes()
    bundle = read_bundle(tmp_path / "a.jlb")
    key = read_signing_key(folder / "key-1.pem")
    assert bundle.files[PUBLIC_KEY] == key.public.pem
    image = parse_image(bundle.native)
    assert image.verify([key.public]) == key.public
    assert image.security_counter == 0


def test_an_export_by_another_key(model: Path, tmp_path: Path) -> None:
    file = tmp_path / "release.pem"
    write_signing_key(file, STRANGER)
    out = tmp_path / "policy.jlb"
    arguments = (model, "--out", out, "--key", file, "--security-counter", "4294967295")
    assert run_export(*arguments).returncode == 0
    image = parse_image(read_bundle(out).native)
    assert image.verify([STRANGER.public]) == STRANGER.public
    assert image.security_counter == 2**32 - 1

    file.chmod(0o640)
    refused = run_export(*arguments)
    assert refused.returncode == 1
    assert f"others can read the signing key {file}" in refused.stderr
    assert run_export(model, "--out", out, "--key", tmp_path / "none.pem").returncode == 1
    too_large = run_export(model, "--out", out, "--security-counter", "4294967296")
    assert too_large.returncode == 2
