"""What ADD, SUB and MUL share: two inputs, broadcast as NumPy does, and a fused activation."""

from __future__ import annotations

import math
import textwrap
from typing import TYPE_CHECKING, Any

import numpy as np

from export.arithmetic.activation import ACTIVATIONS, activation_range
from export.c_text import macro_prefix, macros, nested_loops
from export.estimate import PLAIN_C, plain_c_instructions
from export.kernels.layer import KernelCode
from export.ops.operator import Call, Operand, Shape, Signature, TfliteOperator

if TYPE_CHECKING:
    from types import ModuleType

    from numpy.typing import NDArray

    from device_profiles.core import Core
    from export.graph import Rounding

BINARY_SIGNATURE = Signature(
    inputs=(Operand("first"), Operand("second")),
    attributes={"activation": ACTIVATIONS},
)


def infer_binary(call: Call) -> tuple[Shape, ...]:
    """The broadcast shape, at most four dimensions."""
    first, second = call.input(0), call.input(1)
    try:
        shape = np.broadcast_shapes(first.shape, second.shape)
    except ValueError as error:
        raise call.unsupported(f"{first.shape} and {second.shape} do not broadcast") from error
    if len(shape) > 4:
        raise call.unsupported(f"{len(shape)} dimensions; at most 4")
    return (shape,)


def centred_operands(
    call: Call, inputs: tuple[NDArray[Any] | None, ...]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Both operands less their zero points, with as many dimensions as the output."""
    rank = len(call.output.shape)
    first, second = (
        np.asarray(x, np.int64).reshape(len(x), *(1,) * (rank - x.ndim + 1), *x.shape[1:])
        for x in inputs
        if x is not None
    )
    return first - call.input(0).zero_point, second - call.input(1).zero_point


def to_output(call: Call, scaled: NDArray[np.int64]) -> tuple[NDArray[np.int8]]:
    """Around the output's zero point, within its clamps."""
    return (np.clip(scaled + call.output.zero_point, *_clamps(call)).astype(np.int8),)


def _clamps(call: Call) -> tuple[int, int]:
    return activation_range(
        call.node.attributes.get("activation", "NONE"), call.output.quantization
    )


def emit_binary(
    call: Call,
    symbol: str,
    core: Core,
    *,
    numbers: dict[str, int],
    statements: str,
    rescales: int,
    rounding: Rounding,
) -> KernelCode:
    """One loop where no operand is broadcast, else one per dimension.

    Args:
        call: what to compute.
        symbol: name of the function.
        core: what the count of instructions is estimated for.
        numbers: macros that `statements` use.
        statements: C that computes `scaled` from the elements `a` and `b`, int32_t.
        rescales: scalings per output.
        rounding: their rule.
    """
    prefix = macro_prefix(symbol)
    minimum, maximum = _clamps(call)
    numbers = numbers | {
        "OUT_ZERO_POINT": call.output.zero_point,
        "MINIMUM": minimum,
        "MAXIMUM": maximum,
    }
    sizes, loops = _loops(call, symbol, prefix)
    body = f"""\
static inline int8_t {symbol}_of(int32_t a, int32_t b) {{
{textwrap.indent(statements, "    ")}\
    return jl_clamp(scaled + {prefix}_OUT_ZERO_POINT, {prefix}_MINIMUM, {prefix}_MAXIMUM);
}}

static void {symbol}(const int8_t *first, const int8_t *second, int8_t *out) {{
{loops}\
}}
"""
    constants = (tensor for tensor in call.inputs if tensor is not None and tensor.data is not None)
    instructions = plain_c_instructions(
        core, outputs=call.output.size, rescales=rescales, rounding=rounding
    )
    return KernelCode(
        symbol,
        f"{macros(prefix, numbers | sizes)}\n{body}",
        ".c",
        scratch_bytes=0,
        weights_bytes=sum(tensor.size for tensor in constants),
        instructions=instructions,
        stack_bytes=0,
        note=PLAIN_C,
        runs_in_place=True,
    )


def _loops(call: Call, symbol: str, prefix: str) -> tuple[dict[str, int], str]:
    """The loops over the output's elements in order, and the macros that they use."""
    if call.input(0).shape == call.input(1).shape:
        body = f"out[i] = {symbol}_of(first[i], second[i]);\n"
        loop = nested_loops("    ", [f"{prefix}_SIZE"], body, names=["i"])
        return {"SIZE": call.output.size}, loop
    sizes = {f"D{axis}": size for axis, size in enumerate(call.output.shape)}
    places = ""
    for name, strides in (("a", _strides(call, 0)), ("b", _strides(call, 1))):
        used = {axis: stride for axis, stride in enumerate(strides) if stride}
        sizes |= {f"{name.upper()}_STRIDE{axis}": stride for axis, stride in used.items()}
        places += f"int32_t {name} = 0;\n"
        places += "".join(f"{name} += i{n} * {prefix}_{name.upper()}_STRIDE{n};\n" for n in used)
    limits = [f"{prefix}_D{axis}" for axis in range(len(call.output.shape))]
    body = f"{places}*out++ = {symbol}_of(first[a], second[b]);\n"
    return sizes, nested_loops("    ", limits, body)


def _strides(call: Call, index: int) -> tuple[int, ...]:
    """An operand's step along each dimension of the output; 0 where it repeats."""
    rank, own = len(call.output.shape), call.input(index).shape
    shape = (1,) * (rank - len(own)) + own
    return tuple(math.prod(shape[axis + 1 :]) if shape[axis] > 1 else 0 for axis in range(rank))


def binary_tflite(call: Call, options: Any, schema: ModuleType) -> TfliteOperator:
    """The operator with its activation; version 2 brought int8."""
    activation = call.node.attributes.get("activation", "NONE")
    options.fusedActivationFunction = getattr(schema.ActivationFunctionType, activation)
    return TfliteOperator(call.node.op, 2, options)
