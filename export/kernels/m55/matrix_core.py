"""The routine of a convolution: 4 output channels by 2 positions, 16 products at a time.

Positions lie `pitch` bytes apart; weights and scaling come in groups of 4 channels. An odd last
position is computed together with the one before it, and channels that do not fill a group of 4
together with the ones before them: both write the same bytes again.
"""

from __future__ import annotations

from export.kernels.layer import Routine
from export.kernels.m55.assembly import ACCUMULATORS, SAVED_BYTES, HeliumAssembly, register_list
from export.kernels.m55.scaling import Recipe, narrow_lines, scale_lines

CHUNK = 16
GROUP = 4  # output channels
LONGEST_UNROLLED = 8  # chunks
_UNROLLED = 4  # chunks a turn in the loop for longer rows

DECLARATIONS = """\
typedef struct {
    const int8_t *input;
    int8_t *output;
    const int8_t *weights;       /* group by group, chunk by chunk, channel by channel */
    const int32_t *table;        /* group by group: 4 biases, multipliers, right, (left) shifts */
    uint32_t groups;             /* of 4 output channels, >= 1 */
    uint32_t last_channel;       /* where the last group starts */
    uint32_t channels;           /* of the output: bytes from one position to the next */
    uint32_t pairs;              /* of positions, >= 1 */
    uint32_t is_odd;             /* one position more */
    int32_t zero_point, minimum, maximum;
    uint32_t last_inputs;        /* in the last chunk, 1..16 */
    uint32_t pitch;              /* bytes from one position's input to the next's */
    uint32_t whole_chunks;       /* all but the last */
    uint32_t skipped_bytes;      /* of code, before the chunk where a pair starts */
    uint16_t places[8];          /* of the 8 outputs: channel by channel, both positions */
} jl_m55_matrix;
"""
(_INPUT, _OUTPUT, _WEIGHTS, _TABLE, _GROUPS, _LAST_CHANNEL, _CHANNELS, _PAIRS, _IS_ODD) = range(
    0, 36, 4
)
_ZERO_POINT, _MINIMUM, _LAST_INPUTS, _PITCH, _WHOLE, _SKIPPED, _PLACES = 36, 40, 48, 52, 56, 60, 64

# The frame: eight biases for LDM, four left shifts, then single words.
_LEFT, _CALL, _CHANNEL, _ODD_LEFT, _COUNT, _START, _STEP, _BASE = 32, 48, 52, 56, 60, 64, 68, 72
_FRAME = 80


def is_unrolled(chunks: int, pitch: int) -> bool:
    """Whether a position's whole row is straight-line code: offsets must fit the encodings."""
    reach = pitch + CHUNK * (chunks - 1)
    return chunks <= LONGEST_UNROLLED and (
        (pitch % 4 == 0 and reach <= 508) or (pitch % 4 != 0 and reach <= 127)
    )


def matrix_routine(chunks: int, pitch: int, recipe: Recipe, *, is_ragged: bool) -> Routine:
    """`void symbol(const jl_m55_matrix *call)`.

    Args:
        chunks: of 16 products.
        pitch: bytes from one position's input to the next's.
        recipe: of the scaling.
        is_ragged: the last chunk is not whole in memory, so it is read under a predicate.
    """
    short = is_unrolled(chunks, pitch)
    shape = f"{chunks}x{pitch}" if short else "long"
    ragged = "r" if is_ragged else ""
    code = HeliumAssembly(
        f"jl_m55_matrix_{shape}{ragged}_{recipe.suffix}",
        "4 output channels by 2 positions at a time; "
        + (f"{chunks} x 16 products, positions {pitch} bytes apart." if short else "any length."),
    )
    _begin(code, is_ragged=is_ragged)
    if not short:
        _begin_long(code)
    code.comment("a group of 4 channels: biases for both positions, multipliers, shifts")
    code.label("1")
    _begin_group(code, recipe)
    if short:
        _pairs_unrolled(code, chunks, pitch, recipe, is_ragged=is_ragged)
    else:
        _pairs_long(code, recipe, is_ragged=is_ragged)
    _end_group(code)
    code.op("add", "sp", f"#{_FRAME}")
    code.leave()
    return code.finish(SAVED_BYTES + _FRAME)


def _begin(code: HeliumAssembly, *, is_ragged: bool) -> None:
    code.enter()
    code.op("sub", "sp", f"#{_FRAME}")
    code.comment("r11 weights, r10 table, q7 places of the outputs")
    code.ops(
        [
            f"str r0, [sp, #{_CALL}]",
            f"ldrd r11, r10, [r0, #{_WEIGHTS}]",
            f"add r2, r0, #{_PLACES}",
            "vldrh.u16 q7, [r2]",
            "movs r2, #0",
            f"str r2, [sp, #{_CHANNEL}]",
            f"ldr r2, [r0, #{_GROUPS}]",
            f"str r2, [sp, #{_COUNT}]",
        ]
    )
    if is_ragged:
        code.ops([f"ldr r2, [r0, #{_LAST_INPUTS}]", "vctp.8 r2"])
    code.ops([f"str r10, [sp, #{_BASE}]"])


def _begin_group(code: HeliumAssembly, recipe: Recipe) -> None:
    code.ops(
        [
            f"ldr r10, [sp, #{_BASE}]",
            "vldrw.u32 q0, [r10], #16",
            "vstrw.32 q0, [sp]",
            "vstrw.32 q0, [sp, #16]",
            "vldrw.u32 q6, [r10], #16",
            "vldrw.u32 q3, [r10], #16",
        ]
    )
    if recipe.has_left:
        code.ops(["vldrw.u32 q0, [r10], #16", f"vstrw.32 q0, [sp, #{_LEFT}]"])
    code.ops(
        [
            f"str r10, [sp, #{_BASE}]",
            f"ldr r0, [sp, #{_CALL}]",
            f"ldrd r1, r3, [r0, #{_INPUT}]",
            f"ldr r2, [sp, #{_CHANNEL}]",
            "add r3, r2",
            f"ldrd r7, r4, [r0, #{_PAIRS}]",
            f"str r4, [sp, #{_ODD_LEFT}]",
        ]
    )


def _end_group(code: HeliumAssembly) -> None:
    """The next group's first channel, at most the last group's; until no group is left."""
    code.ops(
        [
            f"ldr r0, [sp, #{_CALL}]",
            f"ldr r2, [sp, #{_CHANNEL}]",
            f"ldr r4, [r0, #{_LAST_CHANNEL}]",
            f"adds r2, #{GROUP}",
            "cmp r2, r4",
            "it hi",
            "movhi r2, r4",
            f"str r2, [sp, #{_CHANNEL}]",
            f"ldr r2, [sp, #{_COUNT}]",
            "subs r2, #1",
            f"str r2, [sp, #{_COUNT}]",
            "bne 1b",
        ]
    )


def _scale_and_store(code: HeliumAssembly, recipe: Recipe) -> None:
    """Eight accumulators to eight bytes at their places; r9 is the zero point."""
    code.comment("scale, narrow and store")
    code.ops(
        [
            "vmov q0[2], q0[0], r0, r4",
            "vmov q0[3], q0[1], r2, r6",
            "vmov q1[2], q1[0], r8, r12",
            "vmov q1[3], q1[1], r10, lr",
        ]
    )
    if recipe.has_left:  # Q2 holds the left shifts, and ties after they are done
        code.op("vldrw.u32", "q2", f"[sp, #{_LEFT}]")
    code.ops(scale_lines(recipe, ("q0", "q1"), "q6", "q3", "q2", "q2"))
    if recipe.has_minimum or recipe.has_maximum:
        code.ops([f"ldr r0, [sp, #{_CALL}]", f"ldrd r0, r2, [r0, #{_MINIMUM}]"])
    code.ops(narrow_lines(recipe, "q0", "q1", "r9", ("r0", "r2"), "q2"))
    code.op("vstrb.16", "q0", "[r3, q7]")


def _pairs_unrolled(
    code: HeliumAssembly, chunks: int, pitch: int, recipe: Recipe, *, is_ragged: bool
) -> None:
    load = "vldrw.u32" if pitch % 4 == 0 else "vldrb.u8"
    predicated = load.replace(".", "t.")
    step = 2 * pitch
    is_post_indexed = step <= (508 if pitch % 4 == 0 else 127)
    # The weights of the chunk that comes first stay in Q4 and Q5.
    resident = {(channel, chunks - 1): f"q{4 + channel}" for channel in (0, 1)}
    code.comment("r1 input, r3 output, r5 its step, r7 pairs, r9 zero point, r11 weights")
    code.ops(
        [
            f"ldr r9, [r0, #{_ZERO_POINT}]",
            f"ldr r5, [r0, #{_CHANNELS}]",
            "lsls r5, r5, #1",
        ]
    )
    for (channel, chunk), vector in resident.items():
        code.op("vldrw.u32", vector, f"[r11, #{CHUNK * (GROUP * chunk + channel)}]")
    code.comment("each turn: 8 accumulators from their biases, then the products")
    code.label("2")
    code.op("ldm", "sp", register_list(ACCUMULATORS))
    for chunk in reversed(range(chunks)):
        at = CHUNK * chunk
        is_tail = is_ragged and chunk == chunks - 1
        if is_tail:
            code.op("vpstt")
        code.op(predicated if is_tail else load, "q1", f"[r1, #{pitch + at}]")
        is_last = chunk == 0 and is_post_indexed
        first = f"[r1], #{step}" if is_last else f"[r1, #{at}]"
        code.op(predicated if is_tail else load, "q0", first)
        for channel in range(GROUP):
            vector = resident.get((channel, chunk), "q2")
            if vector == "q2":
                code.op("vldrw.u32", "q2", f"[r11, #{CHUNK * (GROUP * chunk + channel)}]")
            code.op("vmladava.s8", ACCUMULATORS[channel], vector, "q0")
            code.op("vmladava.s8", ACCUMULATORS[GROUP + channel], vector, "q1")
    _scale_and_store(code, recipe)
    if not is_post_indexed:
        code.op("add", "r1", f"#{step}")
    code.ops(["add r3, r5", "subs r7, #1", "bne 2b"])
    code.comment("an odd position: once more from the one before it")
    code.ops(
        [
            f"ldr r0, [sp, #{_ODD_LEFT}]",
            "cbz r0, 3f",
            "movs r0, #0",
            f"str r0, [sp, #{_ODD_LEFT}]",
            "movs r7, #1",
            f"sub r1, #{pitch}",
            "sub r3, r3, r5, lsr #1",
            "b 2b",
        ]
    )
    code.label("3")
    code.op("add", "r11", f"#{CHUNK * GROUP * chunks}")


def _begin_long(code: HeliumAssembly) -> None:
    code.comment("where a pair starts: after the chunks that its first turn leaves out")
    code.ops(
        [
            f"ldr r2, [r0, #{_SKIPPED}]",
            "adr r4, 4f",
            "add r2, r4",
            "adds r2, #1",
            f"str r2, [sp, #{_START}]",
        ]
    )
    code.comment("from the end of a pair's chunks to the next pair's input")
    code.ops(
        [
            f"ldrd r2, r4, [r0, #{_PITCH}]",
            "lsls r2, r2, #1",
            "sub r2, r2, r4, lsl #4",
            f"str r2, [sp, #{_STEP}]",
        ]
    )


def _pairs_long(code: HeliumAssembly, recipe: Recipe, *, is_ragged: bool) -> None:
    """Rows of any length: two input pointers, and a loop that a pair enters part way."""
    code.comment("r1 and r9 inputs, r3 output, r5 end of the loop's weights, r7 pairs, r11 weights")
    code.ops(
        [
            f"ldr r2, [r0, #{_PITCH}]",
            "add r9, r1, r2",
            f"ldr r2, [r0, #{_WHOLE}]",
            "add r5, r11, r2, lsl #6",
        ]
    )
    code.label("2")
    code.ops([f"ldm sp, {register_list(ACCUMULATORS)}", f"ldr pc, [sp, #{_START}]"])
    code.directive(".balign 4")
    code.label("4")
    for _ in range(_UNROLLED):
        code.ops(["vldrb.u8 q0, [r1], #16", "vldrb.u8 q1, [r9], #16"])
        _products(code)
    code.ops(["cmp r11, r5", "bne 4b"])
    code.comment("the last chunk")
    if is_ragged:
        code.ops(["vpstt", "vldrbt.u8 q0, [r1]", "vldrbt.u8 q1, [r9]"])
    else:
        code.ops(["vldrb.u8 q0, [r1]", "vldrb.u8 q1, [r9]"])
    _products(code)
    # R9 is an input here: the zero point and the steps wait in memory.
    code.ops(["mov r11, r9"])
    code.comment("scale, narrow and store; meanwhile r11 keeps the second input")
    code.ops(["vmov q0[2], q0[0], r0, r4", f"ldr r0, [sp, #{_CALL}]"])
    code.op("ldr", "r9", f"[r0, #{_ZERO_POINT}]")
    code.ops(
        [
            "vmov q0[3], q0[1], r2, r6",
            "vmov q1[2], q1[0], r8, r12",
            "vmov q1[3], q1[1], r10, lr",
        ]
    )
    if recipe.has_left:
        code.op("vldrw.u32", "q2", f"[sp, #{_LEFT}]")
    code.ops(scale_lines(recipe, ("q0", "q1"), "q6", "q3", "q2", "q2"))
    if recipe.has_minimum or recipe.has_maximum:
        code.ops([f"ldrd r2, r4, [r0, #{_MINIMUM}]"])
    code.ops(narrow_lines(recipe, "q0", "q1", "r9", ("r2", "r4"), "q2"))
    code.op("vstrb.16", "q0", "[r3, q7]")
    code.comment("on to the next pair: weights back, inputs and output forth")
    code.ops(
        [
            f"ldr r2, [sp, #{_STEP}]",
            "add r1, r2",
            "add r9, r11, r2",
            f"ldr r4, [r0, #{_CHANNELS}]",
            "add r3, r3, r4, lsl #1",
            f"ldr r2, [r0, #{_WHOLE}]",
            "sub r11, r5, r2, lsl #6",
            "subs r7, #1",
            "bne 2b",
        ]
    )
    code.comment("an odd position: once more from the one before it")
    code.ops(
        [
            f"ldr r2, [sp, #{_ODD_LEFT}]",
            "cbz r2, 3f",
            "movs r2, #0",
            f"str r2, [sp, #{_ODD_LEFT}]",
            "movs r7, #1",
            f"ldr r2, [r0, #{_PITCH}]",
            "sub r1, r2",
            "sub r9, r2",
            "sub r3, r4",
            "b 2b",
        ]
    )
    code.label("3")
    code.op("add", "r11", "r5", "#64")


def _products(code: HeliumAssembly) -> None:
    for channel in range(GROUP):
        code.op("vldrb.u8", "q2", "[r11], #16")
        code.op("vmladava.s8", ACCUMULATORS[channel], "q2", "q0")
        code.op("vmladava.s8", ACCUMULATORS[GROUP + channel], "q2", "q1")


def skipped_bytes(chunks: int) -> int:
    """Code that a pair's first turn leaves out, in the routine for long rows."""
    return -(chunks - 1) % _UNROLLED * 14 * 4


def matrix_instructions(
    chunks: int, pitch: int, recipe: Recipe, *, groups: int, positions: int, is_ragged: bool
) -> int:
    """Executed by one call of `matrix_routine`, near enough (a few per call are left out)."""
    scaled = (
        len(scale_lines(recipe, ("q0", "q1"), "q6", "q3", "q2", "q2"))
        + len(narrow_lines(recipe, "q0", "q1", "r9", ("r0", "r2"), "q2"))
        + recipe.has_left
        + 2 * (recipe.has_minimum or recipe.has_maximum)
        + 5
    )
    pairs = -(-positions // 2)
    odd = 7 * (positions % 2)
    left = 2 * recipe.has_left
    if is_unrolled(chunks, pitch):
        pair = 1 + 14 * chunks - 2 + is_ragged + scaled + 3
        return 20 + groups * (13 + left + 5 + pairs * pair + 3 + odd + 12)
    turns = -(-(chunks - 1) // _UNROLLED)
    pair = 2 + 14 * chunks + 2 * turns + is_ragged + 3 + scaled + 9
    return 29 + groups * (13 + left + 4 + pairs * pair + 3 + odd + 12)
