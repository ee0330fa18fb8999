"""A column of an observation: what a controller sees, in [-1, 1]."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

NORMALISATION = (
    "2 (x - low) / (high - low) - 1, cut to -1..1; on a logarithmic scale of the logarithms of x, "
    "low and high"
)

_Seen = TypeVar("_Seen")


@dataclass(frozen=True)
class Feature(Generic[_Seen]):
    """One column of an observation.

    Args:
        name: what it is.
        unit: of low and high.
        low: seen as -1; what lies below is seen as that too, so that INT8 spends its range here.
        high: seen as +1, likewise.
        read: its values, [n].
        is_logarithmic: whether the scale between them is logarithmic.
    """

    name: str
    unit: str
    low: float
    high: float
    read: Callable[[_Seen], NDArray[Any]]
    is_logarithmic: bool = False

    def normalised(self, seen: _Seen) -> NDArray[np.float64]:
        """Values in [-1, 1], [n]."""
        value, low, high = self.read(seen).astype(np.float64), self.low, self.high
        if self.is_logarithmic:
            value, low, high = np.log(np.maximum(value, low)), np.log(low), np.log(high)
        return np.clip(2.0 * (value - low) / (high - low) - 1.0, -1.0, 1.0)

    def as_record(self) -> dict[str, Any]:
        """The record in a checkpoint's card."""
        scale = "logarithmic" if self.is_logarithmic else "linear"
        return {
            "name": self.name,
            "unit": self.unit,
            "low": self.low,
            "high": self.high,
            "scale": scale,
        }


def observe_all(features: Sequence[Feature[_Seen]], seen: _Seen) -> NDArray[np.float32]:
    """What a controller sees, float32 [n, features], each value in [-1, 1]."""
    return np.stack([feature.normalised(seen) for feature in features], axis=1).astype(np.float32)
