"""Run a few functions alone on an emulated core, with their executed instructions counted."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

import device_profiles
from hil_tests.profiler import Counts, Places, plugin_arguments, read_counts, read_symbols
from jouleloop.programs import require_program, zig_command

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path


@dataclass(frozen=True)
class Board:
    """A QEMU machine and where code and data go.

    Args:
        machine: QEMU's `-M`.
        core: name in `device_profiles.CORES`.
        code_base: of read-only memory.
        ram_base: of RAM; the stack starts at its far end.
        code_bytes: size of read-only memory.
        ram_bytes: size of RAM.
    """

    machine: str
    core: str
    code_base: int = 0
    ram_base: int = 0x20000000
    code_bytes: int = 4 << 20
    ram_bytes: int = 4 << 20


CORTEX_M3 = Board("mps2-an385", "cortex-m3")
CORTEX_M4 = Board("mps2-an386", "cortex-m4f")
CORTEX_M55 = Board("mps3-an547", "cortex-m55", 0x10000000, 0x31000000, 512 << 10, 2 << 20)

_LINKER_SCRIPT = """
ENTRY(reset)
MEMORY {{ CODE (rx) : ORIGIN = {code_base:#x}, LENGTH = {code_bytes}
          RAM (rwx) : ORIGIN = {ram_base:#x}, LENGTH = {ram_bytes} }}
SECTIONS {{
  .text : {{ KEEP(*(.vectors)) *(.text*) *(.rodata*) }} > CODE
  /DISCARD/ : {{ *(.ARM.exidx*) *(.ARM.extab*) }}
  .bss (NOLOAD) : {{ *(.bss*) *(.data*) *(COMMON) }} > RAM
  stack_top = ORIGIN(RAM) + LENGTH(RAM);
}}
"""

# Arm semihosting: SYS_OPEN 1, SYS_CLOSE 2, SYS_WRITE 5, SYS_READ 6, SYS_EXIT_EXTENDED 0x20.
_STARTUP = """
#include <stdint.h>
extern char stack_top[];
void reset(void);
int main(void);
__attribute__((naked)) static int semihost(int operation, const void *arguments)
{ __asm__ volatile("bkpt 0xab\\n bx lr"); }
static void leave(int status)
{
    const uint32_t arguments[] = {0x20026, (uint32_t)status};
    semihost(0x20, arguments);
    for (;;) {}
}
static void fault(void) { leave(99); }
__attribute__((section(".vectors"), used)) static const void *const vectors[16] = {
    stack_top, (void *)reset, fault, fault, fault, fault, fault, fault};
void reset(void)
{
    *(volatile uint32_t *)0xE000ED88 |= 0xFu << 20; /* CPACR: floating point and Helium */
    __asm__ volatile("dsb\\n isb");
    leave(main());
}
static int transfer(int operation, const char *name, int length, int mode, void *data, int bytes)
{
    const uint32_t path[] = {(uint32_t)name, (uint32_t)mode, (uint32_t)length};
    int file = semihost(1, path);
    const uint32_t what[] = {(uint32_t)file, (uint32_t)data, (uint32_t)bytes};
    int left = file < 0 ? bytes : semihost(operation, what);
    const uint32_t done[] = {(uint32_t)file};
    semihost(2, done);
    return left;
}
int read_file(void *data, int bytes) { return transfer(6, "in.bin", 6, 1, data, bytes); }
int write_file(void *data, int bytes) { return transfer(5, "out.bin", 7, 5, data, bytes); }
__attribute__((noinline)) void jl_infer_begin(void) { __asm__ volatile(""); }
__attribute__((noinline)) void jl_infer_end(void) { __asm__ volatile(""); }
"""
_MEMORY = """
void *memcpy(void *to, const void *from, unsigned n)
{
    char *d = to; const char *s = from;
    while (n--) { *d++ = *s++; __asm__ volatile(""); }
    return to;
}
void *memset(void *to, int value, unsigned n)
{
    char *d = to;
    while (n--) { *d++ = (char)value; __asm__ volatile(""); }
    return to;
}
"""


@dataclass(frozen=True)
class Run:
    """What a program did.

    Args:
        output: bytes that it passed to `write_file`.
        counts: between `jl_infer_begin` and `jl_infer_end`.
        places: its functions.
    """

    output: bytes
    counts: Counts
    places: Places


def build(
    folder: Path,
    board: Board,
    sources: Mapping[str, str],
    *flags: str,
    has_compiler_runtime: bool = False,
) -> Path:
    """Compile and link a program with a `main`; warnings are errors.

    Args:
        folder: where its files go.
        board: what it runs on.
        sources: file name -> text; `.S` and `.c`.
        flags: further compiler flags.
        has_compiler_runtime: link the compiler's own library, as firmware does; else the program
            has but memcpy and memset, of few and constant instructions a byte.

    Returns:
        The ELF file. The program may call `read_file(data, bytes)` and `write_file(data, bytes)`.
    """
    core = device_profiles.CORES[board.core]
    script = folder / "board.ld"
    script.write_text(_LINKER_SCRIPT.format(**vars(board)))
    files = []
    startup = _STARTUP + ("" if has_compiler_runtime else _MEMORY)
    for name, text in {"startup.c": startup, **sources}.items():
        (folder / name).write_text(text)
        files.append(name)
    command = zig_command(
        *("cc", *core.zig_cc_target, "-O2", "-std=c11"),
        *(() if has_compiler_runtime else ("-nostdlib",)),
        *("-ffreestanding", "-fomit-frame-pointer", "-fno-unwind-tables"),
        *("-Wall", "-Wextra", "-Werror", *flags, *files, "-Wl,-T,board.ld", "-o", "program.elf"),
    )
    run = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    return folder / "program.elf"


def run(elf: Path, board: Board, data: bytes = b"", parts: Sequence[str] = ()) -> Run:
    """Run a program to its end and read its counts.

    Args:
        elf: from `build`.
        board: as for `build`.
        data: what `read_file` reads.
        parts: functions at which a part of the work starts.
    """
    folder = elf.parent
    (folder / "in.bin").write_bytes(data)
    (folder / "out.bin").unlink(missing_ok=True)
    symbols = read_symbols(elf)
    address = {symbol.name: symbol.address for symbol in symbols}
    plugin = plugin_arguments(
        folder / "counts.csv",
        window=(address["jl_infer_begin"], address["jl_infer_end"]),
        parts=[address[name] for name in parts],
    )
    done = subprocess.run(
        [
            *(require_program("qemu-system-arm"), "-M", board.machine, "-kernel", elf.name),
            *("-icount", "shift=0", "-display", "none", "-monitor", "none", "-serial", "none"),
            *("-semihosting-config", "enable=on,target=native", *plugin),
        ],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, f"exit status {done.returncode} (99: a fault); {done.stderr}"
    output = folder / "out.bin"
    return Run(
        output.read_bytes() if output.exists() else b"",
        read_counts(folder / "counts.csv"),
        Places(symbols),
    )
