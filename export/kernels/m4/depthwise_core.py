"""Core of depthwise 3×3 layers: one channel's plane, two output rows at a time.

A plane is made of vertical pairs (`planes`): LDRD reads four rows of a column, from which two
output rows take 2 multiplications each per tap column, 6 per output instead of 9. All weights stay
in six registers for the whole channel. Taps beside the image are not executed.

Table of a channel, 32-bit words: bytes w00 w01 w10 w11, w02 w20 w12 w21, w22 p q 0; bias;
multiplier; offset; where needed tie. Of the left shift p + q the weights take p, at most 8; the sum
takes the rest.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from export.kernels.m4.assembly import Assembly
from export.kernels.m4.requantise import emit_clamp, emit_scale
from export.kernels.scaling import Recipe

if TYPE_CHECKING:
    from export.kernels.layer import Routine

TAPS = 3
_UNROLLED_COLUMNS = 10  # a wider image loops over its inner columns
_COLUMNS_A_TURN = 4
_LARGEST_OFFSET = 4095  # of STRB
_PLANE, _OUT = "r0", "r1"
_W01, _W12 = ("r4", "r6", "r8"), ("r5", "r7", "r9")
_SUMS = (("r10", "r11"), ("r12", "lr"))  # (upper, lower) row, of even and odd columns
_BIAS, _PLANE_END, _COLUMN_END, _SAVED, _REST = "s2", "s5", "s6", "s7", "s8"


@dataclass(frozen=True)
class PlaneShape:
    """What a core is specialised for.

    Args:
        width: columns of the plane.
        out_height: rows of the output.
        out_width: columns of the output.
        stride: 1 or 2, both ways.
        left: columns of padding on the left, 0 or 1.
        channels: of the output, the distance of its neighbours in bytes.
    """

    width: int
    out_height: int
    out_width: int
    stride: int
    left: int
    channels: int

    @property
    def rows(self) -> int:
        """Output rows at a time."""
        return 2 if self.stride == 1 else 1

    @property
    def words_a_column(self) -> int:
        """Pairs of rows that the core reads, per column."""
        return -(-self.out_height // self.rows) + 1

    @property
    def column_bytes(self) -> int:
        """Size of a column of the plane."""
        return 4 * self.words_a_column

    @property
    def key(self) -> str:
        """The part of a symbol that tells cores apart."""
        size = f"{self.width}to{self.out_height}x{self.out_width}"
        return f"{size}s{self.stride}p{self.left}c{self.channels}"

    def outputs_at(self, column: int) -> list[tuple[int, int]]:
        """(output column, tap) that read this column, in order."""
        place = column + self.left
        pairs = [(place - tap) for tap in reversed(range(TAPS))]
        return [
            (start // self.stride, place - start)
            for start in pairs
            if start % self.stride == 0 and 0 <= start // self.stride < self.out_width
        ]

    def first(self, output: int) -> int:
        """First column inside the image that an output reads."""
        return max(self.stride * output - self.left, 0)

    def last(self, output: int) -> int:
        """Last column inside the image that an output reads."""
        return min(self.stride * output - self.left + TAPS - 1, self.width - 1)

    @property
    def inner_columns(self) -> range:
        """Columns where every output begins and ends by itself, in whole turns of the loop."""
        start = TAPS - 1 - self.left
        # The last column ends more than one output where the window leaves the image.
        leaves = self.stride * (self.out_width - 1) - self.left + TAPS > self.width
        end = min(self.stride * self.out_width - self.left, self.width - leaves)
        turns = max(end - start, 0) // _COLUMNS_A_TURN
        if self.width <= _UNROLLED_COLUMNS or turns < 2:
            return range(start, start)
        return range(start, start + turns * _COLUMNS_A_TURN)


class _RowProgram:
    """Emits the columns of one or two output rows; keeps track of where r1 stands."""

    def __init__(self, code: Assembly, shape: PlaneShape, recipe: Recipe, rows: int) -> None:
        self.code, self.shape, self.recipe, self.rows = code, shape, recipe, rows
        self.row_bytes = shape.out_width * shape.channels
        self.out_base = 0  # output column at r1
        self.walked = 0  # columns that r0 has passed
        self.looped = 0  # instructions that further turns of the inner loop execute

    def emit(self) -> None:
        """All columns, then r0 to the next pair of rows and r1 to the next output rows."""
        inner = self.shape.inner_columns
        for column in range(inner.start):
            self._column(column)
        if inner:
            self._inner_loop(inner)
        for column in range(inner.stop, self.shape.width):
            self._column(column)
        self._add(_PLANE, 4 - self.walked * self.shape.column_bytes)
        self._add(
            _OUT,
            self.rows * self.row_bytes - self.out_base * self.shape.channels,
        )

    def _inner_loop(self, inner: range) -> None:
        code, shape = self.code, self.shape
        self._move_out(shape.outputs_at(inner.start)[0][0])
        code.comment(f"columns {inner.start}..{inner.stop - 1}, {_COLUMNS_A_TURN} a turn")
        self._add("r2", len(inner) * shape.column_bytes, base=_PLANE)
        code.op("vmov", _COLUMN_END, "r2")
        code.label("3")
        start = code.instructions
        for column in range(inner.start, inner.start + _COLUMNS_A_TURN):
            self._column(column)
        outputs = _COLUMNS_A_TURN // shape.stride
        self._move_out(shape.outputs_at(inner.start)[0][0] + outputs)
        code.op("vmov", "r2", _COLUMN_END)
        code.op("cmp", _PLANE, "r2")
        code.op("bne", "3b")
        turns = len(inner) // _COLUMNS_A_TURN
        self.looped = (code.instructions - start) * (turns - 1)
        self.walked = inner.stop
        self.out_base = shape.outputs_at(inner.stop - 1)[-1][0] + 1 - self._open_outputs(inner)

    def _open_outputs(self, inner: range) -> int:
        """Outputs begun but not stored when the loop ends."""
        begun = self.shape.outputs_at(inner.stop - 1)
        return sum(1 for output, _ in begun if self.shape.last(output) >= inner.stop)

    def _column(self, column: int) -> None:
        shape, code = self.shape, self.code
        outputs = shape.outputs_at(column)
        if not outputs:
            return
        ends = [shape.last(output) == column for output, _ in outputs]
        self._load(is_last=not any(ends[:-1]))
        self.walked += 1
        for index, (output, tap) in enumerate(outputs):
            sums = _SUMS[output % 2][: self.rows]
            if shape.first(output) == column:
                for value in sums:
                    code.op("vmov", value, _BIAS)
            self._tap(sums, tap)
            if ends[index]:
                self._scale(sums)
                self._store(sums, output)
                if index + 1 < len(outputs):
                    self._load(is_last=not any(ends[index + 1 : -1]))

    def _load(self, *, is_last: bool) -> None:
        """Four rows of the column; its last load moves on to the next column."""
        step = [f"#{self.shape.column_bytes}"] if is_last else []
        self.code.op("ldrd", "r2", "r3", f"[{_PLANE}]", *step)

    def _tap(self, sums: tuple[str, ...], tap: int) -> None:
        self.code.op("smlad", sums[0], "r2", _W01[tap], sums[0])
        self.code.op("smlabt", sums[0], "r3", _W12[tap], sums[0])
        if len(sums) > 1:
            self.code.op("smlatb", sums[1], "r2", _W01[tap], sums[1])
            self.code.op("smlad", sums[1], "r3", _W12[tap], sums[1])

    def _scale(self, sums: tuple[str, ...]) -> None:
        code = self.code
        if self.recipe.is_wide:
            code.op("vmov", "r2", _REST)
            for value in sums:
                code.op("lsl", value, value, "r2")
        if not self.recipe.needs_tie:
            code.op("vmov", "r2", "r3", "s0", "s1")
            emit_scale(code, sums, ["r2"] * len(sums), ["r3"] * len(sums), [], "")
        elif len(sums) == 1:
            code.op("vmov", "r2", "r3", "s3", "s4")
            code.op("and", "r2", "r2", sums[0], "asr #31")
            code.op("sub", "r3", "r3", "r2")
            code.op("vmov", "r2", "s0")
            emit_scale(code, sums, ["r2"], ["r3"], [], "")
        else:
            code.op("vmov", _SAVED, _PLANE)
            code.op("vmov", "r2", "r3", "s3", "s4")
            code.op("and", _PLANE, "r2", sums[0], "asr #31")
            code.op("sub", _PLANE, "r3", _PLANE)
            code.op("and", "r2", "r2", sums[1], "asr #31")
            code.op("sub", "r3", "r3", "r2")
            code.op("vmov", "r2", "s0")
            emit_scale(code, sums, ["r2", "r2"], [_PLANE, "r3"], [], "")
            code.op("vmov", _PLANE, _SAVED)
        emit_clamp(code, self.recipe.clamp, sums, self.recipe.shift)

    def _store(self, sums: tuple[str, ...], output: int) -> None:
        channels = self.shape.channels
        if (output - self.out_base) * channels + (self.rows - 1) * self.row_bytes > _LARGEST_OFFSET:
            self._move_out(output)
        offset = (output - self.out_base) * channels
        for row, value in enumerate(sums):
            self.code.op("strb", value, f"[{_OUT}, #{offset + row * self.row_bytes}]")

    def _move_out(self, output: int) -> None:
        """Let r1 point at an output column."""
        self._add(_OUT, (output - self.out_base) * self.shape.channels)
        self.out_base = output

    def _add(self, register: str, value: int, *, base: str = "") -> None:
        """Set register to base (or itself) + value; may use r2."""
        if abs(value) <= _LARGEST_OFFSET:
            if value or base:
                mnemonic = "addw" if value >= 0 else "subw"
                self.code.op(mnemonic, register, base or register, f"#{abs(value)}")
            return
        self.code.op("movw", "r2", f"#{abs(value) & 0xFFFF}")
        if abs(value) > 0xFFFF:
            self.code.op("movt", "r2", f"#{abs(value) >> 16}")
        self.code.op("add" if value >= 0 else "sub", register, base or register, "r2")


@dataclass(frozen=True)
class PlaneCore:
    """A core routine and what one call, one channel, executes."""

    routine: Routine
    instructions: int


def obstacle(shape: PlaneShape) -> str:
    """Why the core cannot address an image of this shape, or ""."""
    if shape.column_bytes > 1020:
        return f"columns of {shape.words_a_column} pairs of rows exceed LDRD's step of 1020 bytes"
    row_bytes = shape.out_width * shape.channels
    if shape.rows == 2 and row_bytes > _LARGEST_OFFSET:
        return f"output rows of {row_bytes} bytes exceed STRB's offset of {_LARGEST_OFFSET}"
    return ""


def _emit_setup(code: Assembly, recipe: Recipe) -> None:
    """Table of a channel into registers: weights times 2^p as (upper, lower) halves."""
    code.comment("r3 r7 r9 weight bytes; r10 bias, r11 multiplier, r12 offset, lr tie")
    code.op("ldm", "r2!", "{r3, r7, r9}")
    code.op("ldm", "r2", "{r10, r11, r12" + (", lr}" if recipe.needs_tie else "}"))
    code.op("vmov", "s0", "s1", "r11", "r12")
    if recipe.needs_tie:
        code.op("vmov", "s3", "s4", "lr", "r12")
    if recipe.is_wide:
        code.op("ubfx", "r5", "r9", "#16", "#8")
        code.op("vmov", _REST, "r5")
    code.op("ubfx", "r5", "r9", "#8", "#8")
    code.op("lsl", "r10", "r10", "r5")
    code.op("vmov", _BIAS, "r10")
    code.op("sxtb16", "r4", "r3")
    code.op("sxtb16", "r6", "r3", "ror #8")
    code.op("sxtb16", "r8", "r7")
    code.op("sxtb16", "r7", "r7", "ror #8")
    code.op("sxtb", "r9", "r9")
    code.comment("shift left by p; what leaves the lower half must not enter the upper one")
    code.op("mov", "r10", "#0x10000")
    code.op("lsl", "r11", "r10", "r5")
    code.op("sub", "r11", "r11", "r10")
    for pair in ("r4", "r6", "r8", "r7"):
        code.op("lsl", pair, pair, "r5")
        code.op("bic", pair, pair, "r11")
    code.op("lsl", "r9", "r9", "r5")
    code.comment("pairs of taps (1, 2) from (0, 1) and the third row")
    code.op("lsl", "r10", "r7", "#16")
    code.op("pkhtb", "r5", "r10", "r4", "asr #16")
    code.op("lsl", "r9", "r9", "#16")
    code.op("pkhtb", "r9", "r9", "r8", "asr #16")
    code.op("pkhtb", "r7", "r7", "r6", "asr #16")


@cache
def plane_core(shape: PlaneShape, recipe: Recipe) -> PlaneCore:
    """The routine for one channel."""
    symbol = f"jl_m4_dw{shape.key}_{recipe.key}"
    code = Assembly(
        symbol,
        f"void {symbol}(const int32_t *plane, int8_t *out, const uint32_t *channel): "
        "r2 r3 four rows, r4-r9 weights, r10-r12 lr sums",
    )
    code.enter()
    _emit_setup(code, recipe)
    turns, is_odd = divmod(shape.out_height, shape.rows)
    executed = code.instructions + 1
    if turns:
        if turns > 1:
            code.op("add", "r2", _PLANE, f"#{4 * turns}")
            code.op("vmov", _PLANE_END, "r2")
            code.label("2")
        start = code.instructions
        program = _RowProgram(code, shape, recipe, shape.rows)
        program.emit()
        if turns > 1:
            code.op("vmov", "r2", _PLANE_END)
            code.op("cmp", _PLANE, "r2")
            code.op("bne", "2b")
        executed += 2 + turns * (code.instructions - start + program.looped)
    if is_odd:
        code.comment("the last row alone")
        start = code.instructions
        program = _RowProgram(code, shape, recipe, 1)
        program.emit()
        executed += code.instructions - start + program.looped
    code.leave()
    return PlaneCore(code.routine(), executed)
