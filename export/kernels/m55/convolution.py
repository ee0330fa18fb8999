"""Convolutions for the MVE class: 1x1 straight from the tensor, the others by way of columns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from export.kernels.layer import Convolution, FullyConnected, KernelCode, Routine
from export.kernels.m55 import columns as column_code
from export.kernels.m55.columns import Columns, Image, plan_columns
from export.kernels.m55.fully_connected import fully_connected
from export.kernels.m55.matrix_core import (
    CHUNK,
    DECLARATIONS,
    GROUP,
    matrix_instructions,
    matrix_routine,
    skipped_bytes,
)
from export.kernels.m55.scaling import Scaling, plan_scaling
from export.kernels.m55.tables import declare, table

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Columns of so many output rows at a time as fit here, so that the weights are read seldom.
COLUMN_BYTES = 8192
_WRAPPER_STACK_BYTES = 224
_WRAPPER_INSTRUCTIONS = 40
_STRIP_INSTRUCTIONS = 60


@dataclass(frozen=True, eq=False)
class _Matrix:
    """A layer as the matrix routine sees it."""

    name: str
    weights: NDArray[np.int8]  # [channels, products]
    bias: NDArray[np.int32]  # [channels], the input's zero point folded in
    scaling: Scaling
    pitch: int
    routine: Routine

    @property
    def chunks(self) -> int:
        return -(-int(self.weights.shape[1]) // CHUNK)

    @property
    def channels(self) -> int:
        return int(self.weights.shape[0])

    @property
    def last_channel(self) -> int:
        return max(self.channels - GROUP, 0)

    @property
    def groups(self) -> int:
        return -(-self.channels // GROUP)

    @property
    def is_ragged(self) -> bool:
        # Columns are padded; a tensor's own pixels are not.
        return self.pitch < self.chunks * CHUNK

    def instructions(self, positions: int) -> int:
        return matrix_instructions(
            self.chunks,
            self.pitch,
            self.scaling.recipe,
            groups=self.groups,
            positions=positions,
            is_ragged=self.is_ragged,
        )


def convolution(layer: Convolution, *, column_bytes: int = COLUMN_BYTES) -> KernelCode:
    """Code for a convolution that is not depthwise, of any shape.

    Args:
        layer: the layer.
        column_bytes: scratch that columns may take; one output row is the least.
    """
    height, width, _ = layer.output_shape
    is_pointwise = layer.weights.shape[1:3] == (1, 1) and layer.stride == (1, 1)
    if height * width == 1 and _covers_input(layer):
        return fully_connected(_as_fully_connected(layer))
    if is_pointwise and layer.input_shape[:2] == layer.output_shape[:2]:
        matrix = _matrix(layer, layer.input_shape[2])
        return _straight(matrix, height * width, f"convolution 1x1, {height} x {width} positions")
    return _by_columns(layer, column_bytes)


def rows_of_vectors(layer: FullyConnected) -> KernelCode:
    """Code for a fully connected layer of several input vectors: a 1x1 convolution over them."""
    outputs, inputs = layer.weights.shape
    same = Convolution(
        layer.name,
        (1, layer.rows, inputs),
        (1, layer.rows, outputs),
        (1, 1),
        (1, 1),
        (0, 0),
        layer.weights.reshape(outputs, 1, 1, inputs),
        layer.bias,
        layer.input_zero_point,
        layer.requantisation,
    )
    return convolution(same)


def _covers_input(layer: Convolution) -> bool:
    """One output that reads every input once, in order."""
    kernel = tuple(layer.weights.shape[1:3])
    return layer.padding == (0, 0) and layer.dilation == (1, 1) and kernel == layer.input_shape[:2]


def _as_fully_connected(layer: Convolution) -> FullyConnected:
    return FullyConnected(
        layer.name,
        layer.weights.reshape(layer.weights.shape[0], -1),
        layer.bias,
        layer.input_zero_point,
        layer.requantisation,
    )


def _matrix(layer: Convolution, pitch: int) -> _Matrix:
    weights = layer.weights.reshape(layer.weights.shape[0], -1)
    scaling = plan_scaling(layer.requantisation)
    chunks = -(-weights.shape[1] // CHUNK)
    folded = layer.bias - layer.input_zero_point * weights.astype(np.int64).sum(axis=1)
    routine = matrix_routine(chunks, pitch, scaling.recipe, is_ragged=pitch < chunks * CHUNK)
    return _Matrix(layer.name, weights, folded.astype(np.int32), scaling, pitch, routine)


def _straight(matrix: _Matrix, positions: int, what: str) -> KernelCode:
    """Positions that lie one behind the other in the input."""
    return KernelCode(
        symbol=matrix.name,
        source=_head(matrix, [])
        + _function(
            matrix.name,
            what,
            _call(matrix, "in", positions) + f"    {matrix.routine.symbol}(&call);\n",
            uses_scratch=False,
        ),
        suffix=".c",
        scratch_bytes=0,
        weights_bytes=matrix.channels * (matrix.weights.shape[1] + 12),
        instructions=_WRAPPER_INSTRUCTIONS + matrix.instructions(positions),
        stack_bytes=_WRAPPER_STACK_BYTES + matrix.routine.stack_bytes,
        note=f"4 channels by 2 positions a turn; scaling {matrix.scaling.recipe.suffix}",
        routines=(matrix.routine,),
    )


@dataclass(frozen=True, eq=False)
class _Strips:
    """Output rows that are computed together, and the padded piece of the image they read."""

    rows: int  # of output in a strip; the last strip ends at the last row
    count: int
    image_rows: int
    image_width: int  # pixels
    copied_width: int  # of them that come from the input
    is_padded: bool  # the piece is a copy; else the input itself is read


def _plan_strips(layer: Convolution, column_bytes: int, row_bytes: int) -> _Strips:
    (height, width, _), (in_height, in_width, _) = layer.output_shape, layer.input_shape
    spans = [
        (taps - 1) * spacing + 1
        for taps, spacing in zip(layer.weights.shape[1:3], layer.dilation, strict=True)
    ]
    rows = min(max(column_bytes // (row_bytes * width), 1), height)
    if rows * width == 1 and height > 1:
        rows = 2  # the matrix routine wants two positions
    image_width = (width - 1) * layer.stride[1] + spans[1]
    last_row = (height - 1) * layer.stride[0] + spans[0] - layer.padding[0]
    fits = image_width - layer.padding[1] <= in_width and last_row <= in_height
    return _Strips(
        rows,
        -(-height // rows),
        (rows - 1) * layer.stride[0] + spans[0],
        image_width,
        min(image_width - layer.padding[1], in_width),
        is_padded=layer.padding != (0, 0) or not fits,
    )


def _by_columns(layer: Convolution, column_bytes: int) -> KernelCode:
    height, width, _ = layer.output_shape
    channels = layer.input_shape[2]
    if height * width == 1:
        return _single_position(layer)
    row_bytes = -(-column_code.products(layer) // CHUNK) * CHUNK
    strips = _plan_strips(layer, column_bytes, row_bytes)
    pitch = (strips.image_width if strips.is_padded else layer.input_shape[1]) * channels
    columns = plan_columns(layer, Image(pitch, channels))
    matrix = _matrix(layer, row_bytes)
    positions = strips.rows * width
    # The piece of the image lies behind the columns; a contiguous chunk may read 15 bytes on.
    image_bytes = strips.image_rows * pitch + CHUNK if strips.is_padded else 0
    routines = [matrix.routine, columns.routine]
    copied = 0
    if strips.is_padded:
        routines += [column_code.fill_routine(), column_code.copy_routine()]
        per_row = 7 + 3 * -(-strips.copied_width * channels // CHUNK)
        copied = 2 * image_bytes // CHUNK + strips.image_rows * per_row
    each = (
        _STRIP_INSTRUCTIONS
        + copied
        + int(positions * columns.instructions)
        + matrix.instructions(positions)
    )
    return KernelCode(
        symbol=layer.name,
        source=_columns_source(layer, matrix, columns, strips, pitch),
        suffix=".c",
        scratch_bytes=positions * row_bytes + -(-image_bytes // CHUNK) * CHUNK,
        weights_bytes=matrix.channels * (matrix.weights.shape[1] + 12),
        instructions=_WRAPPER_INSTRUCTIONS + strips.count * each,
        stack_bytes=_WRAPPER_STACK_BYTES + max(routine.stack_bytes for routine in routines),
        note=f"columns by {columns.routine.symbol.removeprefix('jl_m55_columns_')}, "
        f"{strips.rows} output rows at a time; scaling {matrix.scaling.recipe.suffix}",
        routines=tuple(routines),
    )


def _single_position(layer: Convolution) -> KernelCode:
    """One output position that does not read the whole input in order: as weights that do."""
    height, width, channels = layer.input_shape
    spread = np.zeros((layer.weights.shape[0], height, width, channels), np.int8)
    for i in range(layer.weights.shape[1]):
        for j in range(layer.weights.shape[2]):
            y = i * layer.dilation[0] - layer.padding[0]
            x = j * layer.dilation[1] - layer.padding[1]
            if 0 <= y < height and 0 <= x < width:
                spread[:, y, x] = layer.weights[:, i, j]
    # Taps on the padding read the zero point, which counts as nothing.
    return fully_connected(
        FullyConnected(
            layer.name,
            spread.reshape(spread.shape[0], -1),
            layer.bias,
            layer.input_zero_point,
            layer.requantisation,
        )
    )


def _columns_source(
    layer: Convolution, matrix: _Matrix, columns: Columns, strips: _Strips, pitch: int
) -> str:
    name = layer.name
    (height, width, outputs), (in_height, in_width, channels) = (
        layer.output_shape,
        layer.input_shape,
    )
    step = layer.stride[1] * channels
    row_step = layer.stride[0] * pitch - width * step
    top, left = layer.padding
    last = height - strips.rows
    image = "image"
    copy = ""
    if strips.is_padded:
        copy = (
            f"        jl_m55_fill(image, {layer.input_zero_point}, {strips.image_rows * pitch});\n"
            f"        const int32_t above = top < 0 ? -top : 0;\n"
            f"        const int32_t present = ({in_height} - top < {strips.image_rows} ? "
            f"{in_height} - top : {strips.image_rows}) - above;\n"
            "        if (present > 0) {\n"
            f"            const jl_m55_copy copy = {{image + above * {pitch} + {left * channels}, "
            f"in + (top + above) * {in_width * channels},\n"
            f"                                      (uint32_t)present, "
            f"{strips.copied_width * channels}, {pitch}, {in_width * channels}}};\n"
            "            jl_m55_copy_rows(&copy);\n"
            "        }\n"
        )
        start = f"    int8_t *image = columns + {strips.rows * width * matrix.pitch};\n"
    else:
        start = ""
        image = f"in + top * {pitch}"
    body = (
        "    int8_t *columns = scratch;\n"
        + start
        + _call(matrix, "columns", strips.rows * width)
        + f"    for (int32_t strip = 0; strip < {strips.count}; strip++) {{\n"
        "        /* the last strip ends at the last row: it may repeat some of the one before */\n"
        f"        const int32_t wanted = strip * {strips.rows};\n"
        f"        const int32_t first = wanted < {last} ? wanted : {last};\n"
        f"        const int32_t top = first * {layer.stride[0]} - {top};\n"
        f"{copy}"
        f"        const jl_m55_columns taken = {{{image}, columns, {name}_offsets, {strips.rows}, "
        f"{width}, {step}, {row_step},\n"
        f"                                      {columns.segments}, {columns.segment_bytes}, "
        f"{columns.padding}}};\n"
        f"        {columns.routine.symbol}(&taken);\n"
        f"        call.output = out + first * {width * outputs};\n"
        f"        {matrix.routine.symbol}(&call);\n"
        "    }\n"
    )
    kernel = "x".join(str(size) for size in layer.weights.shape[1:3])
    what = f"convolution {kernel}, {in_height} x {in_width} x {channels} -> {height} x {width}"
    extra = [
        column_code.DECLARATIONS,
        declare("void {}(const jl_m55_columns *call)", [columns.routine.symbol]),
        table(f"{name}_offsets", columns.offsets),
    ]
    if strips.is_padded:
        extra.append("void jl_m55_fill(int8_t *to, int32_t value, uint32_t bytes);\n")
        extra.append("void jl_m55_copy_rows(const jl_m55_copy *call);\n")
    return _head(matrix, extra) + _function(name, what, body, uses_scratch=True)


def _group_rows(matrix: _Matrix) -> NDArray[np.int64]:
    """Channels of each group, [groups, 4]; fewer than 4 in all repeat the first."""
    starts = np.minimum(np.arange(matrix.groups) * GROUP, matrix.last_channel)
    rows = starts[:, None] + np.arange(GROUP)
    return np.where(rows < matrix.channels, rows, 0)


def _head(matrix: _Matrix, extra: list[str]) -> str:
    rows = _group_rows(matrix)
    padded = np.zeros((matrix.channels, matrix.chunks * CHUNK), np.int8)
    padded[:, : matrix.weights.shape[1]] = matrix.weights
    weights = padded[rows].reshape(matrix.groups, GROUP, matrix.chunks, CHUNK)
    words = [
        np.concatenate(
            [part.ravel() for part in (matrix.bias[group], *matrix.scaling.words(group))]
        )
        for group in rows
    ]
    return (
        "#include <stdint.h>\n\n"
        + DECLARATIONS
        + declare("void {}(const jl_m55_matrix *call)", [matrix.routine.symbol])
        + "".join(extra)
        + table(f"{matrix.name}_weights", weights.transpose(0, 2, 1, 3))
        + table(f"{matrix.name}_table", np.concatenate(words))
    )


def _call(matrix: _Matrix, source: str, positions: int) -> str:
    """The call of the matrix routine; its output is set for each strip."""
    places = [
        channel + position * matrix.channels
        if channel < matrix.channels
        else position * matrix.channels
        for channel in range(GROUP)
        for position in range(2)
    ]
    scaling = matrix.scaling
    return (
        f"    {'const ' if source == 'in' else ''}jl_m55_matrix call = {{\n"
        f"        {source}, out, {matrix.name}_weights, {matrix.name}_table, {matrix.groups}, "
        f"{matrix.last_channel}, {matrix.channels},\n"
        f"        {positions // 2}, {positions % 2}, {scaling.zero_point}, {scaling.minimum}, "
        f"{scaling.maximum},\n"
        f"        {matrix.weights.shape[1] - CHUNK * (matrix.chunks - 1)}, {matrix.pitch}, "
        f"{matrix.chunks - 1}, {skipped_bytes(matrix.chunks)},\n"
        f"        {{{', '.join(map(str, places))}}}}};\n"
    )


def _function(name: str, what: str, body: str, *, uses_scratch: bool) -> str:
    return (
        f"\n/* {name}: {what} */\n"
        f"void {name}(const int8_t *in, int8_t *out, void *scratch);\n"
        f"void {name}(const int8_t *in, int8_t *out, void *scratch) {{\n"
        + ("" if uses_scratch else "    (void)scratch;\n")
        + body
        + "}\n"
    )
