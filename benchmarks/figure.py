"""One figure of a benchmark."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Figure:
    """A figure with what is needed to believe it.

    Args:
        name: what it is of.
        value: the figure.
        unit: its unit, or empty for a ratio or a count.
        how: what gave it: the program that counted, the size that was read.
        limit: what it must not exceed, or None.
    """

    name: str
    value: float
    unit: str
    how: str
    limit: float | None = None

    @property
    def is_over(self) -> bool:
        """Whether the figure exceeds its limit."""
        return self.limit is not None and self.value > self.limit
