"""What the boot loader and the firmware cost in flash and RAM on each core, part by part.

The totals are those of the linked programs, without the stack. A part is one source file, compiled
for the core: the linker drops what nothing uses, so the parts add up to a little more. The stack is
its bound, the share of a model's code included; its limit is what the linker script reserves.
"""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import device_profiles
from edge_runtime.firmware.build import FOLDER, board_of, build_firmware, compile_step, stack_bounds
from hil_tests.result import Measure
from jouleloop.elf import Elf

if TYPE_CHECKING:
    from collections.abc import Iterator

    from device_profiles import DeviceProfile

BOARDS = ("mps2-an385", "mps2-an386", "mps2-an505", "corstone-300")
# Its firmware verifies models itself; the core, and so the parts, are those of another board.
WITHOUT_BOOT_LOADER = "stm32f405"
KIB = 1024
# Limits of the M4; the other cores are shown beside it.
LIMITED = "mps2-an386"
PROGRAMS = {"boot": "boot loader", "firmware": "firmware"}
LIMITS = {"boot loader, flash": 48 * KIB, "firmware, flash": 24 * KIB, "firmware, RAM": 6 * KIB}
STACK_SOURCE = (
    "deepest chain of calls, by the compiler's figures for frames, the model's share, and three "
    "exceptions on top of one another"
)
SOURCE = "section sizes of what the compiler and linker made; RAM without the stack"


def main() -> tuple[Measure, ...]:
    """The figures of every board."""
    boards = (m for board in BOARDS for m in _board(device_profiles.load(board)))
    return (*boards, *_programs(device_profiles.load(WITHOUT_BOOT_LOADER)))


def _programs(profile: DeviceProfile) -> Iterator[Measure]:
    built = build_firmware(profile)
    core = profile.core.name
    if board_of(profile).has_boot_loader:
        elfs = {"boot loader": built.start, "firmware": built.elf(0)}
    else:
        elfs = {"firmware": built.start}
        core += " without a boot loader"
    for name, elf in elfs.items():
        flash, ram = _sizes(elf.read_bytes())
        for kind, value in (("flash", flash), ("RAM", ram)):
            limit = LIMITS.get(f"{name}, {kind}") if profile.id == LIMITED else None
            yield _measure(f"{core}: {name}, {kind}", value, limit)
    for program, bound in stack_bounds(profile, built).items():
        name = f"{core}: {PROGRAMS[program]}, stack at most"
        yield Measure(
            name, bound.total_bytes, "B", "measured", STACK_SOURCE, limit=bound.reserved_bytes
        )


def _board(profile: DeviceProfile) -> Iterator[Measure]:
    yield from _programs(profile)
    core = profile.core.name
    with tempfile.TemporaryDirectory(prefix="jouleloop-benchmark-") as folder:
        for source in sorted([*FOLDER.glob("src/*.c"), *FOLDER.glob("boot/*.c")]):
            command = compile_step(profile, source, f"{source.stem}.o")
            subprocess.run(command, cwd=folder, check=True, capture_output=True)
            flash, ram = _sizes((Path(folder) / f"{source.stem}.o").read_bytes())
            part = f"{source.parent.name}/{source.stem}"
            yield _measure(f"{core}: {part}, flash", flash, None)
            if ram:
                yield _measure(f"{core}: {part}, RAM", ram, None)


def _sizes(elf: bytes) -> tuple[int, int]:
    """Bytes of flash and of RAM."""
    sections = Elf(elf).sections
    flash, data, bss = (
        sum(section.target_bytes for section in sections if section.name.startswith(names))
        for names in ((".text", ".rodata"), ".data", ".bss")
    )
    return flash + data, data + bss


def _measure(name: str, value: int, limit: int | None) -> Measure:
    bound = None if limit is None else float(limit)
    return Measure(name, float(value), "B", "measured", SOURCE, limit=bound)
