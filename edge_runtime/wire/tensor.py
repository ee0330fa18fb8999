"""A model's input or output as both ends see it: shape, scale, zero point."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray


@dataclass(frozen=True)
class TensorSpec:
    """A tensor at the edge of a model; int8: real = scale × (q − zero_point).

    Args:
        name: its name in the model.
        shape: dimensions, batch first, batch 1.
        scale: positive; a float32 value. 1 of other types.
        zero_point: −128..127. 0 of other types.
        dtype: NumPy's name of its type; models take and give int8, pipelines more.
    """

    name: str
    shape: tuple[int, ...]
    scale: float
    zero_point: int
    dtype: str = "int8"

    @property
    def size(self) -> int:
        """Number of elements; of int8, its number of bytes too."""
        return int(np.prod(self.shape))

    @property
    def nbytes(self) -> int:
        """Number of bytes."""
        return self.size * np.dtype(self.dtype).itemsize

    def quantize(self, real: NDArray[np.floating[Any]]) -> NDArray[np.int8]:
        """Real values to int8, ties to even, saturating at −128 and 127; NaN is an error.

        Raises:
            ValueError: a value is not a number.
        """
        if np.isnan(real).any():
            raise ValueError(f"{self.name}: a value is not a number")
        scaled = np.rint(np.asarray(real, np.float32) / np.float32(self.scale)) + self.zero_point
        quantized: NDArray[np.int8] = np.clip(scaled, -128, 127).astype(np.int8)
        return quantized

    def dequantize(self, quantized: NDArray[np.int8]) -> NDArray[np.float32]:
        """int8 to real values, float32."""
        return (quantized.astype(np.float32) - self.zero_point) * np.float32(self.scale)

    def as_record(self) -> dict[str, Any]:
        """The record in a bundle's manifest."""
        return {
            "name": self.name,
            "shape": list(self.shape),
            "dtype": self.dtype,
            "scale": self.scale,
            "zero_point": self.zero_point,
        }

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> TensorSpec:
        """The inverse of `as_record`."""
        return cls(record["name"], tuple(record["shape"]), record["scale"], record["zero_point"])
