"""The profiles' instructions per tick, counted on the machines themselves."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

import device_profiles
from device_profiles import DeviceProfile
from jouleloop.programs import require_program, zig_command

pytestmark = pytest.mark.qemu

INSTRUCTIONS = 2_000_000
LINKER_SCRIPT = """
ENTRY(start)
SECTIONS {{
    . = {code:#x};
    .text : {{ KEEP(*(.vectors)) *(.text*) *(.rodata*) }}
    .bss {ram:#x} : {{ *(.data*) *(.bss*) }}
    /DISCARD/ : {{ *(.ARM.exidx*) }}
}}
"""
EMULATED = {p.id: p for p in device_profiles.load_all().values() if p.emulator is not None}


@dataclass(frozen=True)
class Place:
    """Where code starts and data lies."""

    code: int
    ram: int


PLACES = {
    "mps2-an505": Place(0x1000_0000, 0x3800_0000),
    "netduinoplus2": Place(0x0800_0000, 0x2000_0000),
}


def build(profile: DeviceProfile, machine: str, folder: Path) -> Path:
    place = PLACES.get(machine, Place(0, 0x2000_0000))
    script, elf = folder / "tick_count.ld", folder / "tick_count.elf"
    script.write_text(LINKER_SCRIPT.format(code=place.code, ram=place.ram))
    # Helium would need its coprocessor switched on first.
    cpu = profile.core.zig_cpu.partition("+")[0]
    options = [
        *("-target", "thumb-freestanding-eabi", f"-mcpu={cpu}", "-Os", "-ffreestanding"),
        *("-nostdlib", "-fno-sanitize=undefined", f"-DSTACK_TOP={place.ram + 0x3000:#x}"),
        *(["-DNRF51_TIMER"] if machine == "microbit" else []),
    ]
    source = Path(__file__).with_name("tick_count.c")
    command = zig_command("cc", *options, f"-Wl,-T,{script}", "-o", str(elf), str(source))
    subprocess.run(command, check=True, capture_output=True)
    return elf


@pytest.mark.parametrize("profile", EMULATED.values(), ids=EMULATED)
def test_instructions_per_tick_are_what_the_machine_counts(
    profile: DeviceProfile, tmp_path: Path
) -> None:
    assert profile.emulator is not None
    machine = profile.emulator.machine
    run = subprocess.run(
        [
            *(require_program("qemu-system-arm"), "-M", machine),
            *("-kernel", str(build(profile, machine, tmp_path)), "-icount", "shift=0"),
            *("-display", "none", "-monitor", "none", "-serial", "none"),
            *("-semihosting-config", "enable=on,target=native"),
        ],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    counted = profile.emulator.instructions(int(run.stdout + run.stderr, 16))
    # The calls around the loop cost a few instructions, and a count is exact to one tick.
    assert counted == pytest.approx(INSTRUCTIONS, abs=64)
