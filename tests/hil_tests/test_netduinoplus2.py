"""The STM32F405 of the Netduino Plus 2 under QEMU: its model is put into flash, its clock fails."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

import device_profiles
from edge_runtime.node.serial_device import SerialDevice
from edge_runtime.wire.smp import Clock, Group, NodeError
from export.pipeline import ExportOptions, export_model
from fleet.flash import flash_over_smp, update_firmware
from hil_tests.board import open_serial
from hil_tests.emulator import Emulator
from hil_tests.local import open_local
from hil_tests.qemu import board_for
from jouleloop.errors import DeviceRefusedError, InputError, LinkError
from tests.keys import STRANGER

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from edge_runtime.wire.bundle import Bundle

pytestmark = pytest.mark.qemu

BOARD = device_profiles.load("stm32f405")
ROWS = 200


@pytest.fixture(scope="module")
def bundle(policy_checkpoint: Path) -> Bundle:
    return export_model(policy_checkpoint, BOARD, ExportOptions())


@pytest.fixture(scope="module")
def emulator(bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    flash = tmp_path_factory.mktemp("board") / "flash.bin"
    with Emulator(BOARD, flash, model=bundle.native) as emulator:
        before = flash.read_bytes()
        yield emulator
    assert flash.read_bytes() == before


def test_every_output_is_that_of_litert(bundle: Bundle, emulator: Emulator) -> None:
    size = sum(spec.size for spec in bundle.inputs)
    rows = np.random.default_rng(5).integers(-128, 128, (ROWS, size), np.int8)
    rows[0], rows[1] = -128, 127
    with open_serial(bundle, emulator.port) as board, open_local(bundle) as litert:
        for row in rows:
            reply = board.infer(row)
            assert np.array_equal(reply.output, litert.infer(row).output.reshape(-1))
            # It says itself that it is emulated: instructions, and no seconds.
            assert reply.seconds is None
            assert 1000 < (reply.instructions or 0) < 5000


def test_it_waits_for_its_crystal_in_vain_and_says_so(emulator: Emulator) -> None:
    with SerialDevice(emulator.port) as device:
        board = device.board()
        assert board.clock is Clock.UNCONTROLLED
        assert board.clock_hz == BOARD.figure("clock_hz").value == device.ledger().ticks_hz
        assert board.is_read_only


def test_updates_are_refused_with_the_next_step(bundle: Bundle, emulator: Emulator) -> None:
    with pytest.raises(DeviceRefusedError, match="does not write its flash") as refused:
        flash_over_smp(bundle, emulator.port)
    assert (refused.value.group, refused.value.code) == (Group.NODE, NodeError.FLASH_READ_ONLY)
    assert "--model" in refused.value.hint
    for device_id in ("stm32f405", "mps2-an386"):  # the second is another board's firmware
        with pytest.raises(InputError, match="no boot loader") as error:
            update_firmware(device_profiles.load(device_id), emulator.port)
        assert "debug probe" in error.value.hint
    with SerialDevice(emulator.port) as device:
        assert device.active_model() is not None


def test_another_model_than_it_serves_is_refused(policy_bundle: Bundle, emulator: Emulator) -> None:
    with (
        pytest.raises(DeviceRefusedError, match="does not write its flash"),
        open_serial(policy_bundle, emulator.port),
    ):
        pass


def test_a_model_that_it_may_not_run_is_named(policy_checkpoint: Path, tmp_path: Path) -> None:
    model = export_model(policy_checkpoint, BOARD, ExportOptions(signing_key=STRANGER)).native
    with (
        pytest.raises(LinkError, match=r"into its flash: .* key that the device does not trust"),
        Emulator(BOARD, tmp_path / "flash.bin", model=model),
    ):
        pass
    with (
        pytest.raises(InputError, match="917504 for it"),
        Emulator(BOARD, tmp_path / "flash.bin", model=bytes(2**20)),
    ):
        pass


def test_its_bundles_run_on_it_and_others_where_they_did(
    bundle: Bundle, policy_bundle: Bundle
) -> None:
    assert board_for(bundle, None) is BOARD
    assert board_for(policy_bundle, None).id == "mps2-an386"
