"""Hand-made native modules: the smallest thing that the loader takes, and every way to break it."""

from __future__ import annotations

import subprocess
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from device_profiles.core import Isa, KernelClass
from edge_runtime.wire.image import Target, Version, make_image
from edge_runtime.wire.module import (
    ABI_VERSION,
    CEILING,
    HEADER,
    HEADER_BYTES,
    MAGIC,
    SELF_TEST,
    TENSOR,
    Ceiling,
    pack_tensors,
)
from edge_runtime.wire.tensor import TensorSpec
from jouleloop.programs import require_program, zig_command
from tests.keys import KEY

if TYPE_CHECKING:
    from edge_runtime.wire.keys import SigningKey

# What a module's C may look like; SIZE is the number of elements in and out.
STEP = """
for (int i = 0; i < SIZE; i++) ((int8_t *)arena)[i] = in[i];
for (int i = 0; i < SIZE; i++) {
    int8_t value = ((int8_t *)arena)[i];
    out[i] = (int8_t)(value == 127 ? 127 : value + 1);
}
return 0;
"""
FAIL = "return 7;"
TRAP = "__builtin_trap();"


@dataclass(frozen=True)
class Machine:
    """What code is compiled for."""

    compiler: tuple[str, ...]
    kernel_class: KernelClass
    isa: Isa
    entry_bit: int


ARM = Machine(
    ("-target", "thumb-freestanding-eabihf", "-mcpu=cortex_m4", "-fropi"),
    KernelClass.DSP,
    Isa.THUMB2 | Isa.DSP,
    1,
)
CORTEX_M3 = Machine(
    ("-target", "thumb-freestanding-eabi", "-mcpu=cortex_m3", "-fropi"),
    KernelClass.SCALAR,
    Isa.THUMB2,
    1,
)
# The host's firmware port takes modules of scalar cores, and this machine's code in them.
HOST = Machine(("-fPIC",), KernelClass.SCALAR, Isa.NONE, 0)


def step(
    row: np.ndarray[tuple[int], np.dtype[np.int8]],
) -> np.ndarray[tuple[int], np.dtype[np.int8]]:
    """What the module STEP computes: one more, saturating."""
    return np.clip(row.astype(np.int16) + 1, -128, 127).astype(np.int8)


@cache
def machine_code(machine: Machine, body: str, size: int) -> bytes:
    """Position-independent code of `infer` with this body; its entry is its first byte."""
    source = (
        '#include <stdint.h>\n__attribute__((section("code")))\n'
        "int32_t infer(void *arena, const int8_t *in, int8_t *out) {\n"
        f"(void)arena; (void)in; (void)out;\n{body}\n}}\n"
    ).replace("SIZE", str(size))
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        (work / "module.c").write_text(source)
        flags = ("-std=c11", "-Os", "-ffreestanding", "-fno-builtin", "-c", "module.c")
        compiler = [require_program("gcc")] if machine is HOST else zig_command("cc")
        subprocess.run([*compiler, *machine.compiler, *flags, "-o", "m.o"], cwd=work, check=True)
        extract = ("objcopy", "-I", "elf64-x86-64" if machine is HOST else "elf32-little")
        subprocess.run(
            [*extract, "-O", "binary", "-j", "code", "m.o", "m.bin"], cwd=work, check=True
        )
        return (work / "m.bin").read_bytes()


@dataclass(frozen=True)
class TinyModule:
    """A module of one input and one output of the same size; every field can be made wrong."""

    machine: Machine = ARM
    body: str = STEP
    size: int = 4
    shape: tuple[int, ...] | None = None
    rows: int = 3
    wrong_rows: bool = False
    ceilings: tuple[Ceiling, ...] = ()
    arena_bytes: int | None = None
    stack_bytes: int = 64
    abi_version: int = ABI_VERSION
    kernel_class: KernelClass | None = None
    isa: Isa | None = None
    module_bytes: int | None = None
    entry_offset: int | None = None
    self_test_offset: int | None = None
    tensors_offset: int | None = None
    self_test_rows: int | None = None
    reserved: int = 0

    def build(self) -> bytes:
        """The module."""
        spec = TensorSpec("x", self.shape or (1, self.size), 0.5, 0)
        tensors = pack_tensors((spec, spec))
        inputs = np.random.default_rng(0).integers(-128, 128, (self.rows, self.size), np.int8)
        inputs[:1] = 127
        outputs = np.stack([step(row) for row in inputs]) if self.rows else inputs
        if self.wrong_rows:
            outputs[-1, -1] ^= 1
        test_at = HEADER_BYTES + len(tensors)
        rows_at = test_at + SELF_TEST.size + CEILING.size * len(self.ceilings)
        rows = inputs.tobytes() + outputs.tobytes()
        code_at = (rows_at + len(rows) + 15) // 16 * 16
        code = machine_code(self.machine, self.body, self.size)
        test = SELF_TEST.pack(
            self.rows if self.self_test_rows is None else self.self_test_rows,
            len(self.ceilings),
            rows_at,
            rows_at + inputs.nbytes,
        )
        for ceiling in self.ceilings:
            test += CEILING.pack(ceiling.profile_crc32, ceiling.ticks, ceiling.nanojoules)
        header = HEADER.pack(
            MAGIC,
            self.abi_version,
            HEADER_BYTES,
            self.kernel_class or self.machine.kernel_class,
            self.machine.isa if self.isa is None else self.isa,
            code_at + len(code) if self.module_bytes is None else self.module_bytes,
            self.size if self.arena_bytes is None else self.arena_bytes,
            self.stack_bytes,
            code_at | self.machine.entry_bit if self.entry_offset is None else self.entry_offset,
            (test_at if self.rows else 0)
            if self.self_test_offset is None
            else self.self_test_offset,
            bytes(32),
            1,
            1,
            HEADER_BYTES if self.tensors_offset is None else self.tensors_offset,
            self.reserved,
        )
        assert len(tensors) == 2 * TENSOR.size
        return (header + tensors + test + rows).ljust(code_at, b"\0") + code

    def image(
        self,
        version: Version | None = None,
        target: Target | None = None,
        *,
        signing_key: SigningKey | None = KEY,
        security_counter: int = 0,
    ) -> bytes:
        """The module in a signed image, version 1.2.3, that states the machine's own target."""
        own = Target(int(self.machine.kernel_class), int(self.machine.isa))
        return make_image(
            self.build(),
            version=version or Version(1, 2, 3),
            target=target or own,
            signing_key=signing_key,
            security_counter=security_counter,
        )
