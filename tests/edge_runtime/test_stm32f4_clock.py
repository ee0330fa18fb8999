"""The STM32F4 port on a chip whose clock control works, or breaks: the emulator has none."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from edge_runtime.firmware.build import FOLDER, WARNINGS
from edge_runtime.wire.smp import Clock
from jouleloop.programs import require_program
from tests.edge_runtime.host_board import SANITIZERS

pytestmark = pytest.mark.host_c

HERE = Path(__file__).parent
FAMILY = FOLDER / "port/stm32f4"
NONE, NO_CRYSTAL, NO_LOCK, NO_SWITCH, NO_WAIT_STATES, NO_CONTROL = range(6)
HSI_HZ, BAUD = 16_000_000, 115_200
WAIT_LIMIT_TICKS = HSI_HZ // 10
HSI_READY, HSE_ON, PLL_ON = 1 << 1, 1 << 16, 1 << 24


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("chip")
    sources = [f"{HERE}/stm32f4_chip.c", f"{FAMILY}/clock.c", f"{FAMILY}/uart.c"]
    headers = [f"{HERE}/stm32f4_chip.h", f"{FAMILY}/boards/netduinoplus2.h"]
    flags = ["-std=c11", "-O1", "-g", *SANITIZERS, *WARNINGS]
    flags += [f"-I{FOLDER}/include", f"-I{FAMILY}", *(f"--include={path}" for path in headers)]
    gcc = [require_program("gcc"), *flags, *sources, "-o", "chip"]
    subprocess.run(gcc, cwd=folder, check=True)
    return folder / "chip"


def start(program: Path, fault: int) -> dict[str, int]:
    done = subprocess.run([program, str(fault)], capture_output=True, text=True, check=True)
    return {name: int(value) for name, value in map(str.split, done.stdout.splitlines())}


def test_from_the_crystal_at_full_speed(program: Path) -> None:
    chip = start(program, NONE)
    assert chip["source"] == Clock.CRYSTAL
    assert (chip["core_hz"], chip["apb2_hz"]) == (168_000_000, 84_000_000)
    # RM0090, section 7.3.2: 25 MHz / 25 x 336 / 2, and / 7 for USB.
    pll = chip["pll"]
    divider, factor = pll & 0x3F, pll >> 6 & 0x1FF
    core_divider, usb_divider = 2 * (pll >> 16 & 3) + 2, pll >> 24 & 0xF
    vco_hz = 25_000_000 // divider * factor
    assert pll >> 22 & 1  # from the crystal
    assert (vco_hz // core_divider, vco_hz // usb_divider) == (168_000_000, 48_000_000)
    # Wait states and prescalers stood before the core was switched over.
    assert chip["wrong_order"] == 0
    assert chip["configuration"] == 0x9400 | 2 << 2 | 2


@pytest.mark.parametrize("fault", [NO_CRYSTAL, NO_LOCK, NO_SWITCH, NO_WAIT_STATES])
def test_what_does_not_start_in_time_leaves_the_internal_oscillator(
    program: Path, fault: int
) -> None:
    chip = start(program, fault)
    assert chip["source"] == Clock.INTERNAL
    assert chip["core_hz"] == chip["apb2_hz"] == HSI_HZ
    assert WAIT_LIMIT_TICKS <= chip["waited"] < 1.2 * WAIT_LIMIT_TICKS
    # As after a reset: nothing else runs, and nothing divides the clock.
    assert chip["configuration"] == 0
    assert chip["control"] & (HSI_READY | HSE_ON | PLL_ON) == HSI_READY


def test_without_clock_control_the_core_says_its_frequency(program: Path) -> None:
    chip = start(program, NO_CONTROL)
    assert chip["source"] == Clock.UNCONTROLLED
    assert chip["core_hz"] == chip["apb2_hz"] == 168_000_000
    assert chip["waited"] < 1.2 * WAIT_LIMIT_TICKS


@pytest.mark.parametrize("fault", [NONE, NO_CRYSTAL])
def test_the_line_keeps_its_speed_and_its_pins(program: Path, fault: int) -> None:
    chip = start(program, fault)
    assert chip["apb2_hz"] / chip["divider"] == pytest.approx(BAUD, rel=0.005)
    assert chip["uart_control"] == 1 << 13 | 1 << 5 | 1 << 3 | 1 << 2
    assert chip["irq"] == 37
    # Pins 6 and 7 are the USART's, one with a pull-up; the debugger's keep their mode.
    assert chip["mode"] == 0xA280
    assert chip["function"] == 0x7700_0000
    assert chip["pull"] == 1 << 14
    assert chip["ticks_at_start"] == 0
