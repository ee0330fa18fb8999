"""A number that no data set gives, with its reason."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Assumption(float):
    """A float that knows its unit and why it was chosen.

    Args:
        value: the number.
        unit: its unit, "1" for a share or a factor.
        reason: why this number.

    >>> fee = Assumption(0.05, "USD/kg", "a typical tipping fee")
    >>> fee * 20, fee.unit
    (1.0, 'USD/kg')
    """

    def __new__(cls, value: float, _unit: str, _reason: str) -> Self:
        """A float is made by its value alone."""
        return super().__new__(cls, value)

    def __init__(self, _value: float, unit: str, reason: str) -> None:
        self.unit = unit
        self.reason = reason


@dataclass(frozen=True)
class Spread:
    """A positive quantity that varies: log-normal about a median, cut at two sigma.

    Args:
        median: in `unit`, > 0.
        sigma: of the logarithm, >= 0.
        unit: of the median.
        reason: why these two.
    """

    median: float
    sigma: float
    unit: str
    reason: str

    @property
    def interval(self) -> tuple[float, float]:
        """The smallest and the largest value."""
        return self.median * np.exp(-2 * self.sigma), self.median * np.exp(2 * self.sigma)

    def sample(self, random: np.random.Generator, count: int) -> NDArray[np.float64]:
        """`count` values."""
        deviate = np.clip(random.standard_normal(count), -2.0, 2.0)
        return self.median * np.exp(self.sigma * deviate)
