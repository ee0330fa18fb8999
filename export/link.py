"""Compile a model's C and link it as a native module, ABI v1 (`edge_runtime/wire/module.py`).

A module is position-independent: constants are addressed relative to the program counter, nothing
is called outside, and no pointer is initialised, so that no relocation is left.
"""

from __future__ import annotations

import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edge_runtime.wire.module import (
    ABI_VERSION,
    CEILING,
    HEADER,
    HEADER_BYTES,
    MAGIC,
    SELF_TEST,
    Ceiling,
    SelfTest,
    pack_tensors,
    parse_module,
)
from export.render.c import ENTRY
from jouleloop.elf import Elf
from jouleloop.programs import zig_command

if TYPE_CHECKING:
    from collections.abc import Iterable

    from device_profiles.core import Core
    from edge_runtime.wire.tensor import TensorSpec
    from export.render.c import Program

COMPILER_FLAGS = (
    "-std=c11",
    "-O2",
    "-g0",
    "-ffreestanding",
    "-fropi",
    "-fomit-frame-pointer",
    # Layers stay functions, so that each can be measured; only what says inline is inlined.
    "-finline-hint-functions",
    # An unrolled loop over constant weights holds them twice.
    "-fno-unroll-loops",
    "-ffunction-sections",
    "-fdata-sections",
    "-fno-unwind-tables",
    "-fno-asynchronous-unwind-tables",
    "-fno-sanitize=all",
    "-fstack-size-section",
    "-Wall",
    "-Wextra",
    "-Wconversion",
    "-Werror",
)
LINKER_FLAGS = ("-Wl,-T,module.ld", f"-Wl,-e,{ENTRY}", "-Wl,--gc-sections", "-Wl,-z,norelro")

# FRONT_BYTES are the header, the tensors' records and the self-test, filled in afterwards.
# Tables come last, so that code and constants can be told apart. Kernels keep a channel's weights,
# scale and padding together, so `.weights` is more than the weights: see `Module.packing_bytes`.
LINKER_SCRIPT = """\
SECTIONS {
    . = BASE;
    .text : {
        . = . + FRONT_BYTES;
        *(.text.jl_infer) *(.text .text.*) *(.rodata .rodata.cst*)
    }
    .weights : ALIGN(16) { *(.rodata.*) }
    .stack_sizes 0 : { KEEP(*(.stack_sizes)) }
    /DISCARD/ : { *(.ARM.exidx*) *(.ARM.extab*) *(.comment) *(.debug*) }
}
"""
# The compiler's helpers (64-bit products on Armv6-M) say nothing of their stack; the deepest of
# them saves eight registers.
RUNTIME_STACK_BYTES = 32
STACK_ALIGNMENT = 8  # AAPCS
# Of a pipeline, floats without an FPU and 64-bit quotients: some call each other.
PIPELINE_RUNTIME_STACK_BYTES = 256
OTHER_BASE = 0x20000  # where a module is linked a second time


@dataclass(frozen=True)
class Module:
    """A linked module.

    Args:
        content: the module.
        elf: what the linker made, with symbols.
        weights_bytes: int8 weights, int32 biases, multipliers and shifts per channel.
        packing_bytes: what else the section `.weights` holds: offsets and corrections of the
            scaling, padding, tables of functions.
        stack_bytes: deepest use of the stack by one inference.
    """

    content: bytes
    elf: bytes
    weights_bytes: int
    packing_bytes: int
    stack_bytes: int

    @property
    def code_bytes(self) -> int:
        """Everything in the module that is not weights; the packing too."""
        return len(self.content) - self.weights_bytes


def link_module(
    program: Program,
    core: Core,
    *,
    inputs: tuple[TensorSpec, ...],
    outputs: tuple[TensorSpec, ...],
    self_test: SelfTest,
    model_sha256: bytes,
    abi_version: int = ABI_VERSION,
    arena_bytes: int | None = None,
) -> Module:
    """Compile, link and complete a module.

    Args:
        program: the model as code.
        core: one with native kernels.
        inputs: of the model.
        outputs: of the model.
        self_test: rows that the loader runs first; may have no rows.
        model_sha256: 32 bytes that name the model.
        abi_version: of the module; a pipeline's is 2.
        arena_bytes: what a pipeline needs; None for the program's own plan.

    Raises:
        MissingToolError: the ziglang wheel is not installed.
    """
    if core.kernel_class is None:
        raise ValueError(f"{core.name} has no native kernels")
    tensors = pack_tensors((*inputs, *outputs), abi_version)
    self_test_at = HEADER_BYTES + len(tensors)
    test = pack_self_test(self_test, self_test_at)
    front_bytes = -(-(self_test_at + len(test)) // 16) * 16
    elf_bytes = compile_program(program, core, front_bytes)
    elf = Elf(elf_bytes)
    _check_position(elf, Elf(compile_program(program, core, front_bytes, base=OTHER_BASE)))
    text = elf.section(".text").content
    weights = elf.section(".weights") if elf.has(".weights") else None
    stray = {s.name for s in elf.sections if s.is_loaded and s.content} - {".text", ".weights"}
    if stray:
        raise RuntimeError(f"generated C has data that a module cannot hold: {sorted(stray)}")
    if weights is not None:
        text = text.ljust(weights.address, b"\0") + weights.content
    # Modules lie one behind the other with an image's header between them, on whole words.
    body = bytearray(text.ljust(-(-len(text) // 4) * 4, b"\0"))
    if abi_version == ABI_VERSION:
        stack_bytes = _stack_bytes(program, elf)
    else:
        stack_bytes = _pipeline_stack_bytes(program, elf)
    header = HEADER.pack(
        MAGIC,
        abi_version,
        HEADER_BYTES,
        core.kernel_class,
        int(core.isa),
        len(body),
        program.plan.arena_bytes if arena_bytes is None else arena_bytes,
        stack_bytes,
        elf.symbol(ENTRY).address,
        self_test_at if self_test.rows else 0,
        model_sha256,
        len(inputs),
        len(outputs),
        HEADER_BYTES,
        0,
    )
    front = header + tensors + test
    body[:front_bytes] = front.ljust(front_bytes, b"\0")
    content = bytes(body)
    parse_module(content)
    tables_bytes = 0 if weights is None else len(weights.content)
    # Layers that read one constant hold it once.
    weights_bytes = min(sum(layer.code.weights_bytes for layer in program.layers), tables_bytes)
    return Module(content, elf_bytes, weights_bytes, tables_bytes - weights_bytes, stack_bytes)


def pack_self_test(self_test: SelfTest, offset: int) -> bytes:
    """The self-test's record, its ceilings and its rows, as they lie from `offset` on."""
    if not self_test.rows:
        return b""
    record_bytes = SELF_TEST.size + CEILING.size * len(self_test.ceilings)
    inputs_at = offset + record_bytes
    outputs_at = inputs_at + len(self_test.inputs)
    record = SELF_TEST.pack(self_test.rows, len(self_test.ceilings), inputs_at, outputs_at)
    ceilings = b"".join(_pack_ceiling(ceiling) for ceiling in self_test.ceilings)
    return record + ceilings + self_test.inputs + self_test.outputs


def _pack_ceiling(ceiling: Ceiling) -> bytes:
    return CEILING.pack(ceiling.profile_crc32, ceiling.ticks, ceiling.nanojoules)


def _check_position(elf: Elf, elsewhere: Elf) -> None:
    """The same bytes at another address: no absolute address is left in the module.

    A compiler may put one into a constant copy of an initialised structure, whatever -fropi says.
    """
    for section in elf.sections:
        if section.is_loaded and section.content != elsewhere.section(section.name).content:
            raise RuntimeError(f"generated code is not position-independent: {section.name}")


def compile_program(program: Program, core: Core, front_bytes: int, base: int = 0) -> bytes:
    """Compile and link for a core at an address; returns the ELF file."""
    with tempfile.TemporaryDirectory(prefix="jouleloop-") as name:
        folder = Path(name)
        for file_name, text in program.files.items():
            (folder / file_name).write_text(text, encoding="utf-8")
        script = LINKER_SCRIPT.replace("FRONT_BYTES", str(front_bytes))
        script = script.replace("BASE", f"{base:#x}")
        (folder / "module.ld").write_text(script, encoding="utf-8")
        _run(zig_cc(core, program.files), folder)
        return (folder / "module.elf").read_bytes()


def zig_cc(core: Core, files: Iterable[str]) -> list[str]:
    """The command that compiles and links a module in the folder where it runs."""
    return zig_command(
        "cc",
        *core.zig_cc_target,
        *COMPILER_FLAGS,
        *LINKER_FLAGS,
        *sorted(name for name in files if not name.endswith(".h")),
        "-o",
        "module.elf",
    )


def _run(command: list[str], folder: Path) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stderr}")


def _pipeline_stack_bytes(program: Program, elf: Elf) -> int:
    """Every function's frame at once: more than any chain of calls, as nothing recurses."""
    layers = (layer.code.stack_bytes for layer in program.layers)
    total = sum(size for _, size in elf.stack_sizes()) + max(layers, default=0)
    total += PIPELINE_RUNTIME_STACK_BYTES
    return -(-total // STACK_ALIGNMENT) * STACK_ALIGNMENT


def _stack_bytes(program: Program, elf: Elf) -> int:
    frames = dict(elf.stack_sizes())
    entry = elf.symbol(ENTRY).address & ~1
    entry_frame = next(size for address, size in frames.items() if address & ~1 == entry)
    deepest = max((size for address, size in frames.items() if address & ~1 != entry), default=0)
    deepest = max(deepest, *(layer.code.stack_bytes for layer in program.layers))
    total = entry_frame + deepest + RUNTIME_STACK_BYTES
    return -(-total // STACK_ALIGNMENT) * STACK_ALIGNMENT
