"""The routines of a fully connected layer: dot products of 1 to 8 rows at once, then scaling."""

from __future__ import annotations

from export.kernels.layer import Routine
from export.kernels.m55.assembly import ACCUMULATORS, SAVED_BYTES, HeliumAssembly, register_list
from export.kernels.m55.scaling import Recipe, narrow_lines, scale_lines

CHUNK = 16  # int8 values in a vector
ROWS = 8  # one accumulator each
RESIDENT = 7  # input vectors that stay in registers: Q0-Q6, and Q7 takes the weights
LONGEST_UNROLLED = 8  # chunks; of 8, two are loaded again for each group of rows
_UNROLLED = 8  # chunks a turn in the loop for longer inputs

DECLARATIONS = """\
typedef struct {
    const int8_t *input;
    const int8_t *weights;   /* group by group, chunk by chunk, row by row: 16 bytes each */
    const int32_t *bias;
    int32_t *accumulators;
    uint32_t groups;         /* of rows, >= 1 */
    uint32_t whole_chunks;   /* of 16 inputs, all but the last */
    uint32_t last_inputs;    /* in the last chunk, 1..16 */
    uint32_t skipped_bytes;  /* of code, before the chunk where a group starts (long inputs) */
} jl_m55_rows;
"""


def _load_or_store(many: str, one: str, base: str, registers: tuple[str, ...]) -> tuple[str, str]:
    # LDM and STM want two registers at least.
    if len(registers) == 1:
        return one, f"{registers[0]}, [{base}], #4"
    return many, f"{base}!, {register_list(registers)}"


def rows_routine(chunks: int, rows: int) -> Routine:
    """`void symbol(const jl_m55_rows *call)`: accumulators of groups of `rows` rows.

    Args:
        chunks: of 16 inputs; above `LONGEST_UNROLLED` one routine serves all lengths.
        rows: in a group, 1..8.
    """
    if chunks > LONGEST_UNROLLED:
        return _long_routine(rows)
    registers = ACCUMULATORS[:rows]
    code = HeliumAssembly(
        f"jl_m55_rows_{chunks}_{rows}",
        f"Dot products of groups of {rows} rows with {chunks} x 16 inputs.",
    )
    code.enter()
    code.comment("r9 input, r11 weights, r5 bias, r3 accumulators, r7 groups")
    code.ops(["ldm r0, {r9, r11}", "ldrd r5, r3, [r0, #8]", "ldr r7, [r0, #16]"])
    code.comment("the input stays in registers; beyond its last value it counts as 0")
    resident = RESIDENT if chunks <= RESIDENT else RESIDENT - 1
    first = max(chunks - resident, 0)
    code.ops(["ldr r2, [r0, #24]", "vctp.8 r2"])
    for k in range(first, chunks):
        is_last = k == chunks - 1
        if is_last:
            code.op("vpst")
        code.op(f"vldrb{'t' if is_last else ''}.u8", f"q{k - first}", f"[r9, #{CHUNK * k}]")
    code.comment("each turn: start from the bias, 16 products at a time")
    code.label("1")
    code.op(*_load_or_store("ldm", "ldr", "r5", registers))
    for k in range(chunks):
        vector = f"q{k - first}"
        if k < first:
            vector = "q6"
            code.op("vldrb.u8", vector, f"[r9, #{CHUNK * k}]")
        for register in registers:
            code.op("vldrb.u8", "q7", f"[r11], #{CHUNK}")
            code.op("vmladava.s8", register, "q7", vector)
    code.op(*_load_or_store("stm", "str", "r3", registers))
    code.ops(["subs r7, #1", "bne 1b"])
    code.leave()
    return code.finish(SAVED_BYTES)


def _long_routine(rows: int) -> Routine:
    """Any number of chunks above 1: a loop that the first turn of a group enters part way."""
    registers = ACCUMULATORS[:rows]
    code = HeliumAssembly(
        f"jl_m55_rows_long_{rows}",
        f"Dot products of groups of {rows} rows with inputs of any length above 16.",
    )
    code.enter()
    code.op("sub", "sp", "#8")
    code.comment("r11 weights, r5 bias, r3 accumulators, r7 groups, r1 end of the whole chunks")
    code.ops(
        [
            "ldm r0, {r9, r11}",
            "ldrd r5, r3, [r0, #8]",
            "ldrd r7, r1, [r0, #16]",
            "add r1, r9, r1, lsl #4",
            "str r9, [sp]",
        ]
    )
    code.comment("the last chunk stays in Q0; beyond the last value it counts as 0")
    code.ops(["ldrd r2, r4, [r0, #24]", "vctp.8 r2", "vpst", "vldrbt.u8 q0, [r1]"])
    code.comment("where a group starts: after the chunks that the first turn leaves out")
    code.ops(["adr r2, 2f", "add r2, r4", "adds r2, #1", "str r2, [sp, #4]"])
    code.label("1")
    code.op("ldr", "r9", "[sp]")
    code.op(*_load_or_store("ldm", "ldr", "r5", registers))
    code.op("ldr", "pc", "[sp, #4]")
    code.directive(".balign 4")
    code.label("2")
    for _ in range(_UNROLLED):
        code.op("vldrb.u8", "q1", f"[r9], #{CHUNK}")
        for register in registers:
            code.op("vldrb.u8", "q7", f"[r11], #{CHUNK}")
            code.op("vmladava.s8", register, "q7", "q1")
    code.ops(["cmp r9, r1", "bne 2b"])
    for register in registers:
        code.op("vldrb.u8", "q7", f"[r11], #{CHUNK}")
        code.op("vmladava.s8", register, "q7", "q0")
    code.op(*_load_or_store("stm", "str", "r3", registers))
    code.ops(["subs r7, #1", "bne 1b", "add sp, #8"])
    code.leave()
    return code.finish(SAVED_BYTES + 8)


def skipped_bytes(chunks: int, rows: int) -> int:
    """Code that a group's first turn leaves out, in the routine for long inputs."""
    if chunks <= LONGEST_UNROLLED:
        return 0
    return -(chunks - 1) % _UNROLLED * (1 + 2 * rows) * 4


def rows_instructions(chunks: int, rows: int, groups: int) -> int:
    """Executed by one call of `rows_routine`, exact."""
    if chunks > LONGEST_UNROLLED:
        turns = -(-(chunks - 1) // _UNROLLED)
        each = 6 + (chunks - 1) * (1 + 2 * rows) + 2 * turns + 2 * rows
        return 19 + groups * each
    resident = RESIDENT if chunks <= RESIDENT else RESIDENT - 1
    loaded = max(chunks - resident, 0)
    return 11 + chunks - loaded + groups * (4 + loaded + 2 * chunks * rows - 0) - 1


SCALE_DECLARATIONS = """\
typedef struct {
    int32_t zero_point, minimum, maximum;
    const int32_t *table;    /* multiplier, right, left; or those of 16 channels, and so on */
} jl_m55_scale;
"""


def scale_routine(recipe: Recipe) -> Routine:
    """`void symbol(const int32_t *in, int8_t *out, const jl_m55_scale *how, uint32_t count)`.

    Scales `count` >= 1 accumulators in their natural order; reads up to a multiple of 16 of them.
    """
    kind = "one" if recipe.is_uniform else "each"
    code = HeliumAssembly(
        f"jl_m55_scale_{kind}_{recipe.suffix}", "int32 accumulators to int8, 16 at a time."
    )
    code.enter()
    code.comment("r4 zero point, r5 minimum, r6 maximum, r7 table; lr whole turns, r3 the rest")
    code.op("ldm r2, {r4, r5, r6, r7}")
    if recipe.is_uniform:
        code.comment("r8 multiplier, r9 right, r11 left")
        code.ops(["ldrd r8, r9, [r7]", *(["ldr r11, [r7, #8]"] if recipe.has_left else [])])
    code.comment("every turn stores under a predicate: all lanes, in the last turn the rest")
    code.ops(["movs r2, #16", "vctp.8 r2"])
    code.ops(["lsrs r2, r3, #4", "and r3, r3, #15", "mov lr, r2", "beq 2f"])
    code.label("1")
    for k in range(4):
        code.op(f"vld4{k}.32", "{q0, q1, q2, q3}", "[r0]!" if k == 3 else "[r0]")
    code.ops(_scale_sixteen(recipe))
    for pair in (("q0", "q2"), ("q1", "q3")):
        code.ops(narrow_lines(recipe, *pair, "r4", ("r5", "r6"), "q4"))
    code.ops(["vmovnt.i16 q0, q1", "vpst", "vstrbt.8 q0, [r1], #16", "le lr, 1b"])
    code.comment("the rest, in one more turn")
    code.label("2")
    code.ops(["cbz r3, 3f", "vctp.8 r3", "movs r3, #0", "mov lr, #1", "b 1b"])
    code.label("3")
    code.leave()
    return code.finish(SAVED_BYTES)


def _scale_sixteen(recipe: Recipe) -> list[str]:
    values = ("q0", "q1", "q2", "q3")
    if recipe.is_uniform:
        return scale_lines(recipe, values, "r8", "r9", "r11", "q4")
    # Vector k holds channels k, k + 4, k + 8, k + 12 of the sixteen, and so does the table.
    lines = []
    for k, value in enumerate(values):
        lines += [f"vldrw.u32 q5, [r7, #{16 * k}]", f"vldrw.u32 q6, [r7, #{64 + 16 * k}]"]
        if recipe.has_left:
            lines.append(f"vldrw.u32 q7, [r7, #{128 + 16 * k}]")
        lines += scale_lines(recipe, (value,), "q5", "q6", "q7", "q4")
    return [*lines, f"add r7, #{192 if recipe.has_left else 128}"]


def scale_instructions(recipe: Recipe, count: int) -> int:
    """Executed by one call of `scale_routine`, exact."""
    whole, rest = divmod(count, 16)
    narrowed = len(narrow_lines(recipe, "q0", "q2", "r4", ("r5", "r6"), "q4"))
    turn = 4 + len(_scale_sixteen(recipe)) + 2 * narrowed + 4
    start = 12 + (recipe.has_left + 1 if recipe.is_uniform else 0)
    return start + turn * (whole + (rest > 0)) + (5 if rest else 0)
