"""Core of fully connected layers: 4 rows × 8 inputs a block, 23 instructions for 32 products.

Two tricks. A pair of weight rows shares 16-bit halves, 256 × high + low (`bounds`), so SMLAD on
the raw word needs no extension and a weight keeps its byte in flash. The low row alone is summed
as Winograd's inner product, (x1 + w0)(x0 + w1) = wanted + x0·x1 + w0·w1, because SXTAB16 extends
and adds in one instruction: x0·x1 is summed once per vector, w0·w1 lies in the bias.

Where the input is read as it lies (`reads_bytes`), its words are extended in the loop: 5 more
instructions a block and no vector in memory. The last 1 to 7 inputs, filled up with zeros, are
then two words in registers, so that nothing behind the input is read.

Stream of weights, 32-bit words, per turn of 2 or 4 rows: biases; per 4 inputs and pair of rows the
packed halves of inputs (0, 2) and (1, 3); unless one scale serves all channels, per row: shifts,
ties (where needed: then before the offsets, with the multipliers last), multipliers, offsets.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from export.kernels.m4.assembly import Assembly, register_list
from export.kernels.m4.requantise import emit_clamp, emit_scale, emit_shift
from export.kernels.m4.widen import emit_split
from export.kernels.scaling import Recipe

if TYPE_CHECKING:
    from collections.abc import Callable

    from export.kernels.layer import Routine

_LARGEST_UNROLL = 8  # blocks of 8 inputs in the loop's body
_SMALLEST_UNROLL = 4
_LOW, _HIGH = ("r2", "r4"), ("r3", "r5")
# Single-precision registers hold what the inner loop leaves no core register for.
_INPUT, _OUTPUT, _WEIGHTS_END, _PRODUCT = "s0", "s2", "s3", "s4"
_MULTIPLIER, _OFFSET, _INPUT_END, _ENTRY = "s5", "s6", "s7", "s8"
_LOW_SHIFT, _HIGH_SHIFT, _TIE = "s9", "s10", "s11"
_TAIL = ("s12", "s13")


@dataclass(frozen=True)
class CoreShape:
    """What a core routine is specialised for.

    Args:
        pairs: rows a turn / 2: 2, or 1 for the last rows of a layer.
        unroll: blocks of 8 inputs in the body.
        is_looped: whether the body repeats.
        is_entered: whether a row may start inside the body (`unroll` does not divide its blocks).
        is_uniform: one scale for all channels, in registers; else in the weight stream.
        is_odd: the very last high row is a dummy and is not stored.
        reads_bytes: the input is int8 as it lies, at any address; else widened.
        has_tail: a block of inputs in registers follows the body; only where `reads_bytes`.
    """

    pairs: int
    unroll: int
    is_looped: bool
    is_entered: bool
    is_uniform: bool
    is_odd: bool
    reads_bytes: bool = False
    has_tail: bool = False

    @property
    def key(self) -> str:
        """The part of a symbol that tells cores apart."""
        loop = ("e" if self.is_entered else "l") if self.is_looped else ""
        scale = "u" if self.is_uniform else "c"
        source = ("bt" if self.has_tail else "b") if self.reads_bytes else ""
        odd = "o" if self.is_odd else ""
        return f"{2 * self.pairs}x{8 * self.unroll}{loop}{scale}{odd}{source}"


@dataclass(frozen=True)
class Core:
    """A core routine and how many instructions its parts execute.

    Args:
        routine: the code.
        fixed: once a call.
        turn: once for 2 or 4 rows.
        repeat: once for each pass over the body.
        block: once for 8 inputs of a turn.
        unroll: blocks in the body.
    """

    routine: Routine
    fixed: int
    turn: int
    repeat: int
    block: int
    unroll: int


def choose_body(blocks: int) -> tuple[int, bool, bool]:
    """Straight code for short rows, else the largest body that divides them.

    Returns:
        `unroll`, `is_looped` and `is_entered` of a `CoreShape`.
    """
    if blocks <= _LARGEST_UNROLL:
        return blocks, False, False
    for unroll in range(_LARGEST_UNROLL, _SMALLEST_UNROLL - 1, -1):
        if blocks % unroll == 0:
            return unroll, True, False
    return _LARGEST_UNROLL, True, True


def _emit_widened(code: Assembly) -> None:
    """8 inputs, as halves (0, 2), (1, 3), (4, 6), (5, 7), in r6 to r9."""
    code.op("ldm", "r0!", "{r6-r9}")


def _emit_bytes(code: Assembly) -> None:
    """The same from bytes; LDR, because an input may lie at any address."""
    code.op("ldr.w", "r6", "[r0]", "#4")
    code.op("ldr.w", "r8", "[r0]", "#4")
    _emit_split(code)


def _emit_tail(code: Assembly) -> None:
    """The same from the tail's registers."""
    code.op("vmov", "r6", "r8", *_TAIL)
    _emit_split(code)


def _emit_split(code: Assembly) -> None:
    emit_split(code, "r6", "r7")
    emit_split(code, "r8", "r9")


def _emit_block(code: Assembly, pairs: int, load: Callable[[Assembly], None]) -> None:
    """8 inputs × 2·pairs rows; `load` brings the inputs into r6 to r9."""
    inputs = [("r6", "r7"), ("r8", "r9")]
    words = ["r10", "r11", "r12", "lr"]
    load(code)
    for half, (even_x, odd_x) in enumerate(inputs):
        if pairs == 2 or half == 0:
            code.op("ldm", "r1!", register_list(words))
        first = 2 * half if pairs == 1 else 0
        for pair in range(pairs):
            even_w, odd_w = words[first + 2 * pair], words[first + 2 * pair + 1]
            low, high = _LOW[pair], _HIGH[pair]
            code.op("smlad", high, even_w, even_x, high)
            code.op("smlad", high, odd_w, odd_x, high)
            code.op("sxtab16", even_w, odd_x, even_w)
            code.op("sxtab16", odd_w, even_x, odd_w)
            code.op("smlad", low, even_w, odd_w, low)


def _emit_scaling(code: Assembly, shape: CoreShape, recipe: Recipe) -> None:
    """Separate the packed sums and scale them to int8 in place."""
    lows, highs = _LOW[: shape.pairs], _HIGH[: shape.pairs]
    values = [register for pair in zip(lows, highs, strict=True) for register in pair]
    count = len(values)
    code.comment("high rows: 256 × high + low - low")
    for low, high in zip(lows, highs, strict=True):
        code.op("sub", high, high, low)
    if shape.is_uniform:
        code.op("vmov", "r8", "r9", _LOW_SHIFT, _HIGH_SHIFT)
        code.op("vmov", "r6", "r7", _MULTIPLIER, _OFFSET)
        shifts = ["r8", "r9"] * shape.pairs
        multipliers, offsets, ties = ["r6"] * count, ["r7"] * count, ["r10"] * count
        if recipe.needs_tie:
            code.op("vmov", "r10", _TIE)
    else:
        shifts = ["r6", "r7", "r8", "r9"][:count]
        code.op("ldm", "r1!", register_list(shifts))
        multipliers, offsets, ties = shifts, ["r10", "r11", "r12", "lr"], shifts
    for value, amount in zip(values, shifts, strict=True):
        emit_shift(code, value, amount, recipe, is_high=value in highs)
    if not shape.is_uniform:
        if recipe.needs_tie:
            _load_offsets_with_ties(code, values)
            code.op("ldm", "r1!", register_list(multipliers))
        else:
            code.op("ldm", "r1!", register_list(multipliers + offsets[:count]))
    in_registers = recipe.needs_tie and shape.is_uniform
    emit_scale(code, values, multipliers, offsets, ties if in_registers else [], "r11")
    emit_clamp(code, recipe.clamp, values, recipe.shift)


def _load_offsets_with_ties(code: Assembly, values: list[str]) -> None:
    """Offsets in r10, r11, r12, lr, less the tie where the accumulator is negative."""
    offsets, ties = ["r10", "r11", "r12", "lr"][: len(values)], ["r6", "r7", "r8", "r9"]
    code.op("ldm", "r1!", register_list([*ties[: len(values)], *offsets]))
    for value, offset, tie in zip(values, offsets, ties, strict=False):
        code.op("and", tie, tie, value, "asr #31")
        code.op("sub", offset, offset, tie)


def _emit_prologue(code: Assembly, shape: CoreShape) -> None:
    """Arguments into registers."""
    code.enter()
    code.op("vldmia", "r0", "{s0-s13}" if shape.has_tail else "{s0-s11}")
    if shape.is_entered:
        code.comment("address of the block where a row starts; bit 0 keeps Thumb state")
        code.op("vmov", "r1", _ENTRY)
        code.op("adr.w", "r2", "2f")
        code.op("add", "r1", "r1", "r2")
        code.op("orr", "r1", "r1", "#1")
        code.op("vmov", _ENTRY, "r1")
    code.op("vmov", "r0", "r1", "s0", "s1")


def _emit_stores(code: Assembly, shape: CoreShape, rows: list[str]) -> None:
    """Store a turn's outputs; repeat from label 1 while rows are left."""
    code.comment("store, back to the start of the input, next rows")
    code.op("vmov", "r8", "r6", _OUTPUT, _WEIGHTS_END)
    code.op("cmp", "r1", "r6")
    for row in rows[:-1]:
        code.op("strb", row, "[r8]", "#1")
    if shape.is_odd:
        code.op("it", "ne")
    code.op("strbne" if shape.is_odd else "strb", rows[-1], "[r8]", "#1")
    code.op("vmov", _OUTPUT, "r8")
    code.op("vmov", "r0", _INPUT)
    code.op("bne", "1b")


@cache
def fully_connected_core(shape: CoreShape, recipe: Recipe) -> Core:
    """The routine that runs over whole turns of 2·pairs rows."""
    symbol = f"jl_m4_fc{shape.key}_{recipe.key}"
    code = Assembly(
        symbol,
        f"void {symbol}(const jl_m4_fully_connected *): {2 * shape.pairs} rows a turn. "
        "r0 input, r1 weights, r2 r4 low rows, r3 r5 high rows",
    )
    rows = [name for pair in range(shape.pairs) for name in (_LOW[pair], _HIGH[pair])]
    _emit_prologue(code, shape)
    fixed = code.instructions + 1

    code.label("1")
    start = code.instructions
    code.comment("biases; low rows less the inner-product term of the input")
    code.op("ldm", "r1!", register_list(rows))
    code.op("vmov", "r6", _PRODUCT)
    for low in _LOW[: shape.pairs]:
        code.op("sub", low, low, "r6")
    if shape.is_entered:
        code.op("vmov", "r6", _ENTRY)
        code.op("bx", "r6")
        code.directive(".balign 4")
    code.label("2")
    before_blocks = code.instructions
    load = _emit_bytes if shape.reads_bytes else _emit_widened
    for index in range(shape.unroll):
        code.comment(f"inputs {8 * index}..{8 * index + 7} of the body")
        _emit_block(code, shape.pairs, load)
    block = (code.instructions - before_blocks) // max(shape.unroll, 1)
    if shape.is_entered:
        code.directive(f".if (. - 2b) - {4 * block * shape.unroll}")
        code.directive('.error "a block is not 4 bytes an instruction"')
        code.directive(".endif")
    after_blocks = code.instructions
    if shape.is_looped:
        code.op("vmov", "r6", _INPUT_END)
        code.op("cmp", "r0", "r6")
        code.op("bne", "2b")
    repeat = code.instructions - after_blocks
    if shape.has_tail:
        code.comment("the inputs behind the last whole block")
        _emit_block(code, shape.pairs, _emit_tail)
    _emit_scaling(code, shape, recipe)
    _emit_stores(code, shape, rows)
    turn = code.instructions - start - block * shape.unroll - repeat
    code.leave()
    return Core(code.routine(), fixed, turn, repeat, block, shape.unroll)
