"""Fused activations: what they do to the range of an int8 output."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from export.graph import Quant

ACTIVATIONS = ("NONE", "RELU", "RELU6")


def activation_range(activation: str, quant: Quant) -> tuple[int, int]:
    """Smallest and largest int8 value that an output may take.

    Reference: TFLite's `CalculateActivationRangeQuantized`.

    >>> from export.graph import Quant
    >>> activation_range("RELU6", Quant.per_tensor(0.05, -100))
    (-100, 20)
    """
    scale, zero_point = np.float32(quant.scale[0]), int(quant.zero_point[0])
    low, high = -128, 127
    if activation in ("RELU", "RELU6"):
        low = max(low, zero_point)
    if activation == "RELU6":
        # TFLite divides in float32 and rounds ties away from zero.
        high = min(high, zero_point + int(np.floor(np.float32(6.0) / scale + 0.5)))
    return low, max(low, high)
