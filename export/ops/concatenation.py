"""CONCATENATION: inputs one behind the other along an axis.

TFLite refuses INT8 inputs whose scale or zero point is not the output's, and any fused activation;
so does this. Nothing is rounded.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from export.c_text import copy_loop, macro_prefix, macros
from export.estimate import plain_c_instructions
from export.graph import Rounding
from export.kernels.layer import KernelCode
from export.ops.attribute_values import AXIS
from export.ops.one_scale import demand_one_scale
from export.ops.operator import Call, Operand, Shape, Signature, TfliteOperator

if TYPE_CHECKING:
    from types import ModuleType

    from numpy.typing import NDArray

    from device_profiles.core import Core
    from export.graph import Tensor
    from export.render.onnx import OnnxWriter

NAME = "CONCATENATION"
MAX_PARTS = 64
SIGNATURE = Signature(
    inputs=tuple(Operand(f"input {i}", is_optional=i > 0) for i in range(MAX_PARTS)),
    attributes={"axis": AXIS, "activation": ("NONE",)},
)


def _parts(call: Call) -> tuple[Tensor, ...]:
    return tuple(call.input(index) for index in range(len(call.inputs)))


def _axis(call: Call) -> int:
    """The axis, counted from the front."""
    axis, rank = call.node.attributes["axis"], len(call.input(0).shape)
    if not -rank <= axis < rank:
        raise call.unsupported(f"axis {axis} of {rank} dimensions")
    return int(axis) % rank


def infer(call: Call) -> tuple[Shape, ...]:
    """The inputs' shape, its size along the axis summed."""
    if None in call.inputs:
        raise call.unsupported(f"its input {call.inputs.index(None)} is absent")
    axis, parts = _axis(call), _parts(call)
    rest = {(*part.shape[:axis], *part.shape[axis + 1 :]) for part in parts}
    if len(rest) > 1 or len({len(part.shape) for part in parts}) > 1:
        shapes = ", ".join(str(part.shape) for part in parts)
        raise call.unsupported(f"{shapes} do not fit together along axis {axis}")
    demand_one_scale(call)
    shape = list(parts[0].shape)
    shape[axis] = sum(part.shape[axis] for part in parts)
    return (tuple(shape),)


def macs(call: Call) -> int:
    """None."""
    return 0


def reference(call: Call, *inputs: NDArray[Any] | None) -> tuple[NDArray[Any], ...]:
    """The specification; int8 arrays [rows, *shape]."""
    count = max(len(part) for part in inputs if part is not None)
    # A constant has one row for all.
    parts = [np.broadcast_to(p, (count, *p.shape[1:])) for p in inputs if p is not None]
    return (np.concatenate(parts, axis=_axis(call) + 1),)


def emit_c(call: Call, symbol: str, core: Core) -> KernelCode:
    """A run of each input in turn."""
    axis, parts, prefix = _axis(call), _parts(call), macro_prefix(symbol)
    sizes = {"RUNS": math.prod(call.output.shape[:axis])}
    sizes |= {f"RUN{index}": math.prod(part.shape[axis:]) for index, part in enumerate(parts)}
    names = [f"in{index}" for index in range(len(parts))]
    arguments = "".join(f"const int8_t *{name}, " for name in names)
    copies = "".join(
        copy_loop(" " * 8, f"{name}[run * {prefix}_RUN{index} + i]", f"{prefix}_RUN{index}")
        for index, name in enumerate(names)
    )
    body = f"""\
static void {symbol}({arguments}int8_t *out) {{
    for (int32_t run = 0; run < {prefix}_RUNS; run++) {{
{copies}\
    }}
}}
"""
    instructions = plain_c_instructions(
        core, outputs=call.output.size, rescales=0, rounding=Rounding.SINGLE
    )
    constants = sum(part.size for part in parts if part.data is not None)
    source = f"{macros(prefix, sizes)}\n{body}"
    return KernelCode(symbol, source, ".c", 0, constants, instructions, 0, "plain C")


def write_onnx(call: Call, onnx: OnnxWriter) -> None:
    """Concat."""
    parts = (onnx.real(part) for part in _parts(call))
    onnx.quantize(onnx.node("Concat", *parts, axis=_axis(call)), call.output)


def write_tflite(call: Call, schema: ModuleType) -> TfliteOperator:
    """CONCATENATION; version 2 brought int8."""
    options = schema.ConcatenationOptionsT()
    options.axis = call.node.attributes["axis"]
    options.fusedActivationFunction = schema.ActivationFunctionType.NONE
    return TfliteOperator(NAME, 2, options)
