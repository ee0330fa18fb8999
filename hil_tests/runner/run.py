"""Build the runner, run rows through a module on it, and read what came out."""

from __future__ import annotations

import hashlib
import shlex
import subprocess
import tempfile
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from device_profiles.core import Isa
from edge_runtime.wire.module import parse_module
from jouleloop.cache import BuildCache
from jouleloop.errors import BundleError, LinkError, MachineError
from jouleloop.programs import require_program, spawn, stop, zig_command

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from hil_tests.runner.board import RunnerBoard

FIRMWARE, MODULE, ROWS, OUT, STACK = (
    "firmware.elf",
    "module.bin",
    "rows.bin",
    "out.bin",
    "stack.bin",
)
COMMAND = "command.txt"
_SCRIPT = """\
ENTRY(reset)
MEMORY {{ CODE (rx) : ORIGIN = {code_base:#x}, LENGTH = 64K
          RAM (rwx) : ORIGIN = {ram_base:#x}, LENGTH = {ram_bytes:#x} }}
SECTIONS {{
    .text : {{ KEEP(*(.vectors)) *(.text*) *(.rodata*) }} > CODE
    .ARM.exidx : {{ *(.ARM.exidx* .ARM.extab*) }} > CODE
    .bss (NOLOAD) : {{ *(.bss* .data* COMMON) }} > RAM
    module_base = {module_base:#x};
    stack_top = ORIGIN(RAM) + 64K;
    buffers_base = ORIGIN(RAM) + 64K;
    buffers_end = ORIGIN(RAM) + LENGTH(RAM);
}}
"""
_STATUS = {
    2: "the module is not one, or its buffers do not fit into the board's RAM",
    3: "the module returned an error",
    4: "a file could not be read or written (is the disk full?)",
    99: "the core faulted",
}


@dataclass(frozen=True, eq=False)
class ModuleRun:
    """What a module did.

    Args:
        outputs: int8 [rows, output bytes].
        stack_bytes: deepest stack of an inference, found by painting.
    """

    outputs: NDArray[np.int8]
    stack_bytes: int


def build_runner(board: RunnerBoard) -> Path:
    """The runner for a machine, compiled at the first need and kept by the hash of its sources.

    Raises:
        MissingToolError: the cross compiler is not installed.
        MachineError: it refuses the sources.
    """
    source = files("hil_tests").joinpath("runner/runner.c").read_text(encoding="utf-8")
    header = files("edge_runtime").joinpath("firmware/include/jl_module.h").read_text("utf-8")
    script = _SCRIPT.format(**vars(board))
    flags = [
        *("cc", *board.core.zig_cc_target, "-O2", "-std=c11"),
        *("-ffreestanding", "-nostdlib", "-fomit-frame-pointer", "-fno-unwind-tables"),
        *("-Wall", "-Wextra", "-Werror", "-I."),
        *(["-DJL_HAS_FPU"] if Isa.FPU_SINGLE in board.core.isa else []),
        *("runner.c", "-Wl,-T,runner.ld", "-o", FIRMWARE),
    ]
    key = hashlib.sha256("\0".join((source, header, script, *flags)).encode()).hexdigest()[:16]

    def build(folder: Path) -> Path:
        for file, text in {"runner.c": source, "jl_module.h": header, "runner.ld": script}.items():
            (folder / file).write_text(text, encoding="utf-8")
        done = subprocess.run(
            zig_command(*flags), cwd=folder, capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            raise MachineError(f"the runner does not compile: {done.stderr.strip()[-500:]}")
        return folder / FIRMWARE

    return BuildCache("runner").get(f"{board.machine}-{key}.elf", build)


def prepare_run(
    folder: Path, board: RunnerBoard, module: bytes, rows: NDArray[np.int8]
) -> list[str]:
    """Put everything that a run needs into a folder.

    Args:
        folder: an existing folder; QEMU runs in it.
        board: from `runner_board`.
        module: the native module, without its image header.
        rows: int8 [n, input bytes].

    Returns:
        QEMU's command line, also written to `command.txt` with a place for a plugin.

    Raises:
        BundleError: the module is broken, for another core, too large, or the rows do not fit it.
    """
    header = parse_module(module)
    if header.kernel_class != board.core.kernel_class or header.isa & ~board.core.isa:
        raise BundleError(
            f"the module is for {header.kernel_class.name} cores with {header.isa!r}; "
            f"{board.machine} is a {board.core.name}"
        )
    if len(module) > board.module_bytes:
        raise BundleError(
            f"the module has {len(module)} bytes; {board.machine} takes {board.module_bytes}"
        )
    in_bytes = sum(spec.nbytes for spec in header.inputs)
    if rows.ndim != 2 or rows.dtype != np.int8 or rows.shape[1] != in_bytes:
        raise BundleError(
            f"rows are {rows.dtype} of shape {rows.shape}; the model takes int8 [n, {in_bytes}]",
            hint="save them with numpy.save as int8, one input a row",
        )
    (folder / FIRMWARE).write_bytes(build_runner(board).read_bytes())
    (folder / MODULE).write_bytes(module)
    (folder / ROWS).write_bytes(rows.tobytes())
    command = [
        *("qemu-system-arm", "-M", board.machine, "-kernel", FIRMWARE),
        *("-device", f"loader,file={MODULE},addr={board.module_base:#x}"),
        *("-icount", "shift=0", "-display", "none", "-monitor", "none", "-serial", "none"),
        *("-semihosting-config", "enable=on,target=native"),
    ]
    (folder / COMMAND).write_text(f"{shlex.join(command)} -plugin PLUGIN.so\n", encoding="utf-8")
    return command


def run_module(
    folder: Path, command: Sequence[str], output_bytes: int, *, timeout_s: float = 600.0
) -> ModuleRun:
    """Run what `prepare_run` prepared.

    Args:
        folder: as prepared.
        command: QEMU's command line, further arguments appended.
        output_bytes: of one inference.
        timeout_s: after which a module that does not end is stopped.

    Raises:
        MissingToolError: QEMU is not installed.
        LinkError: the module failed, faulted or did not end.
    """
    require_program(command[0])
    with tempfile.TemporaryFile() as errors:
        process = spawn(command, cwd=folder, stdout=errors, stderr=errors)
        try:
            status = process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            raise LinkError(f"the module did not end within {timeout_s} s on QEMU") from None
        finally:
            stop(process)
        if status != 0:
            errors.seek(0)
            said = errors.read().decode("utf-8", "replace").strip()
            reason = _STATUS.get(status, said or "QEMU failed")
            raise LinkError(f"QEMU ended with {status}: {reason}")
    outputs = np.frombuffer((folder / OUT).read_bytes(), np.int8).reshape(-1, output_bytes)
    stack_bytes = int.from_bytes((folder / STACK).read_bytes(), "little")
    return ModuleRun(outputs, stack_bytes)
