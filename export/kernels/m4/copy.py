"""Shared routines: copy and fill bytes at any address, 16 at a time."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from export.kernels.m4.assembly import Assembly

if TYPE_CHECKING:
    from export.kernels.layer import Routine

DECLARATIONS = """\
void jl_m4_copy(int8_t *to, const int8_t *from, uint32_t bytes);
void jl_m4_fill(int8_t *to, int32_t value, uint32_t bytes);
"""
# Up to here the compiler's own loads and stores are shorter than a call.
INLINE_BYTES = 16


def _emit_loops(code: Assembly, words: tuple[str, ...], *, is_copy: bool) -> None:
    """16 bytes a turn, then single bytes; r0 to, r1 from or value, r2 bytes."""
    code.op("subs", "r2", "r2", "#16")
    code.op("blt", "2f")
    code.label("1")
    if is_copy:
        for word in words:
            code.op("ldr", word, "[r1]", "#4")
    for word in words:
        code.op("str", word, "[r0]", "#4")
    code.op("subs", "r2", "r2", "#16")
    code.op("bge", "1b")
    code.label("2")
    code.op("adds", "r2", "r2", "#16")
    code.op("beq", "4f")
    code.label("3")
    if is_copy:
        code.op("ldrb", words[0], "[r1]", "#1")
    code.op("strb", words[0], "[r0]", "#1")
    code.op("subs", "r2", "r2", "#1")
    code.op("bne", "3b")
    code.label("4")


@cache
def copy_routines() -> tuple[Routine, Routine]:
    """`jl_m4_copy` and `jl_m4_fill`; nothing is read or written beyond the given bytes."""
    copy = Assembly("jl_m4_copy", "void jl_m4_copy(int8_t *to, const int8_t *from, uint32_t bytes)")
    copy.enter()
    _emit_loops(copy, ("r3", "r4", "r5", "r6"), is_copy=True)
    copy.leave()
    fill = Assembly("jl_m4_fill", "void jl_m4_fill(int8_t *to, int32_t value, uint32_t bytes)")
    fill.enter()
    fill.comment("the byte in all four places of a word")
    fill.op("uxtb", "r3", "r1")
    fill.op("orr", "r3", "r3", "r3", "lsl #8")
    fill.op("orr", "r3", "r3", "r3", "lsl #16")
    _emit_loops(fill, ("r3", "r3", "r3", "r3"), is_copy=False)
    fill.leave()
    return copy.routine(), fill.routine()
