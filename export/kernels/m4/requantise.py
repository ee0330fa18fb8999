"""The scaling of `export.kernels.scaling` in a few instructions: SMMLA, SSAT and their shifts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from export.kernels.bounds import INT8_MAX, INT8_MIN
from export.kernels.scaling import PACKED_SHIFT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from export.kernels.m4.assembly import Assembly
    from export.kernels.scaling import Clamp, Recipe


def emit_shift(code: Assembly, value: str, amount: str, recipe: Recipe, *, is_high: bool) -> None:
    """Scale a sum by 2^p; a packed high row holds it times 2^8 (`Scaling.high_shift`)."""
    if is_high and not recipe.is_wide:
        code.op("asr", value, value, amount)
        return
    if is_high:
        code.op("asr", value, value, f"#{PACKED_SHIFT}")
    code.op("lsl", value, value, amount)


def emit_clamp(code: Assembly, clamp: Clamp, values: Sequence[str], shift: int) -> None:
    """Shift, saturate and clamp each register of `values`."""
    for value in values:
        code.op("ssat", value, "#8", value, f"asr #{shift}")
    place = clamp.entry_move
    ends = []
    if clamp.minimum > INT8_MIN:
        ends.append(INT8_MAX - clamp.maximum)
    if ends or place:
        ends.append(0)
    for index, end in enumerate(ends):
        if end == place:
            continue
        for value in values:
            code.op("add", value, value, f"#{end - place}")
        if index == 0:
            for value in values:
                code.op("ssat", value, "#8", value)
        place = end


def emit_scale(
    code: Assembly,
    values: Sequence[str],
    multipliers: Sequence[str],
    offsets: Sequence[str],
    ties: Sequence[str],
    temporary: str,
) -> None:
    """Multiply and round; `ties` is empty where no correction can show."""
    for index, value in enumerate(values):
        offset = offsets[index]
        if ties:
            code.op("and", temporary, ties[index], value, "asr #31")
            code.op("sub", temporary, offset, temporary)
            offset = temporary
        code.op("smmla", value, value, multipliers[index], offset)
