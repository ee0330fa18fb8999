"""Sets of attribute values that are too many to list, for signatures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True)
class Where:
    """Every value that a condition holds for.

    >>> (2, 1) in PAIR, (0, 1) in PAIR
    (True, False)
    """

    condition: Callable[[Any], bool]

    def __contains__(self, value: object) -> bool:
        return self.condition(value)


def _is_pair(value: Any) -> bool:
    return is_axes(value) and len(value) == 2 and min(value) > 0


def is_whole(value: Any) -> bool:
    """An integer, not a bool."""
    return isinstance(value, int) and not isinstance(value, bool)


def is_axes(value: Any) -> bool:
    """A tuple of integers; negative ones count from the last dimension."""
    return isinstance(value, tuple) and all(map(is_whole, value))


PAIR = Where(_is_pair)  # (vertical, horizontal), each at least 1
AXIS = Where(is_whole)
AXES = Where(is_axes)
