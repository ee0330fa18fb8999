"""Cuts the power of an emulated board: QEMU dies at one instruction of one flash operation."""

from __future__ import annotations

import itertools
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edge_runtime.firmware.build import build_firmware
from edge_runtime.node.serial_device import SerialDevice
from hil_tests.emulator import Emulator
from hil_tests.profiler.plugin import build_plugin
from hil_tests.profiler.symbols import read_symbols
from jouleloop.errors import JouleloopError, MachineError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from device_profiles import DeviceProfile

PLUGIN = Path(__file__).with_name("cut.c")
# The port's two functions begin an operation; what the compiler left of nor.h belongs to it.
ENTRIES = ("mps2_flash_erase", "mps2_flash_program")
BODIES = ("nor_erase", "nor_program")


@dataclass(frozen=True)
class Cut:
    """Where the power goes.

    Args:
        operation: flash operation since power on, from 0.
        instruction: of that operation, from 0: nothing of it happened yet.
    """

    operation: int
    instruction: int


def _plugin_arguments(programs: Iterable[Path], counts: Path, cut: Cut | None) -> list[str]:
    options = [str(build_plugin(PLUGIN)), "out=" + str(counts).replace(",", ",,")]
    for symbol in itertools.chain.from_iterable(map(read_symbols, programs)):
        kind = "entry" if symbol.name in ENTRIES else "body"
        if symbol.name in ENTRIES + BODIES:
            end = symbol.address + symbol.size
            options.append(f"{kind}={symbol.address:#x}-{end:#x}")
    if cut is not None:
        options += [f"operation={cut.operation}", f"instruction={cut.instruction}"]
    return ["-plugin", ",".join(options)]


def _board(profile: DeviceProfile, flash: Path, cut: Cut | None) -> Emulator:
    built = build_firmware(profile)
    # Each is linked for a place of its own, and all of them write to flash.
    programs = (built.start, built.elf(0), built.elf(1))
    arguments = _plugin_arguments(programs, flash.with_suffix(".operations"), cut)
    return Emulator(profile, flash, arguments=arguments)


def count_operations(
    profile: DeviceProfile, flash: Path, use: Callable[[SerialDevice], None]
) -> tuple[int, ...]:
    """Use a board without a cut.

    Args:
        profile: an emulated board.
        flash: its flash file.
        use: talks to the running board.

    Returns:
        The instructions of each flash operation.
    """
    with _board(profile, flash, None) as emulator, SerialDevice(emulator.port) as device:
        use(device)
    return tuple(map(int, flash.with_suffix(".operations").read_text(encoding="ascii").split()))


def cut_power(
    profile: DeviceProfile, flash: Path, use: Callable[[SerialDevice], None], cut: Cut
) -> None:
    """Use a board until its power is cut: its process is killed and does nothing more.

    Args:
        profile: an emulated board.
        flash: its flash file; it holds what the operations up to the cut left.
        use: talks to the running board; ends with the error that the lost line gives.
        cut: where.

    Raises:
        MachineError: the power was not cut, as the board never came there.
    """
    emulator = _board(profile, flash, cut)
    try:
        with emulator, SerialDevice(emulator.port) as device:
            use(device)
    except JouleloopError:
        if emulator.process.returncode == -signal.SIGKILL:
            return
        raise
    raise MachineError(
        f"the board never came to instruction {cut.instruction} of flash operation {cut.operation}",
        hint="count_operations() says how many there are",
    )
