"""Core of convolutions: a pair of weight rows × up to 3 positions, 25 instructions for 36 products.

Both rows of a pair share 16-bit halves, 256 × high + low (`bounds`): SMLAD on the raw word sums
256 × high + low, SXTB16 then leaves the low row for a second SMLAD. One word of weights serves all
positions, whose widened inputs lie interleaved so that one LDM fetches them.

Stream of weights, 32-bit words, per pair of rows: the two biases; the packed halves, per 4 inputs
(0, 2) and (1, 3); shifts of the low and the high row, two multipliers, two
offsets, and where needed two ties.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from export.kernels.bounds import folded_bias, packed_halves
from export.kernels.c_text import as_words, halves_as_words
from export.kernels.m4.assembly import Assembly, register_list
from export.kernels.m4.requantise import emit_clamp, emit_scale, emit_shift
from export.kernels.scaling import Recipe, Scaling

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from export.kernels.layer import Routine

POSITIONS = 3
_LARGEST_BODY = 32  # words of weights in the loop's body
_SMALLEST_BODY = 16
_WORDS_A_GROUP = 3  # words of weights that one LDM fetches
_LOW, _HIGH = ("r2", "r3", "r4"), ("r5", "r6", "r7")
_WEIGHTS, _INPUTS = ("r8", "r9", "r10"), ("r11", "r12", "lr")
# Single-precision registers hold what the inner loop leaves no core register for.
_INPUT, _INPUT_END = "s0", "s6"

ARGUMENTS = """\
#ifndef JL_M4_MATRIX
#define JL_M4_MATRIX
typedef struct {
    const int16_t *input;        /* widened, positions interleaved */
    const uint32_t *weights;     /* packed, with bias and scaling */
    int8_t *output[3];           /* first channel of each position */
    const uint32_t *weights_end;
    const int16_t *input_end;
} jl_m4_matrix;
#endif
"""


@dataclass(frozen=True)
class MatrixShape:
    """What a core routine is specialised for.

    Args:
        positions: 1..3.
        body: words of weights (2 inputs × 2 rows each) in the loop's body.
        is_looped: whether the body repeats.
        is_odd: the very last high row is a dummy and is not stored.
    """

    positions: int
    body: int
    is_looped: bool
    is_odd: bool

    @property
    def key(self) -> str:
        """The part of a symbol that tells cores apart."""
        loop = "l" if self.is_looped else ""
        return f"{self.positions}x{2 * self.body}{loop}{'o' if self.is_odd else ''}"


@dataclass(frozen=True)
class MatrixCore:
    """A core routine and how many instructions its parts execute.

    Args:
        routine: the code.
        fixed: once a call.
        turn: once for 2 rows.
        body: once for each pass over the body.
    """

    routine: Routine
    fixed: int
    turn: int
    body: int


def choose_body(words: int) -> tuple[int, int]:
    """Words in the body and how often it runs; together at least `words`, as few as can be."""
    if words <= _LARGEST_BODY:
        return words, 1
    bodies = range(_LARGEST_BODY, _SMALLEST_BODY - 1, -2)  # even: 4 inputs make 2 words
    body = min(bodies, key=lambda body: -(-words // body) * body)
    return body, -(-words // body)


def instructions_per_position(positions: int) -> float:
    """Executed per word of weights and position, to choose how many positions run together."""
    return (1 / _WORDS_A_GROUP + 1 + 2 * positions + 1) / positions


def _emit_group(code: Assembly, positions: int, words: int, *, starts: bool) -> None:
    """Up to 3 words of weights; the group that starts a sum takes it from the one bias."""
    weights = _WEIGHTS[:words]
    code.op("ldm", "r1!", register_list(weights))
    for index, weight in enumerate(weights):
        if positions == 1:
            code.op("ldr", _INPUTS[0], "[r0]", "#4")
        else:
            code.op("ldm", "r0!", register_list(_INPUTS[:positions]))
        _emit_products(code, _HIGH, positions, weight, starts=starts and index == 0)
        code.op("sxtb16", weight, weight)
        _emit_products(code, _LOW, positions, weight, starts=starts and index == 0)


def _emit_products(
    code: Assembly, sums: tuple[str, ...], positions: int, weight: str, *, starts: bool
) -> None:
    """One word of a row times each position; the first position's register holds the bias."""
    for position in reversed(range(positions)):
        before = sums[0] if starts else sums[position]
        code.op("smlad", sums[position], weight, _INPUTS[position], before)


def _emit_turn_start(code: Assembly, shape: MatrixShape) -> None:
    code.comment("both biases, the same for every position")
    code.op("ldm", "r1!", register_list([_LOW[0], _HIGH[0]]))
    if not shape.is_looped:
        return
    for position in range(1, shape.positions):
        code.op("mov", _LOW[position], _LOW[0])
        code.op("mov", _HIGH[position], _HIGH[0])


def _emit_scaling(code: Assembly, positions: int, recipe: Recipe) -> None:
    lows, highs = _LOW[:positions], _HIGH[:positions]
    code.comment("high rows: 256 × high + low - low; then shifts, multipliers, offsets")
    for low, high in zip(lows, highs, strict=True):
        code.op("sub", high, high, low)
    code.op("ldm", "r1!", "{r8-r12, lr}")
    for low in lows:
        emit_shift(code, low, "r8", recipe, is_high=False)
    for high in highs:
        emit_shift(code, high, "r9", recipe, is_high=True)
    if recipe.needs_tie:
        code.op("ldm", "r1!", "{r8, r9}")
    for values, multiplier, offset, tie in (
        (lows, "r10", "r12", "r8"),
        (highs, "r11", "lr", "r9"),
    ):
        ties = [tie] * positions if recipe.needs_tie else []
        emit_scale(code, values, [multiplier] * positions, [offset] * positions, ties, "r0")
    emit_clamp(code, recipe.clamp, [*lows, *highs], recipe.shift)


def _emit_stores(code: Assembly, shape: MatrixShape) -> None:
    """Store two channels of each position; repeat from label 1 while rows are left."""
    outputs = ("r8", "r9", "r10")[: shape.positions]
    code.comment("store, back to the start of the input, next pair of rows")
    code.op("vmov", "r8", "r9", "s2", "s3")
    code.op("vmov", "r10", "r11", "s4", "s5")
    code.op("cmp", "r1", "r11")
    for low, output in zip(_LOW, outputs, strict=False):
        code.op("strb", low, f"[{output}]", "#1")
    if shape.is_odd:
        code.op("i" + "t" * shape.positions, "ne")
    for high, output in zip(_HIGH, outputs, strict=False):
        code.op("strbne" if shape.is_odd else "strb", high, f"[{output}]", "#1")
    code.op("vmov", "s2", "s3", "r8", "r9")
    if shape.positions == POSITIONS:
        code.op("vmov", "s4", "r10")
    code.op("vmov", "r0", _INPUT)
    code.op("bne", "1b")


@cache
def matrix_core(shape: MatrixShape, recipe: Recipe) -> MatrixCore:
    """The routine that computes all channels of up to three positions."""
    symbol = f"jl_m4_mm{shape.key}_{recipe.key}"
    code = Assembly(
        symbol,
        f"void {symbol}(const jl_m4_matrix *): 2 rows × {shape.positions} positions a turn. "
        "r0 input, r1 weights, r2-r4 low row, r5-r7 high row",
    )
    code.enter()
    code.op("vldmia", "r0", "{s0-s6}")
    code.op("vmov", "r0", "r1", "s0", "s1")
    fixed = code.instructions + 1
    code.label("1")
    start = code.instructions
    _emit_turn_start(code, shape)
    code.label("2")
    before_body = code.instructions
    for first in range(0, shape.body, _WORDS_A_GROUP):
        words = min(_WORDS_A_GROUP, shape.body - first)
        code.comment(f"words {first}..{first + words - 1} of the body")
        starts = first == 0 and not shape.is_looped
        _emit_group(code, shape.positions, words, starts=starts)
    if shape.is_looped:
        code.op("vmov", "r8", _INPUT_END)
        code.op("cmp", "r0", "r8")
        code.op("bne", "2b")
    body = code.instructions - before_body
    _emit_scaling(code, shape.positions, recipe)
    _emit_stores(code, shape)
    turn = code.instructions - start - body
    code.leave()
    return MatrixCore(code.routine(), fixed, turn, body)


def matrix_words(
    weights: NDArray[np.int8],
    bias: NDArray[np.int32],
    input_zero_point: int,
    scaling: Scaling,
    words: int,
) -> NDArray[np.uint32]:
    """The weight stream of all rows.

    Args:
        weights: int8 [rows, inputs].
        bias: int32 [rows].
        input_zero_point: −128..127.
        scaling: of the layer.
        words: of weights a pair of rows takes, padding included; 2 inputs a word.
    """
    count, inputs = weights.shape
    rows = np.minimum(np.arange(count + count % 2), count - 1)
    padded = np.zeros((rows.size, 2 * words), np.int8)
    padded[:count, :inputs] = weights
    start = np.zeros(rows.size, np.int64)
    start[:count] = folded_bias(weights, bias, input_zero_point)
    start[1::2] = 256 * start[1::2] + start[0::2]
    halves = packed_halves(padded[0::2], padded[1::2]).reshape(rows.size // 2, -1, 4)
    packed = halves_as_words(halves[:, :, [0, 2, 1, 3]]).reshape(rows.size // 2, -1)
    shifts = np.where(np.arange(rows.size) % 2, scaling.high_shift[rows], scaling.left_shift[rows])
    columns = [shifts, scaling.multiplier[rows], scaling.offset[rows]]
    if scaling.needs_tie:
        columns.append(scaling.tie[rows])
    table = [as_words(column).reshape(-1, 2) for column in columns]
    return np.concatenate([as_words(start).reshape(-1, 2), packed, *table], axis=1).ravel()
