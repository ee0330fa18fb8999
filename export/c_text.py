"""Pieces of generated C: constant tables, and the helpers that layers share."""

from __future__ import annotations

import re
import textwrap
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

C_TYPES = {"int8": "int8_t", "int32": "int32_t", "uint8": "uint8_t"}
LINE_CHARACTERS = 100


def constant_table(name: str, values: NDArray[Any], comment: str) -> str:
    """A constant array of integers, its meaning in a comment above it."""
    # −2147483648 is no int literal in C: the minus is an operator on 2147483648.
    numbers = (str(v) if v > -(2**31) else "(-2147483647 - 1)" for v in values.ravel().tolist())
    lines = textwrap.wrap(", ".join(numbers), LINE_CHARACTERS - 4)
    body = "\n".join(f"    {line}" for line in lines)
    c_type = C_TYPES[str(values.dtype)]
    return (
        f"{block_comment(comment)}static const {c_type} {name}[{values.size}] = {{\n{body}\n}};\n"
    )


def block_comment(text: str, indent: str = "") -> str:
    """A C comment, wrapped; whatever a model's names hold, it ends where it should."""
    safe = (
        re.sub(r"[^A-Za-z0-9_.,:;=()\[\]>/*^+ -]", "_", text)
        .replace("/*", "__")
        .replace("*/", "__")
    )
    lines = textwrap.wrap(safe, LINE_CHARACTERS - len(indent) - 6, break_on_hyphens=False)
    return f"{indent}/* " + f"\n{indent} * ".join(lines) + " */\n"


def constants_block(tables: Iterable[str]) -> str:
    """Tables together, kept from the formatter: it would put one number on a line."""
    return "// clang-format off\n" + "".join(tables) + "// clang-format on\n"


def macro_prefix(symbol: str) -> str:
    """A short prefix for a layer's macros: `layer3_conv_2d` gives `LAYER3`, unique like it."""
    return symbol.partition("_")[0].upper()


def macros(prefix: str, values: dict[str, int]) -> str:
    """Sizes and quantisation as named macros."""
    lines = []
    for name, value in values.items():
        text = str(value) if value >= 0 else f"({value})"
        lines.append(f"#define {prefix}_{name} {text}\n")
    return "".join(lines)


def copy_loop(indent: str, element: str, count: str) -> str:
    """Copy `count` elements to `*out++`; `element` names the one at index `i`."""
    return (
        f"{indent}for (int32_t i = 0; i < {count}; i++) {{\n"
        f"{indent}    *out++ = {element};\n{indent}}}\n"
    )


def nested_loops(
    indent: str, limits: Sequence[str], body: str, names: Sequence[str] | None = None
) -> str:
    """Loops inside each other around statements.

    Args:
        indent: of the outermost loop.
        limits: how often each runs, outermost first.
        body: lines of C, not indented.
        names: of the counters; i0, i1, … without them.
    """
    names = names or [f"i{level}" for level in range(len(limits))]
    opened, closed = "", ""
    for name, limit in zip(names, limits, strict=True):
        opened += f"{indent}for (int32_t {name} = 0; {name} < {limit}; {name}++) {{\n"
        closed = f"{indent}}}\n{closed}"
        indent += "    "
    return opened + textwrap.indent(body, indent) + closed


# name -> definition. A helper that calls another stands after it.
HELPERS = {
    "jl_clamp": """\
/* Limit a value to [minimum, maximum], a range within int8. */
static inline int8_t jl_clamp(int64_t value, int32_t minimum, int32_t maximum) {
    return (int8_t)(value < minimum ? minimum : value > maximum ? maximum : value);
}
""",
    "jl_scale_once": """\
/* value * multiplier / 2^(31 - shift), rounded once, ties upwards. A right shift of a negative
 * number is arithmetic on every compiler that this is built with. */
static inline int64_t jl_scale_once(int32_t value, int32_t multiplier, int32_t shift) {
    const int32_t places = 31 - shift;
    return ((int64_t)value * multiplier + ((int64_t)1 << (places - 1))) >> places;
}
""",
    "jl_scale_twice": """\
/* value * multiplier / 2^(31 - shift), rounded twice: in a doubling high multiply, ties upwards,
 * then in a shift, ties away from zero. */
static inline int64_t jl_scale_twice(int32_t value, int32_t multiplier, int32_t shift) {
    int64_t shifted = value;
    if (shift > 0) {
        shifted = shifted * ((int64_t)1 << shift);
        shifted = shifted < INT32_MIN ? INT32_MIN : shifted > INT32_MAX ? INT32_MAX : shifted;
        shift = 0;
    }
    const int32_t high = (int32_t)((shifted * multiplier + (1 << 30)) >> 31);
    const int32_t mask = (int32_t)((1u << -shift) - 1u);
    const int32_t threshold = (mask >> 1) + (high < 0 ? 1 : 0);
    return (high >> -shift) + ((high & mask) > threshold ? 1 : 0);
}
""",
    "jl_load_bytes": """\
/* Four bytes as a word, from any address. */
static inline uint32_t jl_load_bytes(const int8_t *at) {
    return (uint32_t)(uint8_t)at[0] | (uint32_t)(uint8_t)at[1] << 8 |
           (uint32_t)(uint8_t)at[2] << 16 | (uint32_t)(uint8_t)at[3] << 24;
}
""",
    "jl_add_bytes": """\
#ifdef __ARM_FEATURE_SIMD32
#include <arm_acle.h>
#endif
/* Add bytes 0 and 2 of a word to two sums in halves, neither of which may overflow. */
static inline uint32_t jl_add_bytes(uint32_t sums, uint32_t word) {
#ifdef __ARM_FEATURE_SIMD32
    return (uint32_t)__uxtab16((int16x2_t)sums, (int8x4_t)word);
#else
    return sums + (word & 0x00ff00ffu);
#endif
}
""",
    "jl_doubling_high_multiply": """\
/* a * b / 2^31, rounded, ties upwards; not for both -2^31. */
static inline int32_t jl_doubling_high_multiply(int32_t a, int32_t b) {
    return (int32_t)(((int64_t)a * b + (1 << 30)) >> 31);
}
""",
    "jl_rounding_shift": """\
/* value / 2^places for value >= 0, ties upwards; 1 <= places <= 31. */
static inline int32_t jl_rounding_shift(int32_t value, int32_t places) {
    return (int32_t)(((int64_t)value + ((int64_t)1 << (places - 1))) >> places);
}
""",
    "jl_one_over_one_plus": """\
/* 1 / (1 + fraction) for fraction in [0, 1), both with 31 fractional bits: three steps of Newton's
 * method, as gemmlowp takes them. */
static inline int32_t jl_one_over_one_plus(int32_t fraction) {
    const int32_t half = (int32_t)(((int64_t)fraction + INT32_MAX + 1) >> 1);
    int32_t x = 1515870810 + jl_doubling_high_multiply(half, -1010580540); // 48/17 - 32/17 half
    for (int32_t step = 0; step < 3; step++) {
        const int32_t error = (1 << 29) - jl_doubling_high_multiply(half, x);
        x += jl_doubling_high_multiply(x, error) * 4;
    }
    return x >= 1 << 30 ? INT32_MAX : x * 2;
}
""",
}
SCALE_HELPERS = {"single": "jl_scale_once", "double": "jl_scale_twice"}


def helpers_used(source: str) -> str:
    """Definitions of the helpers that `source` calls, and of those that these call, in order."""
    wanted: list[str] = []
    # Callers stand after what they call, so one walk from the end finds all.
    for name, text in reversed(HELPERS.items()):
        if f"{name}(" in source:
            wanted.insert(0, text)
            source += text
    return "\n".join(wanted)
