"""Which bytes of a channel's plane a tile reads, and how its outputs weigh them.

A tile is one load of up to 16 bytes from one channel's plane; each of its outputs, neighbours in a
row, is one multiply-accumulate of that vector with the kernel laid out over its lanes.

`window`: the plane is padded, and the tile reads the kernel's window widened by its further
outputs. `rows`: the plane has no padding to the left and right; the tile reads whole rows, its
outputs are a whole row, and taps that would fall on padding are left out of weights and bias.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from export.kernels.layer import Convolution

LANES = 16
_REACH = 255  # of a byte offset
_ACCUMULATORS = 7  # even registers less LR, which counts turns
_VECTORS = 8


@dataclass(frozen=True, eq=False)
class Tiles:
    """A scheme for a layer.

    Args:
        lanes: offset of each lane from the tile's first byte, at most 16 of 0..255.
        taps: tap (row-major in the kernel) of each output's lane, −1 for none: [outputs, lanes].
        present: taps that count, for each output: [outputs, taps] of bool.
        tiles: in a turn.
        turns: to a row of outputs.
        tile_step: bytes from one tile to the next.
        row_step: bytes from one row of outputs to the next.
        pitch: bytes from one row of the plane to the next.
        rows: of the plane.
        top: rows of padding above.
        left: columns of padding at the left.
        is_contiguous: the lanes are consecutive bytes, and so are the rows of tiles.
    """

    lanes: NDArray[np.int64]
    taps: NDArray[np.int64]
    present: NDArray[np.bool_]
    tiles: int
    turns: int
    tile_step: int
    row_step: int
    pitch: int
    rows: int
    top: int
    left: int
    is_contiguous: bool

    @property
    def outputs(self) -> int:
        """Of one tile."""
        return len(self.taps)

    @property
    def turn_outputs(self) -> int:
        """Of one turn, those beyond the end of a row included."""
        return self.outputs * self.tiles

    @property
    def instructions_per_row(self) -> float:
        """Executed for a row of outputs, the scaling left out."""
        step = 0 if self.is_contiguous else 1
        turn = 3 + step + self.tiles + self.turn_outputs
        return self.turns * turn + (step if self.turns == 1 else 6)


def plan_tiles(layer: Convolution) -> Tiles | None:
    """The scheme with the fewest instructions, or None when a tap is out of a tile's reach."""
    candidates = [_rows(layer)]
    width = layer.output_shape[1]
    for outputs in range(1, _ACCUMULATORS):
        tiles = [_window(layer, outputs, tiles) for tiles in range(1, _ACCUMULATORS // outputs + 1)]
        candidates += tiles
        if outputs >= width:
            break
    possible = [tiles for tiles in candidates if tiles is not None]
    return min(possible, key=lambda tiles: tiles.instructions_per_row, default=None)


def _window(layer: Convolution, outputs: int, tiles: int) -> Tiles | None:
    (kernel_height, kernel_width), width = layer.weights.shape[:2], layer.output_shape[1]
    step = layer.stride[1]
    turns = -(-width // (outputs * tiles))
    span = (kernel_width - 1) * layer.dilation[1] + 1
    pitch = max((width - 1) * step + span, layer.padding[1] + layer.input_shape[1])
    rows, columns = np.divmod(np.arange(kernel_height * kernel_width), kernel_width)
    base = rows * layer.dilation[0] * pitch + columns * layer.dilation[1]
    places = np.arange(outputs)[:, None] * step + base
    lanes = np.unique(places)
    is_last_reached = lanes[-1] + (tiles - 1) * outputs * step <= _REACH
    if len(lanes) > LANES or not is_last_reached or outputs + tiles + 1 > _VECTORS:
        return None
    taps = np.full((outputs, len(lanes)), -1)
    for output, reached in enumerate(places):
        taps[output, np.searchsorted(lanes, reached)] = np.arange(base.size)
    return Tiles(
        lanes,
        taps,
        np.ones((outputs, base.size), np.bool_),
        tiles,
        turns,
        outputs * step,
        layer.stride[0] * pitch,
        pitch,
        _plane_rows(layer),
        layer.padding[0],
        layer.padding[1],
        is_contiguous=False,
    )


def _rows(layer: Convolution) -> Tiles | None:
    (kernel_height, kernel_width), width = layer.weights.shape[:2], layer.output_shape[1]
    pitch = layer.input_shape[1]
    if not 2 <= width <= _ACCUMULATORS - 1 or layer.dilation[0] != 1:
        return None
    if kernel_height * pitch > LANES or layer.stride[0] * pitch > 127:
        return None
    lanes = np.arange(kernel_height * pitch)
    taps = np.full((width, lanes.size), -1)
    present = np.zeros((width, kernel_height * kernel_width), np.bool_)
    for output in range(width):
        for tap in range(kernel_height * kernel_width):
            row, column = divmod(tap, kernel_width)
            x = output * layer.stride[1] + column * layer.dilation[1] - layer.padding[1]
            if 0 <= x < pitch:
                taps[output, row * pitch + x] = tap
                present[output, tap] = True
    return Tiles(
        lanes,
        taps,
        present,
        1,
        1,
        0,
        layer.stride[0] * pitch,
        pitch,
        _plane_rows(layer),
        layer.padding[0],
        0,
        is_contiguous=True,
    )


def _plane_rows(layer: Convolution) -> int:
    span = (int(layer.weights.shape[0]) - 1) * layer.dilation[0] + 1
    needed = (layer.output_shape[0] - 1) * layer.stride[0] + span
    return max(needed, layer.padding[0] + layer.input_shape[0])
