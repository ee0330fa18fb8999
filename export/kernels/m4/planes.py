"""Shared routine: four channels of an NHWC image become planes of vertical pairs for depthwise.

A plane holds 16-bit values x - zero point, column after column; a word is the pair of rows
(2n - top, 2n - top + 1), zero where the image ends. Neighbouring words are four rows, one LDRD.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import TYPE_CHECKING

from export.kernels.m4.assembly import Assembly

if TYPE_CHECKING:
    from export.kernels.layer import Routine

CHANNELS = 4

DECLARATION = """\
#ifndef JL_M4_PLANES
#define JL_M4_PLANES
typedef struct {
    uint32_t row_bytes;     /* of the image: width * channels */
    uint32_t column_bytes;  /* channels */
    uint32_t columns;
    uint32_t plane_bytes;
    uint32_t leading;       /* 1: the first pair's upper row lies above the image */
    uint32_t pairs;         /* whole pairs of rows in the image */
    uint32_t half;          /* 1: then one row with nothing below */
    uint32_t zeros;         /* then pairs below the image */
    uint32_t zero_points;   /* the negated zero point in both halves */
} jl_m4_geometry;
void jl_m4_planes(const int8_t *in, int32_t *planes, const jl_m4_geometry *geometry);
#endif
"""


@dataclass(frozen=True)
class Geometry:
    """What `jl_m4_planes` is told: fields of its argument, in order."""

    row_bytes: int
    column_bytes: int
    columns: int
    plane_bytes: int
    leading: int
    pairs: int
    half: int
    zeros: int
    zero_points: int

    @property
    def words_a_column(self) -> int:
        """Pairs in a column of a plane."""
        return self.leading + self.pairs + self.half + self.zeros


def plan_geometry(
    shape: tuple[int, int, int], top: int, words_a_column: int, zero_point: int
) -> Geometry:
    """Which rows make which pairs.

    Args:
        shape: (height, width, channels) of the image.
        top: rows of padding above, 0 or 1.
        words_a_column: pairs that the convolution reads.
        zero_point: of the image.
    """
    height, width, channels = shape
    pairs = min((height - top) // 2, words_a_column - top)
    half = int(top + pairs < words_a_column and (height - top) % 2 == 1)
    halves = -zero_point & 0xFFFF
    return Geometry(
        width * channels,
        channels,
        width,
        4 * words_a_column * width,
        top,
        pairs,
        half,
        words_a_column - top - pairs - half,
        halves << 16 | halves,
    )


def gather_instructions(geometry: Geometry) -> int:
    """Executed by one call."""
    column = 16 + 17 * geometry.pairs + 13 * (geometry.leading + geometry.half) + 6 * geometry.zeros
    return 20 + geometry.columns * column


_ROW_BYTES, _WALK, _ZERO_POINTS, _COUNT = "r2", "r3", "lr", "r12"
_PLANES = ("r4", "r5", "r6", "r7")
_UPPER, _LOWER = ("r8", "r9"), ("r10", "r11")  # channels (0, 2) and (1, 3) of a row


def _extend(code: Assembly, pair: tuple[str, str]) -> None:
    """Four bytes in the first register to x - zero point in both."""
    code.op("sxtab16", pair[1], _ZERO_POINTS, pair[0], "ror #8")
    code.op("sxtab16", pair[0], _ZERO_POINTS, pair[0])


def _store(code: Assembly, words: tuple[str, str, str, str]) -> None:
    for word, plane in zip(words, _PLANES, strict=True):
        code.op("str", word, f"[{plane}]", "#4")


def _emit_count(code: Assembly, register: str, skip: str) -> None:
    """Fetch a count and jump past its block when it is zero."""
    code.op("vmov", _COUNT, register)
    code.op("cmp", _COUNT, "#0")
    code.op("beq", skip)


def _emit_leading(code: Assembly) -> None:
    code.comment("the first row, nothing above it: values go to upper halves")
    _emit_count(code, "s4", "2f")
    code.op("ldr", _LOWER[0], f"[{_WALK}]")
    code.op("add", _WALK, _WALK, _ROW_BYTES)
    _extend(code, _LOWER)
    code.op("lsl", _UPPER[0], _LOWER[0], "#16")
    code.op("lsl", _UPPER[1], _LOWER[1], "#16")
    code.op("mov", "r1", "#0")
    code.op("pkhtb", _LOWER[0], _LOWER[0], "r1")
    code.op("pkhtb", _LOWER[1], _LOWER[1], "r1")
    _store(code, (*_UPPER, *_LOWER))
    code.label("2")


def _emit_pairs(code: Assembly) -> None:
    code.comment("whole pairs: four channels of two rows, transposed")
    _emit_count(code, "s5", "4f")
    code.label("3")
    code.op("ldr", _UPPER[0], f"[{_WALK}]")
    code.op("ldr", _LOWER[0], f"[{_WALK}, {_ROW_BYTES}]")
    code.op("add", _WALK, _WALK, _ROW_BYTES, "lsl #1")
    _extend(code, _UPPER)
    _extend(code, _LOWER)
    for half in range(2):
        upper, lower = _UPPER[half], _LOWER[half]
        code.op("pkhbt", "r1", upper, lower, "lsl #16")
        code.op("str", "r1", f"[{_PLANES[half]}]", "#4")
        code.op("pkhtb", upper, lower, upper, "asr #16")
        code.op("str", upper, f"[{_PLANES[half + 2]}]", "#4")
    code.op("subs", _COUNT, _COUNT, "#1")
    code.op("bne", "3b")
    code.label("4")


def _emit_half(code: Assembly) -> None:
    code.comment("the last row, nothing below it: values go to lower halves")
    _emit_count(code, "s6", "5f")
    code.op("ldr", _UPPER[0], f"[{_WALK}]")
    _extend(code, _UPPER)
    code.op("uxth", _LOWER[0], _UPPER[0])
    code.op("uxth", _LOWER[1], _UPPER[1])
    code.op("lsr", _UPPER[0], _UPPER[0], "#16")
    code.op("lsr", _UPPER[1], _UPPER[1], "#16")
    _store(code, (*_LOWER, *_UPPER))
    code.label("5")


def _emit_zeros(code: Assembly) -> None:
    code.comment("nothing but padding")
    code.op("vmov", _COUNT, "s7")
    code.op("mov", "r1", "#0")
    code.label("6")
    code.op("subs", _COUNT, _COUNT, "#1")
    code.op("blt", "7f")
    _store(code, ("r1", "r1", "r1", "r1"))
    code.op("b", "6b")
    code.label("7")


@cache
def planes_routine() -> Routine:
    """`jl_m4_planes`."""
    code = Assembly(
        "jl_m4_planes",
        "void jl_m4_planes(const int8_t *in, int32_t *planes, const jl_m4_geometry *geometry)",
    )
    code.enter()
    code.comment("s0..s8: the geometry's fields in order; four plane pointers")
    code.op("vldmia", "r2", "{s0-s8}")
    code.op("vmov", _ROW_BYTES, "s0")
    code.op("vmov", "r3", "s3")
    code.op("mov", _PLANES[0], "r1")
    for before, plane in pairwise(_PLANES):
        code.op("add", plane, before, "r3")
    code.op("vmov", _ZERO_POINTS, "s8")
    code.comment("a column a turn")
    code.label("1")
    code.op("mov", _WALK, "r0")
    _emit_leading(code)
    _emit_pairs(code)
    _emit_half(code)
    _emit_zeros(code)
    code.op("vmov", "r1", "r3", "s1", "s2")
    code.op("add", "r0", "r0", "r1")
    code.op("subs", "r3", "r3", "#1")
    code.op("vmov", "s2", "r3")
    code.op("bne", "1b")
    code.leave()
    return code.routine()
