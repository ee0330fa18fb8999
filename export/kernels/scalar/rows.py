"""Rows of weights times one vector, in C: four rows at a time share each load of an input."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from export.kernels.bounds import accumulator_interval, folded_bias
from export.kernels.c_text import integer_array
from export.kernels.scalar.requantise import scale_function

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from export.kernels.layer import Requantisation

_ROWS = 4
_UNROLL = 4

_FOUR_ROWS = """\
    for (uint32_t n = 0; n < {whole}; n += 4) {{
        uint32_t sum0 = (uint32_t)bias[n], sum1 = (uint32_t)bias[n + 1];
        uint32_t sum2 = (uint32_t)bias[n + 2], sum3 = (uint32_t)bias[n + 3];
#pragma GCC unroll {unroll}
        for (uint32_t k = 0; k < {inputs}; k++, weights += 4) {{
            const int32_t x = in[k];
            sum0 += (uint32_t)(x * weights[0]);
            sum1 += (uint32_t)(x * weights[1]);
            sum2 += (uint32_t)(x * weights[2]);
            sum3 += (uint32_t)(x * weights[3]);
        }}
        out[n] = {name}_scale(sum0, n);
        out[n + 1] = {name}_scale(sum1, n + 1);
        out[n + 2] = {name}_scale(sum2, n + 2);
        out[n + 3] = {name}_scale(sum3, n + 3);
    }}
"""

_ONE_ROW = """\
    for (uint32_t n = {whole}; n < {outputs}; n++) {{
        uint32_t sum = (uint32_t)bias[n];
#pragma GCC unroll {unroll}
        for (uint32_t k = 0; k < {inputs}; k++) sum += (uint32_t)(in[k] * *weights++);
        out[n] = {name}_scale(sum, n);
    }}
"""


def rows_function(
    name: str,
    weights: NDArray[np.int8],
    bias: NDArray[np.int32],
    input_zero_point: int,
    rule: Requantisation,
) -> tuple[str, str]:
    """C of `NAME_rows(const int8_t *in, int8_t *out)` with its constants, and a note.

    Args:
        name: of the layer.
        weights: int8 [outputs, inputs].
        bias: int32 [outputs].
        input_zero_point: −128..127.
        rule: requantisation.
    """
    outputs, inputs = weights.shape
    whole = outputs - outputs % _ROWS
    scale, note = scale_function(name, rule, accumulator_interval(weights, bias, input_zero_point))
    four = weights[:whole].reshape(-1, _ROWS, inputs).transpose(0, 2, 1)
    ordered = np.concatenate([four.ravel(), weights[whole:].ravel()])
    folded = folded_bias(weights, bias, input_zero_point).astype(np.uint32).view(np.int32)
    numbers = {
        "name": name,
        "whole": whole,
        "outputs": outputs,
        "inputs": inputs,
        "unroll": _UNROLL,
    }
    text = (
        f"{integer_array(f'{name}_weights', ordered)}"
        f"/* the input's zero point is folded in */\n{integer_array(f'{name}_bias', folded)}{scale}"
        f"static void {name}_rows(const int8_t *in, int8_t *out) {{\n"
        f"    const int8_t *weights = {name}_weights;\n"
        f"    const int32_t *const bias = {name}_bias;\n"
        f"{_FOUR_ROWS.format(**numbers) if whole else ''}"
        f"{_ONE_ROW.format(**numbers) if whole < outputs else ''}}}\n"
    )
    return text, note


def rows_instructions(outputs: int, inputs: int) -> int:
    """Estimate for one vector on a core with a multiply-accumulate instruction."""
    return int(outputs * (inputs * 2.6 + 20)) + 20
