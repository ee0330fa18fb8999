"""Shared routine: int8 to 16-bit halves in the order that SXTB16 yields."""

from __future__ import annotations

from functools import cache

from export.kernels.layer import Routine
from export.kernels.m4.assembly import Assembly, register_list

# Inputs per block of the fully connected kernels; the widened vector is padded to it with zeros.
VECTOR_BLOCK = 8
DECLARATION = "int32_t jl_m4_widen(const int8_t *in, int16_t *out, uint32_t count);\n"


def emit_split(code: Assembly, even: str, odd: str) -> None:
    """The word `even` of four bytes becomes halves (0, 2) in `even` and (1, 3) in `odd`."""
    code.op("sxtb16", odd, even, "ror #8")
    code.op("sxtb16", even, even)


def emit_tail_bytes(code: Assembly, word: str, source: str, count: str) -> None:
    """Gather the last `count` (1..3) bytes at `source` into the low bytes of `word`; uses r11."""
    code.op("mov", word, "#0")
    code.label("8")
    code.op("subs", count, count, "#1")
    code.op("ldrb", "r11", f"[{source}, {count}]")
    code.op("orr", word, "r11", word, "lsl #8")
    code.op("bne", "8b")


@cache
def widen_routine() -> Routine:
    """`jl_m4_widen`: widens a vector and returns what the inner-product trick subtracts.

    Every 4 bytes become halves (0, 2), (1, 3); zeros fill the last block of 8. The result is
    x0·x1 + x2·x3 + ..., modulo 2^32. Any alignment of the input, 4 of the output.
    """
    code = Assembly(
        "jl_m4_widen",
        "int32_t jl_m4_widen(const int8_t *in, int16_t *out, uint32_t count): "
        "int8 to int16, returns the sum of x[2i] * x[2i + 1]",
    )
    source, target, remaining, product = "r0", "r1", "r12", "lr"
    code.enter()
    code.comment("the whole widened length in 4-byte words, to pad at the end: count / 8 * 4")
    code.op("add", "r10", "r2", f"#{VECTOR_BLOCK - 1}")
    code.op("bic", "r10", "r10", f"#{VECTOR_BLOCK - 1}")
    code.op("add", "r10", target, "r10", "lsl #1")
    code.op("vmov", "s0", "r10")
    code.op("mov", product, "#0")
    code.op("subs", remaining, "r2", "#16")
    code.op("blt", "2f")

    code.comment("16 inputs a turn; LDR, because an input may lie at any address")
    code.label("1")
    words = [("r2", "r3"), ("r4", "r5"), ("r6", "r7"), ("r8", "r9")]
    for even, _ in words:
        code.op("ldr", even, f"[{source}]", "#4")
    for even, odd in words:
        emit_split(code, even, odd)
        code.op("smlad", product, even, odd, product)
    code.op("stm", f"{target}!", register_list([name for pair in words for name in pair]))
    code.op("subs", remaining, remaining, "#16")
    code.op("bge", "1b")

    code.comment("the rest, 4 at a time, then up to 3 bytes")
    code.label("2")
    code.op("adds", remaining, remaining, "#12")
    code.op("blt", "4f")
    code.label("3")
    code.op("ldr", "r2", f"[{source}]", "#4")
    emit_split(code, "r2", "r3")
    code.op("smlad", product, "r2", "r3", product)
    code.op("stm", f"{target}!", "{r2, r3}")
    code.op("subs", remaining, remaining, "#4")
    code.op("bge", "3b")
    code.label("4")
    code.op("adds", remaining, remaining, "#4")
    code.op("beq", "5f")
    emit_tail_bytes(code, "r2", source, remaining)
    emit_split(code, "r2", "r3")
    code.op("smlad", product, "r2", "r3", product)
    code.op("stm", f"{target}!", "{r2, r3}")

    code.comment("zeros up to the end of the last block")
    code.label("5")
    code.op("vmov", "r10", "s0")
    code.op("cmp", target, "r10")
    code.op("itttt", "lo")
    code.op("movlo", "r2", "#0")
    code.op("movlo", "r3", "#0")
    code.op("strlo", "r2", f"[{target}]")
    code.op("strlo", "r3", f"[{target}, #4]")
    code.op("mov", "r0", product)
    code.leave()
    return code.routine()


PRODUCTS_DECLARATION = "int32_t jl_m4_products(const int8_t *in, int8_t *tail, uint32_t count);\n"


@cache
def products_routine() -> Routine:
    """`jl_m4_products`: what the inner-product trick subtracts, of a vector that stays int8.

    Returns x0·x1 + x2·x3 + ..., modulo 2^32, and copies the inputs behind the last whole block of
    8 to `tail`, 8 bytes, filled up with zeros. Any alignment of the input, 4 of the tail.
    """
    code = Assembly(
        "jl_m4_products",
        "int32_t jl_m4_products(const int8_t *in, int8_t *tail, uint32_t count): "
        "sum of x[2i] * x[2i + 1]; the last count % 8 inputs go to tail",
    )
    source, tail, remaining, product = "r0", "r1", "r2", "r3"
    halves = [("r4", "r5"), ("r6", "r7")]

    def emit_products() -> None:
        for even, odd in halves:
            emit_split(code, even, odd)
        for even, odd in halves:
            code.op("smlad", product, even, odd, product)

    code.enter()
    code.op("mov", product, "#0")
    code.op("subs", remaining, remaining, f"#{VECTOR_BLOCK}")
    code.op("blt", "2f")
    code.comment("8 inputs a turn; LDR, because an input may lie at any address")
    code.label("1")
    for even, _ in halves:
        code.op("ldr", even, f"[{source}]", "#4")
    emit_products()
    code.op("subs", remaining, remaining, f"#{VECTOR_BLOCK}")
    code.op("bge", "1b")
    code.comment("zeros, and up to 7 bytes over them")
    code.label("2")
    code.op("mov", "r4", "#0")
    code.op("str", "r4", f"[{tail}]")
    code.op("str", "r4", f"[{tail}, #4]")
    code.op("adds", remaining, remaining, f"#{VECTOR_BLOCK}")
    code.op("beq", "4f")
    code.label("3")
    code.op("subs", remaining, remaining, "#1")
    code.op("ldrb", "r4", f"[{source}, {remaining}]")
    code.op("strb", "r4", f"[{tail}, {remaining}]")
    code.op("bne", "3b")
    code.op("ldr", "r4", f"[{tail}]")
    code.op("ldr", "r6", f"[{tail}, #4]")
    emit_products()
    code.label("4")
    code.op("mov", "r0", product)
    code.leave()
    return code.routine()


def interleaved_declaration(positions: int) -> str:
    """C declaration of `interleave_routine`."""
    return f"void jl_m4_widen{positions}(const int8_t *const *in, int16_t *out, uint32_t count);\n"


@cache
def interleave_routine(positions: int) -> Routine:
    """`jl_m4_widen1`..`3`: widens vectors of several positions, their words interleaved.

    Every 4 bytes of each become halves (0, 2) of all positions, then (1, 3) of all. Any alignment
    of the inputs, 4 of the output; a last word of 1..3 bytes is filled with zeros.
    """
    symbol = f"jl_m4_widen{positions}"
    code = Assembly(symbol, f"void {symbol}(const int8_t *const *in, int16_t *out, uint32_t count)")
    sources = ["r0", "r2", "r3"][:positions]
    target, remaining = "r1", "r12"
    even, odd = ["r4", "r5", "r6"][:positions], ["r7", "r8", "r9"][:positions]

    def emit_words() -> None:
        for word, source in zip(even, sources, strict=True):
            code.op("ldr", word, f"[{source}]", "#4")
        emit_halves()

    def emit_halves() -> None:
        for low, high in zip(even, odd, strict=True):
            emit_split(code, low, high)
        code.op("stm", f"{target}!", register_list([*even, *odd]))

    code.enter()
    code.op("subs", remaining, "r2", "#16")
    code.op("mov", "r10", "r0")
    for index, source in enumerate(sources):
        code.op("ldr", source, f"[r10, #{4 * index}]")
    code.op("blt", "2f")
    code.comment("16 inputs of each position a turn")
    code.label("1")
    for _ in range(4):
        emit_words()
    code.op("subs", remaining, remaining, "#16")
    code.op("bge", "1b")
    code.comment("the rest, 4 at a time")
    code.label("2")
    code.op("adds", remaining, remaining, "#12")
    code.op("blt", "4f")
    code.label("3")
    emit_words()
    code.op("subs", remaining, remaining, "#4")
    code.op("bge", "3b")
    code.comment("up to 3 bytes of each")
    code.label("4")
    code.op("adds", remaining, remaining, "#4")
    code.op("beq", "5f")
    for word, source in zip(even, sources, strict=True):
        code.op("mov", "r10", remaining)
        emit_tail_bytes(code, word, source, "r10")
    emit_halves()
    code.label("5")
    code.leave()
    return code.routine()
