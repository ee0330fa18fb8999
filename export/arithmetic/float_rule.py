"""LiteRT's default kernels scale accumulators in float32; where that equals rounding in integers.

XNNPACK computes int8 = clamp(rint(float32(acc) × factor) + zero_point), ties to even, with
factor = input scale × weight scale / output scale in float32 (its x86-64 and Armv8 kernels, `fp32`
requantisation). Rounding once in integers differs from that in about one output of a million: where
the exact product lies closer to a tie than float32 resolves. Whether it can differ at all is
decided per channel by looking at every accumulator where the output steps: at most 255.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from export.kernels.layer import Requantisation


def float_factor(
    input_scale: NDArray[np.float32], weight_scale: NDArray[np.float32], output_scale: np.float32
) -> NDArray[np.float32]:
    """The factor as XNNPACK computes it, float32 operation by operation, [channels]."""
    return (input_scale * weight_scale) / output_scale


def agrees_with_float(
    how: Requantisation,
    factor: NDArray[np.float32],
    low: NDArray[np.int64],
    high: NDArray[np.int64],
) -> NDArray[np.bool_]:
    """Per channel: do `single` and the float32 rule agree for every accumulator in [low, high]?

    Args:
        how: the integer rule, `single`.
        factor: float32 [channels], from `float_factor`.
        low: smallest accumulator that the layer can reach, int64 [channels].
        high: largest, int64 [channels].

    Returns:
        bool [channels]; False also where the proof would not fit 64 bits (factor < 2^-22).
    """
    outputs = np.arange(how.minimum, how.maximum, dtype=np.int64) - how.zero_point
    multiplier = how.multiplier.astype(np.int64)[:, None]
    shift = how.shift.astype(np.int64)[:, None]
    provable = (shift >= -22) & (multiplier > 0)
    # The first accumulator above output k: acc × m >= (2k + 1) × 2^(30 − shift).
    target = (2 * outputs + 1) << np.where(provable, 30 - shift, 0)
    first = -(-target // np.where(provable, multiplier, 1))

    def is_above(accumulator: NDArray[np.int64]) -> NDArray[np.bool_]:
        above: NDArray[np.bool_] = (
            np.rint(accumulator.astype(np.float32) * factor[:, None]) > outputs
        )
        return above

    # Both rules are monotonic, so equal steps within the range mean equal results. An end of the
    # range between two steps must lie between them for the float32 rule too.
    inside = (first > low[:, None]) & (first <= high[:, None])
    steps_agree = ~inside | (is_above(first) & ~is_above(first - 1))
    ends_agree = (is_above(low[:, None]) == (first <= low[:, None])) & (
        is_above(high[:, None]) == (first <= high[:, None])
    )
    agrees: NDArray[np.bool_] = np.all(steps_agree & ends_agree & provable, axis=1)
    return agrees
