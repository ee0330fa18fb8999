"""`jouleloop doctor` tells what is there from what is not, and what that stops."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from typer.testing import CliRunner

from jouleloop import cli, installation, programs
from jouleloop.cache import cache_folder

# The compiler that it tries is a program for this machine.
pytestmark = pytest.mark.host_c


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "jouleloop"


@pytest.fixture
def only_programs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An empty folder that is all of PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    find = shutil.which
    monkeypatch.setattr(shutil, "which", lambda name, path=None: find(name, path=folder))
    return folder


def checks() -> dict[str, installation.Check]:
    return {check.name: check for check in installation.check_installation()}


def test_everything_that_the_project_states_is_checked() -> None:
    found = checks()
    stated = {Requirement(line).name for line in metadata.requires("jouleloop") or ()}
    assert stated | set(programs.APT_PACKAGES) <= set(found)
    assert {"python", "cross compiler", "cache folder"} <= set(found)
    assert found["numpy"].version == metadata.version("numpy")
    assert found["numpy"].needed_for == "every command"
    assert found["torch"].needed_for == "train, demo, export"
    assert found["torch"].install == "pip install 'jouleloop[train]'"
    assert found["pytest"].needed_for == "make test, make lint"
    assert not found["pytest"].is_needed_by_demo


def test_a_complete_machine_is_well() -> None:
    wrong = {name: check.version for name, check in checks().items() if not check.ok}
    assert not wrong, "the set-up that runs the tests installs everything"
    result = CliRunner().invoke(cli.app, ["doctor"])
    assert result.exit_code == 0
    assert "everything is there" in result.stdout


def test_json_is_one_object() -> None:
    result = CliRunner().invoke(cli.app, ["doctor", "--json"])
    payload = json.loads(result.stdout)
    assert payload["ok"] is True
    assert {"name", "ok", "version", "needed_for", "install"} <= set(payload["checks"][0])


def test_a_missing_program_that_the_demo_needs_is_an_error(only_programs: Path) -> None:
    assert not any(only_programs.iterdir())
    result = CliRunner().invoke(cli.app, ["doctor", "--json"])
    assert result.exit_code == 1
    payload = json.loads(result.stdout)
    assert payload["ok"] is False
    mosquitto = next(check for check in payload["checks"] if check["name"] == "mosquitto")
    assert (mosquitto["ok"], mosquitto["version"]) == (False, "not installed")
    assert mosquitto["install"] == "sudo apt-get install mosquitto"
    text = CliRunner().invoke(cli.app, ["doctor"]).stdout
    assert "mosquitto: sudo apt-get install mosquitto" in text
    assert "everything is there" not in text


def test_a_missing_program_that_only_tests_need_is_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    there = {name: check for name, check in checks().items() if name != "chromium"}
    absent = installation.Check("chromium", False, "not installed", "make test", "apt")
    monkeypatch.setattr(
        installation, "check_installation", lambda _progress: (*there.values(), absent)
    )
    result = CliRunner().invoke(cli.app, ["doctor"])
    assert result.exit_code == 0
    assert "chromium: apt" in result.stdout


@pytest.mark.parametrize(
    ("script", "ok", "says"),
    [
        ("#!/bin/sh\necho QEMU emulator version 9.2.1\n", True, "9.2.1"),
        ("#!/bin/sh\necho mosquitto version 2.1; exit 1\n", True, "2.1"),
        ("#!/bin/sh\necho nothing; exit 3\n", False, "exit code 3"),
        ("#!/bin/sh\necho 'error: libpixman is missing' >&2; exit 127\n", False, "libpixman"),
        ("#!/no/such/interpreter\n", False, "No such file"),
    ],
)
def test_a_program_must_start_and_tell_its_version(
    only_programs: Path, script: str, ok: bool, says: str
) -> None:
    program = only_programs / "qemu-system-arm"
    program.write_text(script)
    program.chmod(0o755)
    check = installation.check_program("qemu-system-arm")
    assert check.ok is ok
    assert says in check.version


@pytest.mark.parametrize(
    ("line", "ok", "says"),
    [
        ("numpy>=1", True, metadata.version("numpy")),
        ("numpy>=999", False, "but numpy>=999 is needed"),
        ("no-such-package>=1", False, "not installed"),
    ],
)
def test_a_package_must_have_an_allowed_version(line: str, ok: bool, says: str) -> None:
    check = installation.check_package(Requirement(line), ("export", "hil"))
    assert check.ok is ok
    assert says in check.version
    assert check.install == "pip install 'jouleloop[export]'"
    assert check.needed_for == "export, demo, bench"


def test_an_uninstalled_jouleloop_is_itself_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> list[str]:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "requires", absent)
    assert list(map(str, installation.required_packages())) == ["jouleloop"]


def test_a_missing_wheel_stops_the_cross_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    check = installation.check_cross_compiler()
    assert (check.ok, check.version) == (False, "not installed")


def test_the_cache_folder_is_made_and_left_empty(cache: Path) -> None:
    check = installation.check_cache()
    assert (check.ok, check.version) == (True, str(cache))
    assert list(cache.iterdir()) == []


def test_a_cache_that_cannot_be_written_is_named(cache: Path) -> None:
    cache.parent.mkdir()
    cache.write_text("a file in its place")
    check = installation.check_cache()
    assert not check.ok
    assert str(cache) in check.version
    assert str(cache) in check.install


def test_a_relative_cache_home_is_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "somewhere")
    assert cache_folder() == Path.home() / ".cache" / "jouleloop"
    assert os.environ["XDG_CACHE_HOME"] == "somewhere"
