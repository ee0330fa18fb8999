"""int32 accumulator to int8 in C: one 64-bit product where bounds allow, else every step."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from export.graph import Rounding
from export.kernels.c_text import integer_array
from export.kernels.scaling import Scaling, plan_scaling

if TYPE_CHECKING:
    from export.kernels.bounds import Accumulators
    from export.kernels.layer import Requantisation

_CLAMP = """\
    return (int8_t)(value < {minimum} ? {minimum} : value > {maximum} ? {maximum} : value);
}}
"""

_PROVEN = """\
/* No step overflows: |sum << shift| < 2^31 for every input. */
static inline int8_t {name}_scale(uint32_t sum, uint32_t channel) {{
    const int32_t *const scale = {name}_scales + {words} * channel;
    const int32_t shifted = (int32_t)(sum << (uint32_t)scale[0]);
    const int32_t offset = scale[2]{tie};
    const int64_t product = (int64_t)shifted * scale[1] + offset * ((int64_t)1 << 32);
    const int32_t value = (int32_t)(product >> 32) >> {shift};
"""

_SINGLE = """\
static inline int8_t {name}_scale(uint32_t sum, uint32_t channel) {{
    const int32_t *const scale = {name}_scales + 2 * channel;
    const int32_t places = 31 - scale[0];
    const int64_t product = (int64_t)(int32_t)sum * scale[1];
    const int64_t value = ((product + ((int64_t)1 << (places - 1))) >> places) + ({zero_point});
"""

_DOUBLE = """\
static inline int8_t {name}_scale(uint32_t sum, uint32_t channel) {{
    const int32_t *const scale = {name}_scales + 2 * channel;
    int64_t shifted = (int32_t)sum;
    int32_t right = -scale[0];
    if (right < 0) {{
        shifted *= (int64_t)1 << -right;
        shifted = shifted < INT32_MIN ? INT32_MIN : shifted > INT32_MAX ? INT32_MAX : shifted;
        right = 0;
    }}
    const int32_t high = (int32_t)((shifted * scale[1] + (1 << 30)) >> 31);
    const int32_t mask = (int32_t)((1u << right) - 1u);
    const int32_t threshold = (mask >> 1) + (high < 0 ? 1 : 0);
    const int32_t rounded = (high >> right) + ((high & mask) > threshold ? 1 : 0);
    const int64_t value = (int64_t)rounded + ({zero_point});
"""


def scale_function(name: str, rule: Requantisation, accumulators: Accumulators) -> tuple[str, str]:
    """C of `int8_t NAME_scale(uint32_t sum, uint32_t channel)` with its table, and a note.

    Args:
        name: of the layer.
        rule: its requantisation.
        accumulators: their proven intervals.
    """
    clamp = _CLAMP.format(minimum=f"({rule.minimum})", maximum=f"({rule.maximum})")
    scaling = plan_scaling(rule, accumulators)
    if isinstance(scaling, Scaling):
        return _proven(name, scaling) + clamp, "one product a sum, bounds proven"
    table = np.stack([rule.shift, rule.multiplier], axis=1).astype(np.int32)
    template = _SINGLE if rule.rounding is Rounding.SINGLE else _DOUBLE
    body = template.format(name=name, zero_point=rule.zero_point)
    return integer_array(f"{name}_scales", table) + body + clamp, f"every step: {scaling}"


def _proven(name: str, scaling: Scaling) -> str:
    offset = scaling.offset - scaling.clamp.entry_move * (1 << scaling.shift)
    columns = [scaling.left_shift, scaling.multiplier, offset]
    if scaling.needs_tie:
        columns.append(scaling.tie)
    table = np.stack(columns, axis=1).astype(np.int32)
    tie = " - ((int32_t)sum < 0 ? scale[3] : 0)" if scaling.needs_tie else ""
    return integer_array(f"{name}_scales", table) + _PROVEN.format(
        name=name, words=len(columns), shift=scaling.shift, tie=tie
    )
