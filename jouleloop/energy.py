"""A joule and where it came from.

Every energy figure in jouleloop is an `Energy`: a value, an interval, its kind and its source.
Measured and modelled figures are never added: that raises `MixedEnergyError`. Two figures have no
order either: who compares them reads `joules` of each and says what kinds they are.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from jouleloop.errors import MixedEnergyError


class Kind(StrEnum):
    """How a figure was obtained."""

    MEASURED = "measured"
    MODELLED = "modelled"


@dataclass(frozen=True)
class Energy:
    """An amount of energy with its provenance.

    Args:
        joules: best estimate, J, >= 0.
        kind: measured or modelled.
        source: instrument, or model and the figures it used; never empty.
        low_joules: lower end of the expected interval, J; `joules` when None.
        high_joules: upper end of the expected interval, J; `joules` when None.

    Raises:
        ValueError: not low <= joules <= high, a negative or infinite end, no source, or an interval
            around a figure of 0 J (it would have no relative error).

    >>> wake = Energy(2e-6, Kind.MODELLED, "profile", 1e-6, 4e-6)
    >>> total = wake + Energy(6e-6, Kind.MODELLED, "profile", 5e-6, 8e-6)
    >>> round(total.joules * 1e6, 6), round(total.relative_error, 3)
    (8.0, 0.5)
    """

    joules: float
    kind: Kind
    source: str
    low_joules: float | None = None
    high_joules: float | None = None

    def __post_init__(self) -> None:
        low, high = self.interval
        if not 0.0 <= low <= self.joules <= high < float("inf"):
            raise ValueError(f"not an energy interval: {low} <= {self.joules} <= {high}")
        if not self.source:
            raise ValueError("an energy needs a source")
        if self.joules == 0.0 < high:
            raise ValueError(f"0 J with an interval up to {high} J has no relative error")

    @property
    def interval(self) -> tuple[float, float]:
        """Lower and upper end of the expected interval, J."""
        low = self.joules if self.low_joules is None else self.low_joules
        high = self.joules if self.high_joules is None else self.high_joules
        return low, high

    @property
    def relative_error(self) -> float:
        """The larger half of the interval over the value; 0 for an exact or zero figure."""
        low, high = self.interval
        return max(high - self.joules, self.joules - low) / self.joules if self.joules else 0.0

    def __add__(self, other: Energy) -> Energy:
        """The sum; its interval is the sum of the intervals (errors taken as fully correlated).

        Raises:
            MixedEnergyError: one is measured and the other modelled.
        """
        if self.kind is not other.kind:
            raise MixedEnergyError(
                f"cannot add {self.kind} joules ({self.source}) to {other.kind} ({other.source})",
                hint="report them side by side",
            )
        (low, high), (other_low, other_high) = self.interval, other.interval
        sources = dict.fromkeys((*self.source.split("; "), *other.source.split("; ")))
        return Energy(
            self.joules + other.joules,
            self.kind,
            "; ".join(sources),
            low + other_low,
            high + other_high,
        )

    def scaled(self, factor: float) -> Energy:
        """The same figure times `factor`, interval included.

        Args:
            factor: >= 0 and finite.

        Raises:
            ValueError: `factor` is negative, infinite or not a number.
        """
        low, high = self.interval
        return Energy(self.joules * factor, self.kind, self.source, low * factor, high * factor)

    def as_record(self) -> dict[str, Any]:
        """The record for JSON: joules, low_joules, high_joules, relative_error, kind, source."""
        low, high = self.interval
        return {
            "joules": self.joules,
            "low_joules": low,
            "high_joules": high,
            "relative_error": self.relative_error,
            "kind": str(self.kind),
            "source": self.source,
        }
