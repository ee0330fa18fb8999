"""Run a native module on QEMU without any firmware: outputs of rows, and executed instructions."""

from __future__ import annotations

import math
import struct
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edge_runtime.wire.module import parse_module
from jouleloop.programs import spawn, stop, zig_command

if TYPE_CHECKING:
    from numpy.typing import NDArray

SOURCE = Path(__file__).with_suffix(".c")
SCRIPT = """\
stack_top = {stack:#x}; request_start = {request:#x}; module_start = {module:#x};
SECTIONS {{
    . = {code:#x};
    .text : {{ KEEP(*(.vectors)) *(.text*) *(.rodata*) }}
    . = {data:#x};
    .bss : {{ *(.bss*) *(.data*) }}
    /DISCARD/ : {{ *(.ARM.ex*) *(.debug*) }}
}}
"""


@dataclass(frozen=True)
class Machine:
    """A QEMU machine, and where things go in its memory.

    `instructions_per_tick`: of SysTick, under `-icount shift=0`; NaN where there is none.
    """

    name: str
    zig_target: str
    zig_cpu: str
    instructions_per_tick: float
    code: int
    module: int
    data: int
    request: int
    stack_bytes: int = 0x10000


# The 16 KiB of RAM of an nRF51822: a quarter for the stack, the rest for request, answer and
# arena. The part has no SysTick, so nothing is counted.
M0 = Machine(
    *("microbit", "thumb-freestanding-eabi", "cortex_m0", math.nan),
    *(0, 0x20000, 0x20000000, 0x20001000, 0x1000),
)
M3 = Machine(
    "mps2-an385", "thumb-freestanding-eabi", "cortex_m3", 40, 0, 0x100000, 0x20000000, 0x20100000
)
M4 = Machine(
    "mps2-an386", "thumb-freestanding-eabihf", "cortex_m4", 40, 0, 0x100000, 0x20000000, 0x20100000
)
M33 = Machine(
    *("mps2-an505", "thumb-freestanding-eabihf", "cortex_m33", 50),
    *(0x10000000, 0x10100000, 0x38000000, 0x38100000),
)
M55 = Machine(
    "mps3-an547",
    "thumb-freestanding-eabihf",
    "cortex_m55+mve",
    31.25,
    0,
    0x01000000,
    0x20000000,
    0x21000000,
)
# Instructions of Armv6-M are a part of Armv7-M's: the M3 runs, and counts, them all the same.
MACHINES = {
    "cortex-m0": M0,
    "cortex-m0plus": M3,
    "cortex-m3": M3,
    "cortex-m4f": M4,
    "cortex-m33": M33,
    "cortex-m55": M55,
}


@dataclass(frozen=True)
class Run:
    """What came back: int8 [rows, output bytes], and instructions per row."""

    outputs: NDArray[np.int8]
    instructions: float


def run_module(module: bytes, core: str, rows: NDArray[np.int8], output_bytes: int) -> Run:
    """Run rows, int8 [n, input bytes], through a module on the machine for a core."""
    machine = MACHINES[core]
    entry = parse_module(module).entry_offset
    with tempfile.TemporaryDirectory(prefix="jouleloop-") as name:
        folder = Path(name)
        request = struct.pack("<4I", len(rows), rows.shape[1], output_bytes, entry)
        (folder / "request.bin").write_bytes(request + rows.tobytes())
        (folder / "module.bin").write_bytes(module)
        _build(machine, folder)
        _emulate(machine, folder)
        result = (folder / "result.bin").read_bytes()
    (ticks,) = struct.unpack_from("<Q", result)
    outputs = np.frombuffer(result[8:], np.int8).reshape(len(rows), output_bytes)
    return Run(outputs, ticks * machine.instructions_per_tick / len(rows))


def _build(machine: Machine, folder: Path) -> None:
    places: dict[str, Any] = {
        "code": machine.code,
        "data": machine.data,
        "module": machine.module,
        "request": machine.request,
        "stack": machine.data + machine.stack_bytes,
    }
    (folder / "rig.ld").write_text(SCRIPT.format(**places))
    flags = ("-O2", "-ffreestanding", "-fno-sanitize=all", "-Wl,-T,rig.ld", "-Wl,-e,reset")
    target = ("-target", machine.zig_target, f"-mcpu={machine.zig_cpu}")
    command = zig_command("cc", *target, *flags, str(SOURCE), "-o", "rig.elf")
    subprocess.run(command, cwd=folder, check=True, capture_output=True)


def _emulate(machine: Machine, folder: Path) -> None:
    places = (("module.bin", machine.module), ("request.bin", machine.request))
    loaders = [f"loader,file={file},addr={address:#x}" for file, address in places]
    command = [
        *("qemu-system-arm", "-M", machine.name, "-icount", "shift=0", "-display", "none"),
        *("-monitor", "none", "-serial", "none", "-kernel", "rig.elf"),
        *("-semihosting-config", "enable=on,target=native"),
        *(word for loader in loaders for word in ("-device", loader)),
    ]
    process = spawn(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        _, errors = process.communicate(timeout=120)
    finally:
        stop(process)
    if process.returncode:
        raise RuntimeError(f"QEMU ended with {process.returncode}: {errors.decode()}")
