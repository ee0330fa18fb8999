"""The emulated board as a process: it ends with whoever started it, and its flash stays."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import device_profiles
from edge_runtime.firmware.build import Firmware
from edge_runtime.node.serial_device import SerialDevice
from hil_tests import emulator
from hil_tests.emulated_flash import FLASH_BYTES
from hil_tests.emulator import Emulator
from jouleloop.errors import InputError, LinkError, MachineError, MissingToolError
from tests.processes import programs_with

pytestmark = pytest.mark.qemu

BOARD = device_profiles.load("mps2-an386")
TAG = "JOULELOOP_TEST_EMULATOR"


def _running(tag: str) -> dict[int, str]:
    return programs_with(f"{TAG}={tag}", names=["qemu-system-arm"])


def _wait_until_gone(tag: str) -> None:
    deadline = time.monotonic() + 10
    while _running(tag):
        assert time.monotonic() < deadline, "QEMU outlived the process that started it"
        time.sleep(0.01)


def test_it_ends_with_the_context_and_on_errors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(TAG, "context")
    with Emulator(BOARD, tmp_path / "flash.bin") as board:
        assert Path(board.port).is_char_device()
        assert _running("context")
    assert not _running("context")
    with pytest.raises(ZeroDivisionError), Emulator(BOARD, tmp_path / "flash.bin"):
        _ = 1 / 0
    assert not _running("context")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_it_ends_with_the_process_that_started_it(tmp_path: Path, number: signal.Signals) -> None:
    program = (
        "import pathlib, sys, time, device_profiles\n"
        "from hil_tests.emulator import Emulator\n"
        "with Emulator(device_profiles.load('mps2-an386'), pathlib.Path(sys.argv[1])) as board:\n"
        "    print(board.port, flush=True)\n"
        "    board.wait()\n"
    )
    tag = str(tmp_path)
    parent = subprocess.Popen(
        [sys.executable, "-c", program, tmp_path / "flash.bin"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=os.environ | {TAG: tag},
    )
    try:
        assert parent.stdout is not None
        port = parent.stdout.readline().decode().strip()
        with SerialDevice(port) as device:
            assert device.echo("up") == "up"
        assert _running(tag)
        parent.send_signal(number)
    finally:
        if not _running(tag):
            parent.kill()
        parent.communicate(timeout=20)
    _wait_until_gone(tag)


def test_a_death_of_qemu_is_reported(tmp_path: Path) -> None:
    with Emulator(BOARD, tmp_path / "flash.bin") as board, SerialDevice(board.port) as device:
        assert device.echo("up") == "up"
        board.cut_power()
        with pytest.raises(MachineError, match=r"mps2-an386 ended .* -9"):
            board.wait()
        with pytest.raises(LinkError):
            device.echo("gone")


def test_qemu_that_does_not_start_is_quoted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    board = Emulator(BOARD, tmp_path / "flash.bin")
    incomplete = tmp_path / "incomplete"
    shutil.copytree(board.firmware.folder, incomplete)
    (incomplete / "boot.elf").unlink()
    monkeypatch.setattr(board, "firmware", Firmware(incomplete))
    with pytest.raises(MachineError, match=r"boot\.elf"), board:
        pass


def test_a_flash_file_serves_one_board(tmp_path: Path) -> None:
    flash = tmp_path / "flash, with a comma.bin"
    with Emulator(BOARD, flash):
        assert flash.stat().st_size == FLASH_BYTES
        with pytest.raises(MachineError, match="another board uses"), Emulator(BOARD, flash):
            pass
    with Emulator(BOARD, flash):
        pass


def test_a_file_that_is_no_flash_is_left_alone(tmp_path: Path) -> None:
    letter = tmp_path / "letter.txt"
    letter.write_text("dear reader")
    with pytest.raises(InputError, match="11 bytes"), Emulator(BOARD, letter):
        pass
    assert letter.read_text() == "dear reader"


def test_missing_qemu_names_its_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> str:
        raise MissingToolError(name, name, f"sudo apt-get install {name}")

    monkeypatch.setattr(emulator, "require_program", missing)
    with pytest.raises(MissingToolError) as error:
        Emulator(BOARD, tmp_path / "flash.bin")
    assert error.value.package == "qemu-system-arm"
