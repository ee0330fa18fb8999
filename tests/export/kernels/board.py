"""Kernels on emulated boards: compiled once, run on every row, measured by SysTick."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from export.kernels.layer import KernelCode
from jouleloop.programs import require_program, zig_command

GUARD_BYTES = 32
INSTRUCTIONS_PER_TICK = 40  # SysTick at 25 MHz, -icount shift=0 is 1 ns an instruction
_REPEATED_INSTRUCTIONS = 400_000  # measures one call to 40 / repeats instructions
_STACK_BYTES = 0x10000
_SCRIPT = """\
ENTRY(reset)
SECTIONS {
    .text 0x%x : { KEEP(*(.vectors)) *(.text*) *(.rodata*) }
    .ARM.extab : { *(.ARM.extab*) }
    .ARM.exidx : { *(.ARM.exidx*) }
    .data 0x%x : { *(.data*) *(.bss*) *(COMMON) }
    __stack_top = 0x%x;
    __arena = __stack_top;
}
"""
_WARNINGS = ("-Wall", "-Wextra", "-Wconversion", "-Werror")


@dataclass(frozen=True)
class Board:
    """A machine of QEMU and how its compiler is told."""

    machine: str
    target: str
    cpu: str
    code_start: int = 0
    ram_start: int = 0x20000000
    ram_bytes: int = 0x400000


_HARD = "thumb-freestanding-eabihf"
_SOFT = "thumb-freestanding-eabi"
M3 = Board("mps2-an385", _SOFT, "cortex_m3")
M0PLUS = Board("mps2-an385", _SOFT, "cortex_m0plus")  # its instructions are a subset of the M3's
M4 = Board("mps2-an386", _HARD, "cortex_m4")
M7 = Board("mps2-an500", _HARD, "cortex_m7")
M33 = Board("mps2-an505", _HARD, "cortex_m33", 0x10000000, 0x38000000, 0x400000)


@dataclass(frozen=True)
class Case:
    """A kernel and the rows to run it on.

    Args:
        code: the kernel.
        rows: int8 [n, input bytes].
        out_bytes: size of its output.
        in_place: let the output replace the input.
    """

    code: KernelCode
    rows: NDArray[np.int8]
    out_bytes: int
    in_place: bool = False


@dataclass(frozen=True)
class Run:
    """What the board reported: int8 [n, output bytes] and instructions per call."""

    outputs: NDArray[np.int8]
    instructions: float


def run_cases(board: Board, cases: list[Case], folder: Path) -> list[Run]:
    """Compile, run and read back; asserts that nothing outside the buffers was written."""
    elf = _build(board, cases, folder)
    command = [require_program("qemu-system-arm"), "-M", board.machine, "-kernel", str(elf)]
    command += ["-icount", "shift=0", "-display", "none", "-monitor", "none", "-serial", "none"]
    command += ["-semihosting-config", "enable=on,target=native"]
    done = subprocess.run(command, cwd=folder, timeout=200, check=False, capture_output=True)
    assert done.returncode == 0, f"QEMU ended with {done.returncode}: {done.stderr.decode()}"
    return _parse((folder / "result.bin").read_bytes(), cases)


def text_bytes(board: Board, code: KernelCode, folder: Path) -> int:
    """Read-only bytes of a kernel and its routines."""
    objects = _compile(board, [Case(code, np.zeros((0, 0), np.int8), 0)], folder)
    lines = subprocess.run(
        ["size", *map(str, objects)], check=True, capture_output=True, text=True
    ).stdout.splitlines()[1:]
    return sum(int(line.split()[0]) for line in lines)


def _compile(board: Board, cases: list[Case], folder: Path) -> list[Path]:
    """One object of all C and one of all assembly."""
    texts: dict[str, list[str]] = {".c": [], ".S": []}
    routines = {routine.symbol: routine for case in cases for routine in case.code.routines}
    for routine in routines.values():
        texts[routine.suffix].append(routine.source)
    for case in cases:
        texts[case.code.suffix].append(case.code.source)
    objects = []
    for suffix, parts in texts.items():
        if parts:
            source = folder / f"kernels{suffix}"
            source.write_text("\n".join(parts))
            objects.append(_object(board, source, folder))
    return objects


def _object(board: Board, source: Path, folder: Path) -> Path:
    target = folder / f"{source.stem}{source.suffix.replace('.', '_')}.o"
    flags = ["-target", board.target, f"-mcpu={board.cpu}", "-ffreestanding", "-O2"]
    flags += [
        "-fomit-frame-pointer",
        "-fropi",
        "-finline-hint-functions",
        "-fno-unroll-loops",
        "-fno-sanitize=all",
        "-fno-unwind-tables",
        "-ffunction-sections",
    ]
    warnings = [] if source.suffix == ".S" else ["-std=c11", *_WARNINGS]
    command = zig_command("cc", *flags, *warnings, "-I", str(folder), "-c", str(source))
    done = subprocess.run(
        [*command, "-o", str(target)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return target


def _build(board: Board, cases: list[Case], folder: Path) -> Path:
    lines = []
    position = 0
    rows = b"".join(case.rows.tobytes() for case in cases)
    for case in cases:
        count, size = case.rows.shape
        repeats = int(np.clip(_REPEATED_INSTRUCTIONS // max(case.code.instructions, 1), 1, 2000))
        lines.append(
            f"CASE({case.code.symbol}, test_rows + {position}, {count}, {size}, "
            f"{case.out_bytes}, {case.code.scratch_bytes}, {repeats}, {int(case.in_place)})"
        )
        position += count * size
    (folder / "cases.inc").write_text("\n".join(lines) + "\n")
    (folder / "cases.h").write_text(
        f"#define RAM_END 0x{board.ram_start + board.ram_bytes:x}u\n"
        "extern const int8_t test_rows[];\n"
    )
    (folder / "rows.bin").write_bytes(rows)
    (folder / "rows.S").write_text(
        '.section .rodata\n.global test_rows\ntest_rows:\n.incbin "'
        + str(folder / "rows.bin")
        + '"\n'
    )
    (folder / "board.ld").write_text(
        _SCRIPT % (board.code_start, board.ram_start, board.ram_start + _STACK_BYTES)
    )
    objects = _compile(board, cases, folder)
    objects.append(_object(board, folder / "rows.S", folder))
    main = folder / "board.c"
    main.write_text((Path(__file__).parent / "board.c").read_text())
    objects.append(_object(board, main, folder))
    elf = folder / "board.elf"
    command = zig_command("cc", "-target", board.target, f"-mcpu={board.cpu}", "-ffreestanding")
    command += [f"-Wl,-T,{folder / 'board.ld'}", *map(str, objects), "-o", str(elf)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return elf


def _parse(result: bytes, cases: list[Case]) -> list[Run]:
    position = 0

    def take(count: int) -> bytes:
        nonlocal position
        position += count
        assert position <= len(result), "the board stopped early: a fault"
        return result[position - count : position]

    runs = []
    for case in cases:
        outputs = []
        for _ in range(case.rows.shape[0]):
            name = case.code.symbol
            assert take(GUARD_BYTES) == b"\xa5" * GUARD_BYTES, f"{name} wrote before its output"
            outputs.append(np.frombuffer(take(case.out_bytes), np.int8))
            assert take(GUARD_BYTES) == b"\xa5" * GUARD_BYTES, f"{name} wrote behind its output"
            assert take(16) == b"\x5a" * 16, f"{name} wrote before its scratch"
            assert take(GUARD_BYTES) == b"\x5a" * GUARD_BYTES, f"{name} wrote behind its scratch"
        ticks, empty = np.frombuffer(take(8), np.uint32)
        repeats = int(np.clip(_REPEATED_INSTRUCTIONS // max(case.code.instructions, 1), 1, 2000))
        instructions = (int(ticks) - int(empty)) * INSTRUCTIONS_PER_TICK / repeats
        runs.append(Run(np.array(outputs), instructions))
    assert position == len(result)
    return runs
