"""The surrogate of the discrete-event simulator: its error on scenarios that it never saw.

Beside it stands the error of a guess that ignores the scenario, the geometric mean of the others.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hil_tests.result import Measure
from train.surrogate import train_surrogate

if TYPE_CHECKING:
    from collections.abc import Iterator

SCENARIOS = 240


def main() -> tuple[Measure, ...]:
    """Relative errors by total."""
    return tuple(_figures())


def _figures() -> Iterator[Measure]:
    _, errors = train_surrogate(SCENARIOS)
    source = f"a quarter of {SCENARIOS} scenarios, sum of |error| over sum of totals"
    for name, error in errors.items():
        yield Measure(f"{name}: relative error", error.relative, "", "measured", source)
        yield Measure(
            f"{name}: relative error of the mean", error.relative_of_mean, "", "measured", source
        )
