"""Firmware updates on an emulated board: trial, confirmation, and the ways back."""

from __future__ import annotations

import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import device_profiles
from device_profiles import DeviceProfile
from edge_runtime.firmware.build import FIRMWARE_HEADER_BYTES, build_firmware
from edge_runtime.key_folder import key_folder
from edge_runtime.node import serial_device
from edge_runtime.node.serial_device import SerialDevice
from edge_runtime.wire.image import Version, make_image, parse_image
from edge_runtime.wire.smp import NodeError, ProtocolError
from fleet.flash import update_firmware
from hil_tests.emulated_flash import FIRMWARE_SLOTS
from hil_tests.emulator import Emulator
from hil_tests.profiler.symbols import read_symbols
from jouleloop.errors import DeviceRefusedError, MachineError

pytestmark = pytest.mark.qemu

BOARD = device_profiles.load("mps2-an386")
NEXT = Version(0, 9, 1)
COUNTER = 3


@pytest.fixture
def flash(tmp_path: Path) -> Path:
    return tmp_path / "flash.bin"


@pytest.fixture
def board(flash: Path) -> Iterator[Emulator]:
    with Emulator(BOARD, flash) as emulator:
        yield emulator


def _running(device: SerialDevice) -> tuple[str, bool]:
    """Version of what runs, and whether it is confirmed."""
    (state,) = (s for s in device.firmware() if s.is_active)
    return state.version, state.is_confirmed


def _next(slot: int) -> bytes:
    return build_firmware(BOARD, version=NEXT, security_counter=COUNTER).image(slot)


def test_an_update_is_confirmed_and_survives_a_power_cut(flash: Path) -> None:
    with Emulator(BOARD, flash) as board:
        updated = update_firmware(BOARD, board.port, version=NEXT, security_counter=COUNTER)
        assert (updated.slot, updated.version) == (1, "0.9.1")
        board.cut_power()
    with Emulator(BOARD, flash) as again, SerialDevice(again.port) as device:
        assert _running(device) == ("0.9.1", True)
        assert device.trust().firmware_counter == COUNTER
        assert device.rollback().firmware is None
        # What was withdrawn does not come back.
        with pytest.raises(DeviceRefusedError, match="the device has reached 3") as refused:
            device.upload_firmware(build_firmware(BOARD).image(0))
        assert refused.value.code == NodeError.COUNTER_OLDER
        assert _running(device) == ("0.9.1", True)


def test_what_is_not_confirmed_is_reverted(board: Emulator) -> None:
    image = _next(1)
    with SerialDevice(board.port) as device:
        device.upload_firmware(image)
        assert _running(device)[0] != "0.9.1"
        device.try_image(parse_image(image).sha256)
        assert [s.is_pending for s in device.firmware()] == [False, True]
        device.reset()
        assert _running(device) == ("0.9.1", False)
        assert device.rollback().is_on_trial
        # While it is on trial its way back is left alone.
        with pytest.raises(DeviceRefusedError) as refused:
            device.upload_firmware(_next(0))
        assert refused.value.code == ProtocolError.BAD_STATE
        device.reset()
        assert _running(device)[0] != "0.9.1"
        assert "not confirmed" in str(device.rollback().firmware)


# To sleep for ever hangs as well as a loop, and QEMU need not execute 8 s of it.
HANG, CRASH = b"\x30\xbf\xfd\xe7", b"\x00\xde"  # wfi, b .-2; udf #0


def _broken(profile: DeviceProfile, function: str, code: bytes) -> bytes:
    """Firmware for slot 1 that stops where this function begins; signed as the sound one is."""
    built = build_firmware(profile, version=NEXT)
    image = parse_image(built.image(1))
    (symbol,) = (s for s in read_symbols(built.elf(1)) if s.name == function)
    (address,) = struct.unpack_from("<4xI", built.image(1))
    at = symbol.address - address - FIRMWARE_HEADER_BYTES
    payload = image.payload[:at] + code + image.payload[at + len(code) :]
    return make_image(
        payload,
        version=NEXT,
        signing_key=key_folder().current(),
        security_counter=0,
        target=image.target,
        header_bytes=FIRMWARE_HEADER_BYTES,
        load_address=address,
    )


@pytest.mark.parametrize(
    ("device_id", "function", "code", "reason"),
    [
        ("mps2-an386", "jl_firmware_run", CRASH, NodeError.TRIAL_CRASHED),
        ("mps2-an386", "cortex_m_run", HANG, NodeError.TRIAL_HUNG),
        pytest.param(
            *("corstone-300", "jl_node_step", HANG, NodeError.TRIAL_HUNG), marks=pytest.mark.slow
        ),
    ],
)
def test_firmware_that_stops_in_its_trial_is_reverted(
    flash: Path,
    monkeypatch: pytest.MonkeyPatch,
    device_id: str,
    function: str,
    code: bytes,
    reason: NodeError,
) -> None:
    profile = device_profiles.load(device_id)
    image = _broken(profile, function, code)
    with Emulator(profile, flash) as board, SerialDevice(board.port) as device:
        sound, _ = _running(device)
        device.upload_firmware(image)
        device.try_image(parse_image(image).sha256)
        monkeypatch.setattr(serial_device, "START_DEADLINE_S", 30.0)
        device.reset()
        assert device.rollback().firmware == reason.explanation
        assert not device.rollback().is_on_trial
        assert _running(device) == (sound, True)


@pytest.mark.slow
def test_a_trial_that_waits_is_left_alone(flash: Path) -> None:
    """The watchdog does not mistake a sleep for a hang."""
    with Emulator(BOARD, flash) as board, SerialDevice(board.port) as device:
        device.upload_firmware(_next(1))
        device.try_image(parse_image(_next(1)).sha256)
        device.reset()
        boot_id, begin = device.ledger().boot_id, device.ledger().sleep_ticks
        time.sleep(9.0)  # longer than the watchdog's limit: that is the check
        assert device.ledger().boot_id == boot_id
        assert device.ledger().sleep_ticks - begin > 8 * device.ledger().ticks_hz
        device.confirm_firmware()
        assert _running(device) == ("0.9.1", True)


def test_broken_images_never_start(board: Emulator) -> None:
    image = bytearray(_next(1))
    image[5000] ^= 1
    with SerialDevice(board.port) as device:
        with pytest.raises(DeviceRefusedError) as refused:
            device._upload(bytes(image), 0, b"", None)
        assert refused.value.code == NodeError.HASH_MISMATCH
        with pytest.raises(DeviceRefusedError) as refused:
            device.upload_firmware(_next(0))
        assert refused.value.code == NodeError.WRONG_SLOT
        device.reset()
        assert len(device.firmware()) == 1


def test_a_corrupt_slot_falls_back_and_two_say_so(flash: Path) -> None:
    with Emulator(BOARD, flash) as board:
        update_firmware(BOARD, board.port, version=NEXT, security_counter=0)
    _spoil(flash, 1)
    with Emulator(BOARD, flash) as board, SerialDevice(board.port) as device:
        assert _running(device)[0] != "0.9.1"
        assert "SHA-256" in str(device.rollback().firmware)
    _spoil(flash, 0)
    with pytest.raises(MachineError, match="does not answer"), Emulator(BOARD, flash):
        pass


def _spoil(flash: Path, slot: int) -> None:
    with flash.open("r+b") as file:
        file.seek(FIRMWARE_SLOTS[slot] + 5000)
        file.write(bytes(64))


def test_the_stock_client_updates_firmware(board: Emulator, tmp_path: Path) -> None:
    image = tmp_path / "firmware.bin"
    image.write_bytes(_next(1))
    smpmgr = str(Path(sys.executable).with_name("smpmgr"))

    def ask(*words: str) -> str:
        command = [smpmgr, "--port", board.port, *words]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    sha256 = parse_image(image.read_bytes()).sha256.hex()
    ask("image", "upload", str(image), "--slot", "0")
    ask("image", "state-write", sha256)
    ask("os", "reset")
    with SerialDevice(board.port) as device:
        device.wait_until_up()
        assert _running(device) == ("0.9.1", False)
    ask("image", "state-write", "--confirm")
    with SerialDevice(board.port) as device:
        device.reset()
        assert _running(device) == ("0.9.1", True)
