"""Power cuts of the emulated board: QEMU is killed at one instruction of one flash operation."""

from __future__ import annotations

import random
import shutil
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

import device_profiles
from edge_runtime.firmware.build import build_firmware
from edge_runtime.node.device_records import Decision, ImageState
from edge_runtime.node.serial_device import SerialDevice
from edge_runtime.wire.image import Version, parse_image
from hil_tests.emulator import Emulator
from hil_tests.powercut.emulated import Cut, count_operations, cut_power
from jouleloop.errors import MachineError
from tests.edge_runtime.tiny_module import TinyModule

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.qemu

BOARD = device_profiles.load("mps2-an386")
OLD, NEW, THIRD = (TinyModule().image(Version(number)) for number in (1, 2, 3))
ROW, OUTPUT = b"\1\2\3\4", b"\2\3\4\5"
SAMPLES, UPDATE_SAMPLES, SLOW_SAMPLES, SLOW_UPDATE_SAMPLES = 8, 5, 200, 100
OLD_COUNTER, NEW_COUNTER = 0, 1


def _hash(image: bytes) -> bytes:
    return parse_image(image).sha256


@dataclass
class Book:
    """What the board promised, and what may be either way as its answer never came."""

    models: set[bytes] = field(default_factory=set)
    configurations: set[int] = field(default_factory=set)
    decisions: dict[int, Decision] = field(default_factory=dict)
    acknowledged: int = 0
    acknowledging: int = 0
    boot_id: int = 0

    def use(self, device: SerialDevice) -> None:
        """All that stores something; every answer is written down."""
        self.configurations.add(3)
        device.set_report_every(3)
        self.configurations = {3, 1}
        device.set_report_every(1)
        self.configurations = {1}
        for _ in range(2):
            self.infer(device)
        self.acknowledging = max(self.decisions) - 1
        device.acknowledge(self.acknowledging)
        self.acknowledged = self.acknowledging
        self.update(device, NEW)
        self.infer(device)

    def infer(self, device: SerialDevice) -> None:
        answer = device.infer(ROW)
        assert answer.output == OUTPUT
        assert answer.sequence is not None
        (decision,) = device.outbox(answer.sequence).decisions
        self.decisions[answer.sequence] = decision

    def update(self, device: SerialDevice, image: bytes) -> None:
        if not self.models:
            self.models.add(_hash(image))  # the first is confirmed at once
        device.upload_model(image)
        self.models.add(_hash(image))
        device.confirm_model(_hash(image))
        self.models = {_hash(image)}

    def check(self, device: SerialDevice) -> None:
        """After a start: every promise is kept, and the rest works to its end."""
        boot_id = device.ledger().boot_id
        assert boot_id > self.boot_id
        model = device.active_model()
        assert model is not None
        assert model.sha256 in self.models
        assert device.report_every() in self.configurations
        self._check_outbox(device)
        self.boot_id = boot_id
        device.set_report_every(1)
        self.update(device, THIRD)
        self.infer(device)

    def _check_outbox(self, device: SerialDevice) -> None:
        outbox = device.outbox()
        known = max(self.decisions, default=0) + 1
        # One more may be stored whose answer never came.
        assert outbox.next in {known, known + 1}
        assert outbox.first in {self.acknowledged + 1, self.acknowledging + 1}
        assert outbox.dropped == 0
        sequences = [decision.sequence for decision in outbox.decisions]
        assert sequences == list(range(outbox.first, outbox.next))
        for decision in outbox.decisions:
            assert self.decisions.get(decision.sequence, decision) == decision
            assert decision.output == OUTPUT


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Book]:
    """The flash of a board that serves and has something to lose."""
    flash = tmp_path_factory.mktemp("powercut") / "flash.bin"
    book = Book()
    with Emulator(BOARD, flash) as emulator, SerialDevice(emulator.port) as device:
        book.update(device, OLD)
        book.configurations = {1}
        for _ in range(2):
            book.infer(device)
        book.boot_id = device.ledger().boot_id
    return flash, book


def _copy(prepared: tuple[Path, Book], folder: Path) -> tuple[Path, Book]:
    flash, book = prepared
    copy = Book(set(book.models), set(book.configurations), dict(book.decisions))
    copy.boot_id = book.boot_id
    shutil.copy(flash, folder / "flash.bin")
    return folder / "flash.bin", copy


@pytest.fixture(scope="module")
def operations(prepared: tuple[Path, Book], tmp_path_factory: pytest.TempPathFactory) -> list[int]:
    """Instructions of each flash operation that a use takes."""
    flash, book = _copy(prepared, tmp_path_factory.mktemp("counted"))
    return list(count_operations(BOARD, flash, book.use))


def _cuts(operations: list[int], samples: int) -> Iterator[Cut]:
    """Spread over all operations; before one, or anywhere in its middle."""
    chosen = random.Random(samples)
    for index in range(samples):
        operation = index * len(operations) // samples
        yield Cut(operation, chosen.choice([0, chosen.randrange(operations[operation])]))


def _cut_and_check(prepared: tuple[Path, Book], folder: Path, cut: Cut) -> None:
    flash, book = _copy(prepared, folder)
    cut_power(BOARD, flash, book.use, cut)
    with Emulator(BOARD, flash) as emulator, SerialDevice(emulator.port) as device:
        book.check(device)


@pytest.mark.parametrize("sample", range(SAMPLES))
def test_a_killed_board_keeps_its_promises(
    prepared: tuple[Path, Book], operations: list[int], tmp_path: Path, sample: int
) -> None:
    _cut_and_check(prepared, tmp_path, list(_cuts(operations, SAMPLES))[sample])


@pytest.mark.slow
def test_a_killed_board_keeps_its_promises_at_many_points(
    prepared: tuple[Path, Book], operations: list[int], tmp_path: Path
) -> None:
    for cut in _cuts(operations, SLOW_SAMPLES):
        _cut_and_check(prepared, tmp_path, cut)


@dataclass
class FirmwareBook:
    """As `Book`, of an update of the board's firmware."""

    old: bytes
    new: bytes
    is_confirming: bool = False
    is_confirmed: bool = False

    def use(self, device: SerialDevice) -> None:
        """Upload, trial, confirmation."""
        device.upload_firmware(self.new)
        device.try_image(_hash(self.new))
        device.reset()
        device.wait_until_up()
        assert _running(device).sha256 == _hash(self.new)
        assert device.rollback().is_on_trial
        assert device.trust().firmware_counter == OLD_COUNTER
        self.is_confirming = True
        device.confirm_firmware()
        self.is_confirmed = True

    def check(self, device: SerialDevice) -> None:
        """Old or new; the counter is that of what is confirmed; the update works to its end."""
        running = _running(device)
        assert running.sha256 in {_hash(self.old), _hash(self.new)}
        if self.is_confirmed:
            assert running.sha256 == _hash(self.new)
        is_new = running.sha256 == _hash(self.new) and running.is_confirmed
        assert not is_new or self.is_confirming
        assert device.trust().firmware_counter == (NEW_COUNTER if is_new else OLD_COUNTER)
        if not is_new:
            if device.rollback().is_on_trial:
                device.reset()
                device.wait_until_up()
                assert _running(device).sha256 == _hash(self.old)
            self.use(device)
        device.reset()
        device.wait_until_up()
        assert _running(device).sha256 == _hash(self.new)
        assert device.trust().firmware_counter == NEW_COUNTER


def _running(device: SerialDevice) -> ImageState:
    (running,) = (state for state in device.firmware() if state.is_active)
    return running


@pytest.fixture(scope="module")
def firmware(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, FirmwareBook, list[int]]:
    """The flash of a board with the old firmware, and what an update of it takes."""
    old = build_firmware(BOARD).image(0)
    new = build_firmware(BOARD, version=Version(99), security_counter=NEW_COUNTER).image(1)
    flash = tmp_path_factory.mktemp("firmware") / "flash.bin"
    with Emulator(BOARD, flash):
        pass
    counted = flash.with_name("counted.bin")
    shutil.copy(flash, counted)
    operations = count_operations(BOARD, counted, FirmwareBook(old, new).use)
    return flash, FirmwareBook(old, new), list(operations)


def _update_cuts(operations: list[int], samples: int) -> list[Cut]:
    """Half of them in the last operations: records of the trial and of the confirmation."""
    spread = list(_cuts(operations, samples // 2))
    first = len(operations) - 6
    late = _cuts(operations[first:], samples - samples // 2)
    return spread + [Cut(first + cut.operation, cut.instruction) for cut in late]


def _cut_update(firmware: tuple[Path, FirmwareBook, list[int]], folder: Path, cut: Cut) -> None:
    flash, book, _ = firmware
    copied = folder / "flash.bin"
    shutil.copy(flash, copied)
    book = FirmwareBook(book.old, book.new)
    cut_power(BOARD, copied, book.use, cut)
    with Emulator(BOARD, copied) as emulator, SerialDevice(emulator.port) as device:
        book.check(device)


@pytest.mark.parametrize("sample", range(UPDATE_SAMPLES))
def test_a_killed_board_runs_old_or_new_firmware(
    firmware: tuple[Path, FirmwareBook, list[int]], tmp_path: Path, sample: int
) -> None:
    _cut_update(firmware, tmp_path, _update_cuts(firmware[2], UPDATE_SAMPLES)[sample])


@pytest.mark.slow
@pytest.mark.timeout(900)  # an update, and starts of two firmwares, for every cut
def test_a_killed_board_runs_old_or_new_firmware_at_many_points(
    firmware: tuple[Path, FirmwareBook, list[int]], tmp_path: Path
) -> None:
    for cut in _update_cuts(firmware[2], SLOW_UPDATE_SAMPLES):
        _cut_update(firmware, tmp_path, cut)


def test_a_start_that_is_cut_again(
    prepared: tuple[Path, Book], operations: list[int], tmp_path: Path
) -> None:
    flash, book = _copy(prepared, tmp_path)
    cut_power(BOARD, flash, book.use, Cut(len(operations) - 2, operations[-2] // 2))
    for instruction in (0, 100):
        cut_power(BOARD, flash, lambda device: None, Cut(0, instruction))
    with Emulator(BOARD, flash) as emulator, SerialDevice(emulator.port) as device:
        book.check(device)


def test_a_cut_that_never_comes_is_an_error(prepared: tuple[Path, Book], tmp_path: Path) -> None:
    flash, _ = _copy(prepared, tmp_path)
    with pytest.raises(MachineError, match="never came to instruction 7 of flash operation 1000"):
        cut_power(BOARD, flash, lambda device: None, Cut(1000, 7))
