"""Building the firmware: cached by content, safe when two build at once, clear when it fails."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import device_profiles
from edge_runtime.firmware import build
from edge_runtime.firmware.build import build_firmware
from edge_runtime.firmware.flat import flatten
from edge_runtime.key_folder import key_folder
from edge_runtime.wire.image import PROFILE_CLASS_FIRMWARE, Version, parse_image
from jouleloop.elf import Elf
from jouleloop.errors import InputError, MachineError, MissingToolError

pytestmark = pytest.mark.qemu

BOARD = device_profiles.load("mps2-an386")


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    # The compiler keeps its own cache, or it would build its run-time library for every test.
    compiler_cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "zig"
    monkeypatch.setenv("ZIG_GLOBAL_CACHE_DIR", str(compiler_cache))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache/jouleloop/firmware"


@pytest.fixture
def sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the sources that a test may change."""
    copy = tmp_path / "firmware"
    shutil.copytree(build.FOLDER, copy)
    monkeypatch.setattr(build, "FOLDER", copy)
    return copy


def test_the_same_sources_are_built_once(cache: Path, sources: Path) -> None:
    built = build_firmware(BOARD)
    built_at = built.start.stat().st_mtime_ns
    assert built.folder.parent == cache
    for elf in (built.start, built.elf(0), built.elf(1)):
        assert elf.read_bytes()[:4] == b"\x7fELF"
    assert build_firmware(BOARD).start.stat().st_mtime_ns == built_at
    # Nothing but what is finished is left.
    assert [path.name for path in cache.iterdir()] == [built.folder.name]
    # Another source is another firmware; comments count, for lines are in the debug information.
    ledger = sources / "src/ledger.c"
    ledger.write_text(ledger.read_text() + "/* more */\n")
    assert build_firmware(BOARD) != built
    assert built.start.is_file()


def test_firmware_is_signed_and_linked_for_its_slot(cache: Path) -> None:
    built = build_firmware(BOARD, version=Version(3, 1, 4), security_counter=7)
    images = [parse_image(built.image(slot)) for slot in (0, 1)]
    for image in images:
        image.verify(key_folder().trusted())
        assert str(image.version) == "3.1.4+0"
        assert image.security_counter == 7
        assert image.target.profile_class == PROFILE_CLASS_FIRMWARE
    resets = [int.from_bytes(image.payload[4:8], "little") for image in images]
    assert [reset & ~0x1FFFFF for reset in resets] == [0x21C00000, 0x21E00000]


def test_the_parts_fit_their_budgets(cache: Path) -> None:
    """Boot loader with Ed25519 48 kB; firmware without a model 24 kB of flash, 6 kB of RAM."""
    built = build_firmware(BOARD)
    assert len(flatten(built.start.read_bytes(), 0)) <= 48 * 1024
    assert len(parse_image(built.image(0)).payload) <= 24 * 1024
    firmware = Elf(built.elf(0).read_bytes())
    assert 0 < sum(firmware.section(name).target_bytes for name in (".data", ".bss")) <= 6 * 1024


def test_where_it_is_built_does_not_matter(cache: Path, tmp_path: Path) -> None:
    here = build_firmware(BOARD).folder.name
    shutil.copytree(build.FOLDER, tmp_path / "elsewhere")
    original, build.FOLDER = build.FOLDER, tmp_path / "elsewhere"
    try:
        assert build_firmware(BOARD).folder.name == here
    finally:
        build.FOLDER = original
    assert len(list(cache.iterdir())) == 1


def test_two_builds_at_once(cache: Path) -> None:
    program = (
        "import device_profiles\n"
        "from edge_runtime.firmware.build import build_firmware\n"
        "print(build_firmware(device_profiles.load('mps2-an386')).folder)\n"
    )
    both = [
        subprocess.Popen(
            [sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, env=os.environ
        )
        for _ in range(2)
    ]
    said = {process.communicate()[0] for process in both}
    assert [process.returncode for process in both] == [0, 0]
    (elf,) = cache.iterdir()
    assert said == {f"{elf}\n"}


def test_a_build_that_fails_leaves_nothing(cache: Path, sources: Path) -> None:
    (sources / "src/ledger.c").write_text("int jl_broken(void) { return 1.5; }\n")
    with pytest.raises(MachineError, match=r"ledger\.c"):
        build_firmware(BOARD)
    assert list(cache.iterdir()) == []


def test_what_cannot_be_built(monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    with pytest.raises(InputError, match="no firmware for rp2040") as error:
        build_firmware(device_profiles.load("rp2040"))
    assert "mps2-an386" in error.value.hint
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(MissingToolError):
        build_firmware(BOARD)
    assert not cache.exists()


@pytest.mark.parametrize("board", ["corstone-300", "mps2-an386", "stm32f405"])
def test_a_model_gets_the_ram_that_its_export_counts_on(board: str) -> None:
    profile = device_profiles.load(board)
    built = build_firmware(profile)
    # Without a boot loader the firmware itself starts.
    path = built.elf(0) if built.elf(0).is_file() else built.start
    labels = Elf(path.read_bytes()).labels
    given = labels["link_arena_end"] - labels["link_arena_start"]
    assert profile.model_ram_bytes is not None
    # Input, output and arena are aligned one behind the other; 2 KiB are room for our own data.
    assert 0 <= given - profile.model_ram_bytes - 3 * 16 < 2048


def test_every_board_has_a_profile_that_says_so() -> None:
    profiles = device_profiles.load_all().values()
    machines = {p.emulator.machine for p in profiles if p.emulator and p.emulator.has_firmware}
    assert set(build.boards()) == machines
