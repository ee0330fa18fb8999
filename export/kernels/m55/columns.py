"""From an image to columns: each output position's products in one row, for the matrix routine.

Two schemes. `gather`: the row in chunks of 16 bytes, each one load (of contiguous bytes, or of 16
bytes anywhere within 255) and one store; straight-line code for the shape. `segments`: any number
of contiguous pieces, copied in a loop; serves every shape.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from export.kernels.layer import Convolution, Routine
from export.kernels.m55.assembly import SAVED_BYTES, HeliumAssembly

if TYPE_CHECKING:
    from numpy.typing import NDArray

CHUNK = 16
_GATHERED = 7  # offset vectors: Q0-Q6, and Q7 takes the data
_LONGEST_STRAIGHT = 16  # chunks of straight-line code
_REACH = 255  # of a byte offset

DECLARATIONS = """\
typedef struct {
    const int8_t *image;
    int8_t *columns;
    const void *offsets;     /* of the gathers' bytes, or of the segments */
    uint32_t rows, width;    /* of output positions */
    uint32_t step;           /* bytes from one position to the next */
    int32_t row_step;        /* from the end of one row of positions to the next row */
    uint32_t segments, segment_bytes, padding;
} jl_m55_columns;
typedef struct {
    int8_t *to;
    const int8_t *from;
    uint32_t rows, bytes, to_pitch, from_pitch;
} jl_m55_copy;
"""


@dataclass(frozen=True, eq=False)
class Image:
    """The image that columns are read from: the input, or a padded strip of it.

    Args:
        pitch: bytes from one row to the next.
        channels: bytes from one pixel to the next.
    """

    pitch: int
    channels: int


@dataclass(frozen=True, eq=False)
class Columns:
    """How a layer's columns are made.

    Args:
        routine: `void symbol(const jl_m55_columns *call)`.
        offsets: the call's table, uint8 as int8 (gather) or int32 (segments).
        segments: pieces of a row (segments scheme).
        segment_bytes: size of one.
        padding: bytes of a row behind the last product, up to a multiple of 16.
        instructions: executed for each position.
    """

    routine: Routine
    offsets: NDArray[np.int8] | NDArray[np.int32]
    segments: int
    segment_bytes: int
    padding: int
    instructions: float


def products(layer: Convolution) -> int:
    """Products of one output value."""
    return int(np.prod(layer.weights.shape[1:]))


def plan_columns(layer: Convolution, image: Image) -> Columns:
    """Choose the scheme for a layer."""
    _, height, width, channels = layer.weights.shape
    rows = np.arange(height) * layer.dilation[0] * image.pitch
    pixels = np.arange(width) * layer.dilation[1] * image.channels
    # Bytes of the image in the order of the weights: row, column, channel.
    taps = (rows[:, None, None] + pixels[None, :, None] + np.arange(channels)).ravel()
    padding = -taps.size % CHUNK
    straight = _gather(np.concatenate([taps, np.full(padding, taps[-1])]))
    if straight is not None:
        routine, offsets, count = straight
        return Columns(routine, offsets, 0, 0, padding, count)
    pieces = (rows[:, None] + pixels[None, :]).ravel()
    piece_bytes = channels
    if layer.dilation[1] == 1:
        pieces, piece_bytes = rows, channels * width
    each = 8 + 3 * -(-piece_bytes // CHUNK)
    return Columns(
        _segments_routine(),
        pieces.astype(np.int32),
        pieces.size,
        piece_bytes,
        padding,
        8 + pieces.size * each,
    )


def _gather(taps: NDArray[np.int64]) -> tuple[Routine, NDArray[np.int8], int] | None:
    """Straight-line code for a row of these bytes, or None where the shape does not allow it."""
    chunks = taps.reshape(-1, CHUNK)
    starts = chunks.min(axis=1)
    is_contiguous = (np.diff(chunks, axis=1) == 1).all(axis=1)
    if (
        len(chunks) > _LONGEST_STRAIGHT
        or (~is_contiguous).sum() > _GATHERED
        or (chunks.max(axis=1) - starts)[~is_contiguous].max(initial=0) > _REACH
        or starts.max() > 4095
    ):
        return None
    # Gathers that reach their bytes from the position itself need no base of their own.
    starts = np.where(~is_contiguous & (chunks.max(axis=1) <= _REACH), 0, starts)
    vectors = [
        chunk - start
        for chunk, start, plain in zip(chunks, starts, is_contiguous, strict=True)
        if not plain
    ]
    shape = "_".join(
        f"{'c' if plain else 'g'}{start}"
        for plain, start in zip(is_contiguous, starts, strict=True)
    )
    code = HeliumAssembly(f"jl_m55_columns_{shape}", "Columns of one shape of kernel, by gathers.")
    code.enter()
    code.comment("r1 image, r2 columns, r4 rows, r5 width, r6 step, r7 row step")
    code.ops(["ldm r0!, {r1, r2, r3, r4, r5, r6, r7}"])
    for k in range(len(vectors)):
        code.op("vldrb.u8", f"q{k}", f"[r3, #{CHUNK * k}]" if k else "[r3]")
    code.label("1")
    code.op("mov", "lr", "r5")
    code.label("2")
    gathered = 0
    count = 2
    for plain, start in zip(is_contiguous, starts, strict=True):
        base = "r1"
        if start and ((plain and start > 112) or not plain):
            base = "r8"
            code.op("add", "r8", "r1", f"#{start}")
            count += 1
        if plain:
            at = f", #{start}" if base == "r1" and start else ""
            code.op("vldrb.u8", "q7", f"[{base}{at}]")
        else:
            code.op("vldrb.u8", "q7", f"[{base}, q{gathered}]")
            gathered += 1
        code.op("vstrw.32", "q7", f"[r2], #{CHUNK}")
        count += 2
    code.ops(["add r1, r6", "le lr, 2b", "add r1, r7", "subs r4, #1", "bne 1b"])
    code.leave()
    offsets = np.array(vectors, np.uint8).reshape(-1).view(np.int8)
    if not offsets.size:
        offsets = np.zeros(1, np.int8)
    return code.finish(SAVED_BYTES), offsets, count


def _segments_routine() -> Routine:
    code = HeliumAssembly("jl_m55_columns_segments", "Columns of any shape of kernel, by pieces.")
    code.enter()
    code.comment("r1 image, r2 columns, r3 offsets, r4 rows, r5 width, r6 step, r7 row step")
    code.ops(
        [
            "ldm r0!, {r1, r2, r3, r4, r5, r6, r7}",
            "ldrd r8, r9, [r0]",
            "ldr r10, [r0, #8]",
            "sub sp, #8",
            "str r8, [sp]",
        ]
    )
    code.label("1")
    code.op("mov", "r12", "r5")
    code.label("2")
    code.ops(["ldr r8, [sp]", "mov r0, r3"])
    code.comment("a piece: r11 from, r2 to")
    code.label("3")
    code.ops(["ldr r11, [r0], #4", "add r11, r1", "str r2, [sp, #4]", "dlstp.8 lr, r9"])
    code.label("4")
    code.ops(["vldrb.u8 q0, [r11], #16", "vstrb.8 q0, [r2], #16", "letp lr, 4b"])
    code.comment("the last store went on a whole vector: the next piece follows the bytes")
    code.ops(["ldr r2, [sp, #4]", "add r2, r9", "subs r8, #1", "bne 3b", "add r2, r10"])
    code.ops(["add r1, r6", "subs r12, #1", "bne 2b"])
    code.ops(["add r1, r7", "subs r4, #1", "bne 1b", "add sp, #8"])
    code.leave()
    return code.finish(SAVED_BYTES + 8)


def fill_routine() -> Routine:
    """`void jl_m55_fill(int8_t *to, int32_t value, uint32_t bytes)`, bytes >= 1."""
    code = HeliumAssembly("jl_m55_fill", "One value into every byte.")
    code.ops(["push {r7, lr}", "vdup.8 q0, r1", "dlstp.8 lr, r2"])
    code.label("1")
    code.ops(["vstrb.8 q0, [r0], #16", "letp lr, 1b", "pop {r7, pc}"])
    return code.finish(8)


def copy_routine() -> Routine:
    """`void jl_m55_copy_rows(const jl_m55_copy *call)`: rows >= 1 of bytes >= 1."""
    code = HeliumAssembly("jl_m55_copy_rows", "Rows of bytes from one pitch to another.")
    code.op("push", "{r4-r7, lr}")
    code.comment("r1 to, r2 from, r3 rows, r4 bytes, r5 and r6 pitches")
    code.op("ldm", "r0", "{r1, r2, r3, r4, r5, r6}")
    code.label("1")
    code.ops(["mov r0, r1", "mov r7, r2", "dlstp.8 lr, r4"])
    code.label("2")
    code.ops(["vldrb.u8 q0, [r7], #16", "vstrb.8 q0, [r0], #16", "letp lr, 2b"])
    code.ops(["add r1, r5", "add r2, r6", "subs r3, #1", "bne 1b"])
    code.op("pop", "{r4-r7, pc}")
    return code.finish(20)
