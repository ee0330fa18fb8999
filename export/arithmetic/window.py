"""The geometry of a window that slides over an image: convolutions and pools share it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

# Far above any model for these devices; a hostile dilation must not ask for memory without bound.
MAX_PADDING = 1024


@dataclass(frozen=True)
class Window:
    """A window of `size` positions that slides over the rows and columns of an image.

    Each pair is (vertical, horizontal).

    Args:
        size: of the window, in elements that it touches, >= 1.
        stride: step between outputs, >= 1.
        dilation: distance between the elements it touches, >= 1.
        before: padding above and to the left.
        after: padding below and to the right.
        output: how many positions it takes.
    """

    size: tuple[int, int]
    stride: tuple[int, int]
    dilation: tuple[int, int]
    before: tuple[int, int]
    after: tuple[int, int]
    output: tuple[int, int]

    @classmethod
    def over(
        cls, image: tuple[int, int], size: tuple[int, int], attributes: Mapping[str, Any]
    ) -> Window:
        """Place a window by TFLite's rules (kernels/padding.h, ComputePaddingHeightWidth).

        Args:
            image: height and width.
            size: of the window.
            attributes: `stride`, `padding` (SAME or VALID), and `dilation` where there is one.

        Raises:
            ValueError: the window is larger than the image under VALID padding, or reaches further
                than `MAX_PADDING` beyond it under SAME.

        >>> Window.over((5, 5), (3, 3), {"stride": (2, 2), "padding": "SAME"}).output
        (3, 3)
        """
        stride, dilation = attributes["stride"], attributes.get("dilation", (1, 1))
        axes = [
            _place(*axis, is_same=attributes["padding"] == "SAME")
            for axis in zip(image, size, stride, dilation, strict=True)
        ]
        before, after, output = zip(*axes, strict=True)
        return cls(size, stride, dilation, before, after, output)

    @property
    def is_padded(self) -> bool:
        """Does any position reach over an edge?"""
        return any((*self.before, *self.after))

    def taps(self, image: NDArray[Any], padding: int) -> Iterator[tuple[int, int, NDArray[Any]]]:
        """For each element of the window, row by row: what it sees at every position.

        Args:
            image: [batch, height, width, channels].
            padding: value outside the image.

        Yields:
            Row and column of the element, and [batch, output height, output width, channels].
        """
        edges = ((0, 0), *zip(self.before, self.after, strict=True), (0, 0))
        padded = np.pad(image, edges, constant_values=padding)
        for row in range(self.size[0]):
            for column in range(self.size[1]):
                rows, columns = (
                    slice(at * dilation, at * dilation + (count - 1) * stride + 1, stride)
                    for at, dilation, count, stride in zip(
                        (row, column), self.dilation, self.output, self.stride, strict=True
                    )
                )
                yield row, column, padded[:, rows, columns]

    def counts(self, image: tuple[int, int]) -> NDArray[np.int64]:
        """How many elements of the image (not of the padding) each position sees.

        Args:
            image: height and width.

        Returns:
            int64 [output height, output width].
        """
        ones = np.ones((1, *image, 1), np.int64)
        total = np.zeros(self.output, np.int64)
        for _, _, seen in self.taps(ones, 0):
            total += seen[0, :, :, 0]
        return total


def _place(
    image: int, size: int, stride: int, dilation: int, *, is_same: bool
) -> tuple[int, int, int]:
    """(padding before, padding after, outputs) along one axis."""
    span = (size - 1) * dilation + 1
    if not is_same:
        if span > image:
            raise ValueError(f"a window of {span} does not fit into {image} without padding")
        return 0, 0, (image - span) // stride + 1
    output = -(-image // stride)
    total = max((output - 1) * stride + span - image, 0)
    if total > MAX_PADDING:
        raise ValueError(
            f"a window of {span} over {image} needs {total} of padding; the limit is {MAX_PADDING}"
        )
    return total // 2, total - total // 2, output
