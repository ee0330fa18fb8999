"""Ed25519 on an emulated Cortex-M4: right, and what docs/security.md says that it costs."""

from __future__ import annotations

import re
import struct
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

import device_profiles
from edge_runtime.firmware.build import shim_steps
from tests.bare_metal import CORTEX_M4, build, run
from tests.keys import KEY

pytestmark = pytest.mark.qemu

PAGE = Path(__file__).parents[2] / "docs" / "security.md"
STACK_BYTES = 16384
PROGRAM = """
#include "jl_services.h"
#include <stddef.h>
int read_file(void *data, int bytes);
int write_file(void *data, int bytes);
void jl_infer_begin(void);
void jl_infer_end(void);

enum { PAINT = 0xA5 };
static uint8_t *bottom;
__attribute__((noinline)) static void paint(void)
{
    volatile uint8_t here[STACK_BYTES];
    for (int i = 0; i < STACK_BYTES; i++) here[i] = PAINT;
    bottom = (uint8_t *)here;
}
int main(void)
{
    static uint8_t in[JL_PUBLIC_KEY_BYTES + JL_DIGEST_BYTES + JL_SIGNATURE_BYTES];
    read_file(in, sizeof in);
    uint32_t out[2];
    paint();
    jl_infer_begin();
    out[0] = jl_ed25519_verify(in, in + JL_PUBLIC_KEY_BYTES,
                               in + JL_PUBLIC_KEY_BYTES + JL_DIGEST_BYTES);
    jl_infer_end();
    uint32_t unused = 0;
    while (unused < STACK_BYTES && ((volatile uint8_t *)bottom)[unused] == PAINT) unused++;
    out[1] = STACK_BYTES - unused;
    write_file(out, sizeof out);
    return 0;
}
"""


@dataclass(frozen=True)
class Program:
    """Verifies what it reads.

    Args:
        elf: of the board.
        code_bytes: of the shim alone, constants included.
    """

    elf: Path
    code_bytes: int

    def verify(self, message: bytes) -> tuple[bool, int, int]:
        """Verdict, bytes of stack and instructions for key, digest and signature."""
        done = run(self.elf, CORTEX_M4, message)
        verdict, stack_bytes = struct.unpack("<II", done.output)
        return bool(verdict), stack_bytes, done.counts.executed


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Program:
    folder = tmp_path_factory.mktemp("ed25519")
    core = device_profiles.CORES[CORTEX_M4.core]
    flags = ("-target", core.zig_target, f"-mcpu={core.zig_cpu}", "-O", "ReleaseSmall")
    for step in shim_steps(*flags):
        subprocess.run(step, cwd=folder, check=True)
    told = subprocess.run(
        ["size", "ed25519.o"], cwd=folder, check=True, capture_output=True, text=True
    )
    include = Path(__file__).parents[2] / "edge_runtime/firmware/include"
    elf = build(
        folder,
        CORTEX_M4,
        {"main.c": PROGRAM},
        *(f"-DSTACK_BYTES={STACK_BYTES}", f"-I{include}", "ed25519.o"),
        has_compiler_runtime=True,
    )
    return Program(elf, int(told.stdout.splitlines()[1].split()[0]))


def test_the_core_takes_a_right_signature_and_no_other(program: Program) -> None:
    digest = bytes(range(32))
    right = KEY.public.raw + digest + KEY.sign(digest)
    assert program.verify(right)[0]
    for at in (0, 31, 32, 63, 64, 95, 96, 127):
        assert not program.verify(right[:at] + bytes([right[at] ^ 4]) + right[at + 1 :])[0]
    assert not program.verify(bytes(128))[0]
    assert not program.verify(b"\xff" * 128)[0]


def test_it_costs_what_the_page_says(program: Program) -> None:
    digest = bytes(32)
    is_right, stack_bytes, instructions = program.verify(KEY.public.raw + digest + KEY.sign(digest))
    assert is_right
    page = PAGE.read_text(encoding="utf-8")
    stated = {
        what: float(value.replace(" ", ""))
        for what, value in re.findall(
            r"^\| ((?:flash|stack|instructions) of .*?) \| ([\d. ]+\d) ", page, re.MULTILINE
        )
    }
    flash, stack, millions = stated.values()
    assert program.code_bytes == flash
    assert stack_bytes == pytest.approx(stack, abs=64)
    assert instructions == pytest.approx(millions * 1e6, rel=0.02)
