"""Which bytes of a channel's plane a tile reads, and how its outputs weigh them.

A tile is one load of up to 16 bytes from one channel's plane; each of its outputs, neighbours in a
row, is one multiply-accumulate of that vector with the kernel laid out over its lanes.

`window`: the plane is padded, and the tile reads the kernel's window widened by its further
outputs. `rows`: the plane has no padding to the left and right; the tile reads whole rows, its
outputs are a whole row, and taps that would fall on padding are left out of weights and bias.
`groups`: a window too large for one load, in groups of kernel rows, one load each.
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
_GROUPED_OUTPUTS = 4  # the other registers hold what the groups need
_LAID_OUT = 32  # vectors of weights within a load's offset
_VECTORS = 8


@dataclass(frozen=True, eq=False)
class Tiles:
    """A scheme for a layer.

    Args:
        lanes: offset of each lane from the tile's first byte, at most 16 of 0..255.
        taps: tap (row-major in the kernel) of each output's lane, −1 for none:
            [groups × outputs, lanes].
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
        groups: loads that make up a tile.
        group_step: bytes from one load to the next.
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
    groups: int = 1
    group_step: int = 0

    @property
    def outputs(self) -> int:
        """Of one tile."""
        return len(self.taps) // self.groups

    @property
    def turn_outputs(self) -> int:
        """Of one turn, those beyond the end of a row included."""
        return self.outputs * self.tiles

    @property
    def instructions_per_row(self) -> float:
        """Executed for a row of outputs, the scaling left out."""
        step = 0 if self.is_contiguous else 1
        turn = 3 + step + self.tiles + self.turn_outputs
        if self.groups > 1:
            turn = 4 + self.groups * (2 + 2 * self.outputs)
            return self.turns * turn + 6
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
    if not any(candidates):
        candidates = [
            _groups(layer, outputs, rows)
            for outputs in range(1, _GROUPED_OUTPUTS + 1)
            for rows in range(1, layer.weights.shape[0] + 1)
        ]
    possible = [tiles for tiles in candidates if tiles is not None]
    return min(possible, key=lambda tiles: tiles.instructions_per_row, default=None)


def _pitch(layer: Convolution) -> int:
    """Bytes of a padded row of the plane."""
    span = (layer.weights.shape[1] - 1) * layer.dilation[1] + 1
    needed = (layer.output_shape[1] - 1) * layer.stride[1] + span
    return max(int(needed), layer.padding[1] + layer.input_shape[1])


def _places(layer: Convolution, outputs: int, rows: int) -> NDArray[np.int64]:
    """Offsets of the taps of so many kernel rows in a padded plane: [outputs, taps]."""
    kernel_width = layer.weights.shape[1]
    row, column = np.divmod(np.arange(rows * kernel_width), kernel_width)
    base = row * layer.dilation[0] * _pitch(layer) + column * layer.dilation[1]
    places: NDArray[np.int64] = np.arange(outputs)[:, None] * layer.stride[1] + base
    return places


def _laid_out(places: NDArray[np.int64], lanes: NDArray[np.int64]) -> NDArray[np.int64]:
    taps = np.full((len(places), len(lanes)), -1)
    for output, reached in enumerate(places):
        taps[output, np.searchsorted(lanes, reached)] = np.arange(reached.size)
    return taps


def _window(layer: Convolution, outputs: int, tiles: int) -> Tiles | None:
    places = _places(layer, outputs, layer.weights.shape[0])
    lanes = np.unique(places)
    step, pitch = outputs * layer.stride[1], _pitch(layer)
    is_last_reached = lanes[-1] + (tiles - 1) * step <= _REACH
    if len(lanes) > LANES or not is_last_reached or outputs + tiles + 1 > _VECTORS:
        return None
    return Tiles(
        lanes,
        _laid_out(places, lanes),
        np.ones(places.shape, np.bool_),
        tiles,
        -(-layer.output_shape[1] // (outputs * tiles)),
        step,
        layer.stride[0] * pitch,
        pitch,
        _plane_rows(layer),
        layer.padding[0],
        layer.padding[1],
        is_contiguous=False,
    )


def _groups(layer: Convolution, outputs: int, rows: int) -> Tiles | None:
    kernel_height, kernel_width = layer.weights.shape[:2]
    groups = -(-kernel_height // rows)
    places = _places(layer, outputs, rows)
    lanes = np.unique(places)
    if len(lanes) > LANES or lanes[-1] > _REACH or groups * outputs > _LAID_OUT:
        return None
    taps = np.concatenate([_laid_out(places, lanes)] * groups)
    # Each group's taps follow those of the one before; the last group may have fewer rows.
    first = np.repeat(np.arange(groups) * places.shape[1], outputs)[:, None]
    taps = np.where(taps < 0, -1, taps + first)
    total = kernel_height * kernel_width
    pitch = _pitch(layer)
    return Tiles(
        lanes,
        np.where(taps < total, taps, -1),
        np.ones((outputs, total), np.bool_),
        1,
        -(-layer.output_shape[1] // outputs),
        outputs * layer.stride[1],
        layer.stride[0] * pitch,
        pitch,
        _plane_rows(layer),
        layer.padding[0],
        layer.padding[1],
        is_contiguous=False,
        groups=groups,
        group_step=rows * layer.dilation[0] * pitch,
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
