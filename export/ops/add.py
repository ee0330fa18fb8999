"""ADD: the sum of two int8 tensors, broadcast as NumPy does, then a fused activation.

`double` is TFLite's: each input is scaled up by 2^20, scaled to twice the larger input scale,
added, and scaled to the output, rounding twice each time. `single` is LiteRT's default kernel,
XNNPACK's: (bias + a × multiplier_a + b × multiplier_b) >> shift with multipliers below 2^21,
rounded once. XNNPACK takes scale ratios input/output in [2^-10, 2^8); outside of that LiteRT
falls back, and so does `single`, to rounding twice.
"""

from __future__ import annotations

import math
import textwrap
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from export.arithmetic.activation import ACTIVATIONS, activation_range
from export.arithmetic.fixed_point import quantize_multiplier, scale_twice
from export.c_text import macros
from export.estimate import PLAIN_C, plain_c_instructions
from export.graph import Rounding
from export.kernels.layer import KernelCode
from export.ops.operator import Call, Operand, Shape, Signature, TfliteOperator

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

    from numpy.typing import NDArray

    from device_profiles.core import Core
    from export.render.onnx import OnnxWriter

NAME = "ADD"
SIGNATURE = Signature(
    inputs=(Operand("first"), Operand("second")),
    attributes={"activation": ACTIVATIONS},
)
LEFT_SHIFT = 20  # TFLite's headroom: 8-bit inputs, centred, fit in 29 bits
MULTIPLIER_BITS = 20  # XNNPACK's


def infer(call: Call) -> tuple[Shape, ...]:
    """The broadcast shape, at most four dimensions."""
    first, second = call.input(0), call.input(1)
    try:
        shape = np.broadcast_shapes(first.shape, second.shape)
    except ValueError as error:
        raise call.unsupported(f"{first.shape} and {second.shape} do not broadcast") from error
    if len(shape) > 4:
        raise call.unsupported(f"{len(shape)} dimensions; at most 4")
    return (shape,)


def macs(call: Call) -> int:
    """None."""
    return 0


@dataclass(frozen=True)
class OnceRounded:
    """(bias + a × multipliers[0] + b × multipliers[1]) >> shift, centred on the zero point."""

    multipliers: tuple[int, int]
    bias: int
    shift: int


@dataclass(frozen=True)
class TwiceRounded:
    """Multiplier and shift (<= 0) of the two inputs and of the output."""

    multipliers: tuple[int, int, int]
    shifts: tuple[int, int, int]


def scaling(call: Call) -> OnceRounded | TwiceRounded:
    """How the sum is scaled; decided by the graph's rule and the ratios of the scales."""
    tensors = (call.input(0), call.input(1))
    if call.rounding is Rounding.SINGLE:
        ratios = [tensor.scale / call.output.scale for tensor in tensors]  # float32
        if all(2.0**-10 <= ratio < 2.0**8 for ratio in ratios):
            # The larger ratio gets a multiplier in [2^20, 2^21).
            shift = MULTIPLIER_BITS - (int(np.frexp(max(ratios))[1]) - 1)
            first, second = (int(np.rint(np.float64(ratio) * 2.0**shift)) for ratio in ratios)
            bias = (1 << (shift - 1)) - first * tensors[0].zero_point
            return OnceRounded((first, second), bias - second * tensors[1].zero_point, shift)
    twice_largest = 2.0 * np.float64(max(tensor.scale for tensor in tensors))
    factors = [np.float64(tensor.scale) / twice_largest for tensor in tensors]
    factors.append(twice_largest / (2.0**LEFT_SHIFT * np.float64(call.output.scale)))
    if factors[2] >= 1.0:
        raise call.unsupported("the output's scale is too small for the inputs' scales")
    multipliers, shifts = quantize_multiplier(np.array(factors))
    return TwiceRounded(tuple(multipliers.tolist()), tuple(shifts.tolist()))


def reference(call: Call, *inputs: NDArray[Any] | None) -> tuple[NDArray[Any], ...]:
    """The specification; two int8 arrays [rows, *shape]."""
    how = scaling(call)
    rank = len(call.output.shape)
    first, second = (
        np.asarray(x, np.int64).reshape(len(x), *(1,) * (rank - x.ndim + 1), *x.shape[1:])
        for x in inputs
        if x is not None
    )
    if isinstance(how, OnceRounded):
        total = how.bias + first * how.multipliers[0] + second * how.multipliers[1]
        scaled = total >> how.shift
    else:
        (m_first, m_second, m_out), (s_first, s_second, s_out) = (
            map(np.int64, how.multipliers),
            map(np.int64, how.shifts),
        )
        a = scale_twice((first - call.input(0).zero_point) << LEFT_SHIFT, m_first, s_first)
        b = scale_twice((second - call.input(1).zero_point) << LEFT_SHIFT, m_second, s_second)
        scaled = scale_twice(a + b, m_out, s_out)
    minimum, maximum = _clamps(call)
    return (np.clip(scaled + call.output.zero_point, minimum, maximum).astype(np.int8),)


def _clamps(call: Call) -> tuple[int, int]:
    return activation_range(
        call.node.attributes.get("activation", "NONE"), call.output.quantization
    )


def emit_c(call: Call, symbol: str, core: Core) -> KernelCode:
    """One loop where no operand is broadcast, else four with strides."""
    prefix = symbol.upper()
    minimum, maximum = _clamps(call)
    is_flat = call.input(0).shape == call.input(1).shape
    sizes, loops, indices = (_flat_loop if is_flat else _broadcast_loops)(call, prefix)
    numbers, sum_of = _sum(call, prefix)
    clamps = {"ZERO_POINT": call.output.zero_point, "MINIMUM": minimum, "MAXIMUM": maximum}
    store = (
        f"out[i] = jl_clamp(scaled + {prefix}_ZERO_POINT, {prefix}_MINIMUM, {prefix}_MAXIMUM);\n"
    )
    body = loops.replace("BODY", textwrap.indent(sum_of(*indices) + store, " " * 8))
    signature = f"static void {symbol}(const int8_t *a, const int8_t *b, int8_t *out)"
    constants = (tensor for tensor in call.inputs if tensor is not None and tensor.data is not None)
    return KernelCode(
        symbol,
        f"{macros(prefix, sizes | numbers | clamps)}\n{signature} {{\n{body}}}\n",
        ".c",
        scratch_bytes=0,
        weights_bytes=sum(tensor.size for tensor in constants),
        instructions=plain_c_instructions(
            core,
            outputs=call.output.size,
            rescales=0 if isinstance(scaling(call), OnceRounded) else 3,
            rounding=Rounding.DOUBLE,
        ),
        stack_bytes=0,
        note=PLAIN_C,
    )


def _flat_loop(call: Call, prefix: str) -> tuple[dict[str, int], str, tuple[str, str]]:
    loop = f"    for (int32_t i = 0; i < {prefix}_SIZE; i++) {{\nBODY    }}\n"
    return {"SIZE": call.output.size}, loop, ("a[i]", "b[i]")


def _broadcast_loops(call: Call, prefix: str) -> tuple[dict[str, int], str, tuple[str, str]]:
    """Out's elements in order; an operand's stride is 0 along a dimension that it repeats."""
    rank = len(call.output.shape)
    sizes = {"SIZE": call.output.size}
    sizes |= {f"D{axis}": size for axis, size in enumerate(call.output.shape)}
    indices = []
    for index, operand in enumerate(("a", "b")):
        shape = (1,) * (rank - len(call.input(index).shape)) + call.input(index).shape
        strides = [math.prod(shape[axis + 1 :]) if shape[axis] > 1 else 0 for axis in range(rank)]
        sizes |= {f"{operand.upper()}_STRIDE{a}": stride for a, stride in enumerate(strides)}
        terms = (
            f"i{axis} * {prefix}_{operand.upper()}_STRIDE{axis}"
            for axis, stride in enumerate(strides)
            if stride
        )
        indices.append(f"{operand}[{' + '.join(terms) or '0'}]")
    lines = []
    for axis in range(rank):
        below = math.prod(call.output.shape[axis + 1 :])
        lines.append(f"        const int32_t i{axis} = i / {below} % {prefix}_D{axis};\n")
    loop = f"    for (int32_t i = 0; i < {prefix}_SIZE; i++) {{\n{''.join(lines)}BODY    }}\n"
    return sizes, loop, (indices[0], indices[1])


def _sum(call: Call, prefix: str) -> tuple[dict[str, int], Callable[[str, str], str]]:
    """The macros of the rule, and the statements that compute `scaled` from two elements."""
    how = scaling(call)
    if isinstance(how, OnceRounded):
        numbers = {
            "A_MULTIPLIER": how.multipliers[0],
            "B_MULTIPLIER": how.multipliers[1],
            "BIAS": how.bias,
            "SHIFT": how.shift,
        }
        return (
            numbers,
            lambda a, b: (
                f"const int32_t a_part = {a} * {prefix}_A_MULTIPLIER;\n"
                f"const int32_t b_part = {b} * {prefix}_B_MULTIPLIER;\n"
                f"const int32_t sum = {prefix}_BIAS + a_part + b_part;\n"
                f"const int32_t scaled = sum >> {prefix}_SHIFT;\n"
            ),
        )
    numbers = {"HEADROOM": 1 << LEFT_SHIFT}
    for index, name in enumerate(("A", "B", "OUTPUT")):
        numbers[f"{name}_MULTIPLIER"] = how.multipliers[index]
        numbers[f"{name}_SHIFT"] = how.shifts[index]
        if index < 2:
            numbers[f"{name}_ZERO_POINT"] = call.input(index).zero_point

    def scaled(name: str, value: str) -> str:
        upper = f"{prefix}_{name.upper()}"
        return f"jl_scale_twice({value}, {upper}_MULTIPLIER, {upper}_SHIFT);\n"

    def statements(a: str, b: str) -> str:
        lines = ""
        for name, element in (("a", a), ("b", b)):
            centred = f"({element} - {prefix}_{name.upper()}_ZERO_POINT)"
            lines += f"const int32_t {name}_wide = {centred} * {prefix}_HEADROOM;\n"
            lines += f"const int64_t {name}_part = {scaled(name, f'{name}_wide')}"
        lines += "const int32_t sum = (int32_t)(a_part + b_part);\n"
        return f"{lines}const int64_t scaled = {scaled('output', 'sum')}"

    return numbers, statements


def write_onnx(call: Call, onnx: OnnxWriter) -> None:
    """Add."""
    value = onnx.node("Add", onnx.real(call.input(0)), onnx.real(call.input(1)))
    onnx.quantize(onnx.activate(value, call), call.output)


def write_tflite(call: Call, schema: ModuleType) -> TfliteOperator:
    """ADD; version 2 brought int8."""
    options = schema.AddOptionsT()
    activation = call.node.attributes.get("activation", "NONE")
    options.fusedActivationFunction = getattr(schema.ActivationFunctionType, activation)
    return TfliteOperator(NAME, 2, options)
