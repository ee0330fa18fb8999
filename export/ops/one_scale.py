"""The rule of operators that move elements and compute nothing: one scale everywhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from export.ops.operator import Call


def demand_one_scale(call: Call, tolerance: float = 0.0) -> None:
    """See that every input has the output's scale and zero point, as TFLite demands.

    Args:
        call: the operator.
        tolerance: largest difference of scales.

    Raises:
        UnsupportedModelError: names the input and both scales.
    """
    output = call.output
    for tensor in call.inputs:
        if tensor is None:
            continue
        difference = abs(float(tensor.scale) - float(output.scale))
        if difference > tolerance or tensor.zero_point != output.zero_point:
            raise call.unsupported(
                f"its input {tensor.name} has scale {tensor.scale:.9g} and zero point "
                f"{tensor.zero_point}; its output {output.name} has {output.scale:.9g} and "
                f"{output.zero_point}: they must be the same",
                hint="convert the model again, or put a QUANTIZE before the operator",
            )
