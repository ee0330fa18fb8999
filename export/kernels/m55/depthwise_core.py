"""The routine of a depthwise layer: channel by channel through a plane, tile by tile.

For each output channel: copy its input channel into the plane (gathered from the pixels), lay the
kernel out over the lanes of a tile, sum all outputs, scale them and scatter them to their pixels.
"""

from __future__ import annotations

import re

from export.kernels.layer import Routine
from export.kernels.m55.assembly import ACCUMULATORS, SAVED_BYTES, HeliumAssembly, register_list
from export.kernels.m55.depthwise_tiles import Tiles
from export.kernels.m55.scaling import Recipe, narrow_lines, scale_lines

DECLARATIONS = """\
typedef struct {
    const int8_t *input;         /* the channel's first pixel; moves on */
    int8_t *output;              /* likewise */
    const int8_t *weights;       /* channel by channel: taps, then one zero; moves on */
    const int32_t *table;        /* channel by channel: biases, multiplier, right, (left) */
    int8_t *inside;              /* of the plane: where the first pixel goes */
    int8_t *plane;
    int32_t *sums;
    const uint8_t *lanes;        /* taps of each output's lanes, then offsets of each tile's */
    const uint16_t *pixels;      /* offsets of 16 pixels of the input, then of the output */
    uint32_t channels;           /* of the output, left to do */
    uint32_t rows, pitch;        /* of pixels to copy; bytes of the plane from one to the next */
    uint32_t whole, rest;        /* of a row of pixels: sixteens, and what is left */
    uint32_t jump, back;         /* bytes of 16 pixels; from a row's last sixteen to the next row */
    uint32_t strips;             /* of output rows, summed before they are scaled */
    uint32_t sum_rows, turns;    /* rows of a strip, turns of a row */
    uint32_t step;               /* bytes of the plane from turn to turn */
    int32_t row_step;            /* from behind a row's last turn to the next row */
    uint32_t surplus;            /* bytes of sums beyond the end of a row */
    uint32_t strip_step;         /* bytes of the plane from one strip to the next */
    uint32_t scale_whole, scale_rest;
    uint32_t out_jump;           /* bytes of 16 pixels of output */
    uint32_t strip_out;          /* bytes of the output from one strip to the next */
    int32_t zero_point, minimum, maximum;
    uint32_t depth, turn;        /* outputs of one input channel; how many of them are done */
    uint32_t kernel_bytes;
    int8_t *laid_out;            /* kernels over lanes, for windows in groups */
    uint32_t group_step;         /* bytes of the plane from one group to the next */
    uint32_t row_turns;          /* turns that sum a strip, where a turn is a row or several */
} jl_m55_depthwise;
"""
# Offset of each field in the call: all are words, and the C above is the one place that lists them.
_AT = {
    field: 4 * place
    for place, field in enumerate(re.findall(r"(\w+)[,;]", re.sub(r"/\*.*?\*/", "", DECLARATIONS)))
}

# The frame: the biases of a turn for LDM, then the strip's place and the scaling.
_STRIPS, _PLANE, _OUTPUT, _MULTIPLIER, _LEFT, _FRAME = 32, 36, 40, 44, 52, 56


def _get(register: str, field: str) -> str:
    return f"ldr {register}, [r11, #{_AT[field]}]"


def _put(register: str, field: str) -> str:
    return f"str {register}, [r11, #{_AT[field]}]"


def depthwise_routine(
    tiles: Tiles, recipe: Recipe, biases: tuple[int, ...], *, unrolled: int, is_shared: bool
) -> Routine:
    """`void symbol(jl_m55_depthwise *call)`, which uses up its call.

    Args:
        tiles: how outputs are summed.
        recipe: of the scaling.
        biases: which of the channel's biases each output of a turn starts from.
        unrolled: rows summed before the loop turns, where a turn is a row; divides the strip.
        is_shared: an input channel has several output channels.
    """
    shape = f"{tiles.outputs}x{tiles.tiles}{'s' if tiles.turns == 1 else ''}"
    kind = f"r{tiles.row_step}" if tiles.is_contiguous else "w"
    if tiles.groups > 1:
        shape, kind = f"{tiles.outputs}x1", f"g{tiles.groups}"
    if unrolled > 1:
        kind += f"u{unrolled}"
    if is_shared:
        kind += "m"
    starts = "" if max(biases) == 0 else "_" + "".join(map(str, biases))
    code = HeliumAssembly(
        f"jl_m55_depthwise_{shape}{kind}{starts}_{recipe.suffix}",
        f"Depthwise: {tiles.outputs} outputs of a tile, {tiles.tiles} tiles of a turn.",
    )
    code.enter()
    code.ops([f"sub sp, #{_FRAME}", "mov r11, r0"])
    code.comment("a channel; r11 is the call throughout")
    code.label("1")
    _copy_plane(code, is_shared=is_shared)
    _begin_channel(code, recipe, biases)
    code.comment("a strip of output rows")
    code.label("6")
    _lay_out(code, tiles)
    if tiles.groups > 1:
        _sum_groups(code, tiles)
    elif tiles.turns == 1:
        _sum_short_rows(code, tiles, unrolled)
    else:
        _sum_rows(code, tiles)
    _scale_strip(code, recipe)
    _end_strip(code)
    _end_channel(code, is_shared=is_shared)
    code.op("add", "sp", f"#{_FRAME}")
    code.leave()
    return code.finish(SAVED_BYTES + _FRAME)


def _copy_plane(code: HeliumAssembly, *, is_shared: bool) -> None:
    code.comment("the channel's pixels into the plane, unless the output before had the same")
    if is_shared:
        code.ops([_get("r0", "turn"), "cmp r0, #0", "bne 5f"])
    code.ops(
        [
            _get("r9", "pixels"),
            "vldrh.u16 q5, [r9]",
            "vldrh.u16 q6, [r9, #16]",
            f"ldrd r4, r5, [r11, #{_AT['rows']}]",
            f"ldrd r6, r7, [r11, #{_AT['whole']}]",
            f"ldrd r8, r10, [r11, #{_AT['jump']}]",
            _get("r1", "input"),
            _get("r3", "inside"),
        ]
    )
    code.comment("a row: 16 pixels at a time, then the rest under a predicate")
    code.label("2")
    code.ops(["mov r2, r3", "wls lr, r6, 4f"])
    code.label("3")
    code.ops(
        [
            "vldrb.u16 q0, [r1, q5]",
            "vldrb.u16 q1, [r1, q6]",
            "vstrb.16 q0, [r2], #8",
            "vstrb.16 q1, [r2], #8",
            "add r1, r8",
            "le lr, 3b",
        ]
    )
    code.label("4")
    code.ops(
        [
            "cbz r7, 4f",
            "vctp.16 r7",
            "vpstt",
            "vldrbt.u16 q0, [r1, q5]",
            "vstrbt.16 q0, [r2]",
            "subs r0, r7, #8",
            "bls 4f",
            "vctp.16 r0",
            "vpstt",
            "vldrbt.u16 q1, [r1, q6]",
            "vstrbt.16 q1, [r2, #8]",
        ]
    )
    code.label("4")
    code.ops(["add r1, r10", "add r3, r5", "subs r4, #1", "bne 2b"])
    code.label("5")


def _begin_channel(code: HeliumAssembly, recipe: Recipe, biases: tuple[int, ...]) -> None:
    code.comment("biases of a turn and the scaling into the frame")
    code.op(*_get("r10", "table").split(" ", 1))
    if max(biases) == 0:
        code.ops(["ldr r1, [r10], #4", "vdup.32 q7, r1", "vstrw.32 q7, [sp]"])
        if len(biases) > 4:
            code.op("vstrw.32", "q7", "[sp, #16]")
    else:
        registers = [f"r{1 + k}" for k in range(max(biases) + 1)]
        code.op("ldm", "r10!", register_list(registers))
        for place, bias in enumerate(biases):
            code.op("str", registers[bias], f"[sp, #{4 * place}]")
    code.ops(["ldrd r0, r2, [r10], #8", f"strd r0, r2, [sp, #{_MULTIPLIER}]"])
    if recipe.has_left:
        code.ops(["ldr r0, [r10], #4", f"str r0, [sp, #{_LEFT}]"])
    code.ops(
        [
            _put("r10", "table"),
            _get("r0", "strips"),
            _get("r2", "plane"),
            f"strd r0, r2, [sp, #{_STRIPS}]",
            _get("r1", "output"),
            f"str r1, [sp, #{_OUTPUT}]",
        ]
    )


def _lay_out(code: HeliumAssembly, tiles: Tiles) -> None:
    code.comment("the kernel over the lanes of each output; then where each tile's lanes lie")
    code.ops([_get("r0", "weights"), _get("r1", "lanes")])
    if tiles.groups > 1:  # more vectors than registers: into memory
        code.op(*_get("r2", "laid_out").split(" ", 1))
        for _ in range(tiles.groups * tiles.outputs):
            code.ops(["vldrb.u8 q7, [r1], #16", "vldrb.u8 q6, [r0, q7]", "vstrw.32 q6, [r2], #16"])
        code.op("vldrb.u8", "q0", "[r1]")
        return
    for k in range(tiles.outputs):
        code.ops(["vldrb.u8 q7, [r1], #16", f"vldrb.u8 q{k}, [r0, q7]"])
    if not tiles.is_contiguous:
        for k in range(tiles.tiles):
            code.op("vldrb.u8", f"q{tiles.outputs + k}", "[r1], #16")


def _turn(code: HeliumAssembly, tiles: Tiles) -> None:
    """Sums of one turn into memory: r3 plane, r5 sums."""
    registers = ACCUMULATORS[: tiles.turn_outputs]
    is_one = len(registers) == 1
    code.ops(["ldr r0, [sp]" if is_one else f"ldm sp, {register_list(registers)}"])
    for tile in range(tiles.tiles):
        if tiles.is_contiguous:
            code.op("vldrb.u8", "q7", f"[r3], #{tiles.row_step}")
        else:
            code.op("vldrb.u8", "q7", f"[r3, q{tiles.outputs + tile}]")
        for output in range(tiles.outputs):
            register = registers[tile * tiles.outputs + output]
            code.op("vmladava.s8", register, f"q{output}", "q7")
    code.ops(["str r0, [r5], #4" if is_one else f"stm r5!, {register_list(registers)}"])


def _sum_short_rows(code: HeliumAssembly, tiles: Tiles, unrolled: int) -> None:
    code.comment("a turn is a row: r3 plane, r5 sums, r7 step, r1 surplus sums")
    code.ops([f"ldr r3, [sp, #{_PLANE}]", _get("r5", "sums"), _get("lr", "row_turns")])
    if not tiles.is_contiguous:
        code.op(f"ldrd r7, r1, [r11, #{_AT['row_step']}]")
    code.label("7")
    for _ in range(unrolled):
        _turn(code, tiles)
        if not tiles.is_contiguous:
            code.ops(["add r3, r7", "sub r5, r1"])
    code.op("le", "lr", "7b")


def _sum_rows(code: HeliumAssembly, tiles: Tiles) -> None:
    code.comment("rows of turns: r3 plane, r5 sums, r1 turns, r9 rows, r7 step")
    code.ops(
        [
            f"ldr r3, [sp, #{_PLANE}]",
            _get("r5", "sums"),
            f"ldrd r9, r1, [r11, #{_AT['sum_rows']}]",
            _get("r7", "step"),
        ]
    )
    code.label("7")
    code.op("mov", "lr", "r1")
    code.label("8")
    _turn(code, tiles)
    code.ops(["add r3, r7", "le lr, 8b"])
    code.comment("sums beyond the end of the row make way for the next row's")
    code.ops(
        [
            f"ldrd r0, r2, [r11, #{_AT['row_step']}]",
            "add r3, r0",
            "sub r5, r2",
            "subs r9, #1",
            "bne 7b",
        ]
    )


def _sum_groups(code: HeliumAssembly, tiles: Tiles) -> None:
    code.comment("rows of turns: r3 plane, r5 sums, r12 turns, r9 rows, r7 step; Q0 the lanes,")
    code.comment("r1 a group's bytes, r8 from group to group, r10 the kernels over the lanes")
    code.ops(
        [
            f"ldr r3, [sp, #{_PLANE}]",
            _get("r5", "sums"),
            f"ldrd r9, r12, [r11, #{_AT['sum_rows']}]",
            _get("r7", "step"),
            f"ldrd r10, r8, [r11, #{_AT['laid_out']}]",
        ]
    )
    code.label("7")
    code.op("mov", "lr", "r12")
    code.label("8")
    registers = ACCUMULATORS[: tiles.outputs]
    is_one = len(registers) == 1
    code.ops(["ldr r0, [sp]" if is_one else f"ldm sp, {register_list(registers)}"])
    for group in range(tiles.groups):
        base = "r1" if group else "r3"
        if group:
            code.op("add", "r1", "r3" if group == 1 else "r1", "r8")
        code.op("vldrb.u8", "q7", f"[{base}, q0]")
        for output, register in enumerate(registers):
            code.op("vldrw.u32", "q6", f"[r10, #{16 * (group * tiles.outputs + output)}]")
            code.op("vmladava.s8", register, "q6", "q7")
    code.ops(["str r0, [r5], #4" if is_one else f"stm r5!, {register_list(registers)}"])
    code.ops(["add r3, r7", "le lr, 8b"])
    code.comment("sums beyond the end of the row make way for the next row's")
    code.ops(
        [
            f"ldrd r0, r2, [r11, #{_AT['row_step']}]",
            "add r3, r0",
            "sub r5, r2",
            "subs r9, #1",
            "bne 7b",
        ]
    )


def _scale_block(code: HeliumAssembly, recipe: Recipe) -> None:
    """Eight sums to eight bytes in the order of the outputs."""
    code.ops(["vld20.32 {q0, q1}, [r5]", "vld21.32 {q0, q1}, [r5]!"])
    code.ops(scale_lines(recipe, ("q0", "q1"), "r2", "r4", "r6", "q7"))
    code.ops(narrow_lines(recipe, "q0", "q1", "r8", ("r10", "r12"), "q7"))


def _scale_strip(code: HeliumAssembly, recipe: Recipe) -> None:
    code.comment("r5 sums, r2 multiplier, r4 right, r6 left, r8 zero point, r10 and r12 clamps,")
    code.comment("r1 output, r7 bytes of 16 pixels, r3 the rest; Q5 and Q6 offsets of 16 pixels")
    code.ops(
        [
            _get("r5", "sums"),
            f"ldrd r2, r4, [sp, #{_MULTIPLIER}]",
            *([f"ldr r6, [sp, #{_LEFT}]"] if recipe.has_left else []),
            _get("r8", "zero_point"),
            *([_get("r10", "minimum")] if recipe.has_minimum else []),
            *([_get("r12", "maximum")] if recipe.has_maximum else []),
            _get("r9", "pixels"),
            "vldrh.u16 q5, [r9, #32]",
            "vldrh.u16 q6, [r9, #48]",
            f"ldr r1, [sp, #{_OUTPUT}]",
            f"ldrd r0, r3, [r11, #{_AT['scale_whole']}]",
            _get("r7", "out_jump"),
            "wls lr, r0, 4f",
        ]
    )
    code.comment("16 pixels at a time")
    code.label("3")
    for offsets in ("q5", "q6"):
        _scale_block(code, recipe)
        code.op("vstrb.16", "q0", f"[r1, {offsets}]")
    code.ops(["add r1, r7", "le lr, 3b"])
    code.comment("the rest 8 at a time, under a predicate")
    code.label("4")
    code.ops(["cbz r3, 4f"])
    code.label("3")
    _scale_block(code, recipe)
    code.ops(["vctp.16 r3", "vpst", "vstrbt.16 q0, [r1, q5]"])
    code.ops(["add r1, r1, r7, lsr #1", "subs r3, #8", "bgt 3b"])
    code.label("4")


def _end_strip(code: HeliumAssembly) -> None:
    code.ops(
        [
            f"ldrd r0, r2, [sp, #{_STRIPS}]",
            "subs r0, #1",
            "beq 4f",
            _get("r4", "strip_step"),
            "add r2, r4",
            f"strd r0, r2, [sp, #{_STRIPS}]",
            f"ldr r1, [sp, #{_OUTPUT}]",
            _get("r4", "strip_out"),
            "add r1, r4",
            f"str r1, [sp, #{_OUTPUT}]",
            "b 6b",
        ]
    )
    code.label("4")


def _end_channel(code: HeliumAssembly, *, is_shared: bool) -> None:
    code.comment("the next output channel, and after the last one of an input channel the next")
    code.ops(
        [
            _get("r0", "weights"),
            _get("r2", "kernel_bytes"),
            "add r0, r2",
            _put("r0", "weights"),
            "ldrd r0, r1, [r11]",
            "adds r1, #1",
        ]
    )
    if is_shared:
        code.ops(
            [
                f"ldrd r2, r3, [r11, #{_AT['depth']}]",
                "adds r3, #1",
                "cmp r2, r3",
                "itt eq",
                "moveq r3, #0",
                "addeq r0, #1",
                _put("r3", "turn"),
            ]
        )
    else:
        code.op("adds", "r0", "#1")
    code.ops(
        [
            "strd r0, r1, [r11]",
            _get("r0", "channels"),
            "subs r0, #1",
            _put("r0", "channels"),
            "bne 1b",
        ]
    )


def depthwise_instructions(tiles: Tiles, recipe: Recipe, counts: dict[str, int]) -> int:
    """Executed by one call of `depthwise_routine`, near enough.

    Args:
        tiles: how outputs are summed.
        recipe: of the scaling.
        counts: the call's fields by name.
    """
    sixteens, rest = counts["whole"], counts["rest"]
    is_shared = counts["depth"] > 1
    copy = 8 + counts["rows"] * (7 + 6 * sixteens + (0 if not rest else 5 + 4 * (rest > 8)))
    begin = 2 + 2 * tiles.outputs + (0 if tiles.is_contiguous else tiles.tiles)
    if tiles.groups > 1:
        begin = 4 + 3 * tiles.groups * tiles.outputs
    sums = 4 + counts["sum_rows"] * tiles.instructions_per_row
    if tiles.turns == 1 and tiles.groups == 1:
        sums -= counts["sum_rows"] - counts["row_turns"]
    block = (
        2
        + len(scale_lines(recipe, ("q0", "q1"), "r2", "r4", "r6", "q7"))
        + len(narrow_lines(recipe, "q0", "q1", "r8", ("r10", "r12"), "q7"))
    )
    scale = 12 + counts["scale_whole"] * (2 * block + 4)
    scale += -(-counts["scale_rest"] // 8) * (block + 6)
    strip = begin + sums + scale + (3 if counts["strips"] == 1 else 11)
    copies = -(-counts["channels"] // counts["depth"])
    return 22 + int(
        copies * copy + counts["channels"] * (24 + 9 * is_shared + counts["strips"] * strip)
    )
