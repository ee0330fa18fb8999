"""What a kernel is made from: one layer with every number resolved, and what a kernel is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from export.graph import Rounding


@dataclass(frozen=True, eq=False)
class Requantisation:
    """int32 accumulator → int8: clamp(round(acc × multiplier × 2^(shift − 31)) + zero_point).

    Args:
        multiplier: int32 [channels], 2^30 <= m < 2^31, or 0.
        shift: int32 [channels], −31..30; positive shifts left before the multiplication.
        zero_point: of the output, −128..127.
        minimum: lower clamp, −128..127 (a fused ReLU raises it to the zero point).
        maximum: upper clamp, `minimum`..127.
        rounding: one rounding or two.
    """

    multiplier: NDArray[np.int32]
    shift: NDArray[np.int32]
    zero_point: int
    minimum: int
    maximum: int
    rounding: Rounding


@dataclass(frozen=True, eq=False)
class FullyConnected:
    """out[n] = requantise(bias[n] + Σ_k (in[k] − input_zero_point) × weights[n, k]).

    Args:
        name: C identifier, unique in the module.
        weights: int8 [outputs, inputs], zero point 0.
        bias: int32 [outputs].
        input_zero_point: −128..127.
        requantisation: per output channel.
        rows: how many input vectors lie one behind the other (batch), >= 1.
    """

    name: str
    weights: NDArray[np.int8]
    bias: NDArray[np.int32]
    input_zero_point: int
    requantisation: Requantisation
    rows: int = 1


@dataclass(frozen=True, eq=False)
class Convolution:
    """A 2-D convolution, NHWC, batch 1.

    Args:
        name: C identifier, unique in the module.
        input_shape: (height, width, channels).
        output_shape: (height, width, channels).
        stride: (vertical, horizontal).
        dilation: (vertical, horizontal).
        padding: rows above, columns to the left; the far sides follow from the shapes.
        weights: int8 [output channels, kernel height, kernel width, input channels], or for a
            depthwise layer [kernel height, kernel width, output channels]; zero point 0.
        bias: int32 [output channels].
        input_zero_point: −128..127, also the value of padding.
        requantisation: per output channel.
        is_depthwise: output channel c reads input channel c // multiplier alone, where
            multiplier = output channels / input channels.
    """

    name: str
    input_shape: tuple[int, int, int]
    output_shape: tuple[int, int, int]
    stride: tuple[int, int]
    dilation: tuple[int, int]
    padding: tuple[int, int]
    weights: NDArray[np.int8]
    bias: NDArray[np.int32]
    input_zero_point: int
    requantisation: Requantisation
    is_depthwise: bool = False


@dataclass(frozen=True)
class Routine:
    """A function that kernels of several layers share; linked once per symbol.

    Args:
        symbol: global name, unique to this text: equal symbols mean equal sources.
        source: assembly or C text, position-independent.
        suffix: `.S` or `.c`.
        stack_bytes: deepest stack use of one call.
    """

    symbol: str
    source: str
    suffix: str
    stack_bytes: int


@dataclass(frozen=True)
class KernelCode:
    """One generated function `int8_t`-in, `int8_t`-out, with its constants.

    Args:
        symbol: `void symbol(const int8_t *in, int8_t *out, void *scratch)`, AAPCS.
        source: assembly or C text that defines it and its constants, all read-only and
            position-independent.
        suffix: `.S` or `.c`.
        scratch_bytes: size of `scratch`, 16-byte aligned, contents undefined on entry.
        weights_bytes: int8 weights + int32 biases + per-channel multipliers and shifts, where
            `source` holds them.
        instructions: executed by one call, exact for straight-line emitters, else an estimate.
        stack_bytes: deepest stack use of one call.
        note: which scheme was chosen and why (bounds proven, fallback taken).
        routines: what `source` calls, shared with other layers.
        runs_in_place: `out` may be `in` (the input is then lost); with several inputs, any one of
            them that is as large as the output.
    """

    symbol: str
    source: str
    suffix: str
    scratch_bytes: int
    weights_bytes: int
    instructions: int
    stack_bytes: int
    note: str
    routines: tuple[Routine, ...] = ()
    runs_in_place: bool = False
