"""How a run took its first disruption: what was lost, and how soon it was over."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from scenarios.world.graph import Floats

BASELINE_TICKS = 24
RECOVERED_SHARE = 0.9


@dataclass(frozen=True)
class Recovery:
    """The answer to a disruption.

    Args:
        resilience: 1 less the area lost, 0..1, from the onset to the end of the run.
        recovery_rate: mean service within the recovery window over the baseline, 0..1.
        recovery_ticks: from the onset until service is at 90 % of the baseline for good; 0 where
            it never fell below, and all that is left of the run where it did not recover.
        adaptability_ticks: from the first fall below 90 % until the first return.
        has_recovered: whether service is at 90 % at the end.
    """

    resilience: float
    recovery_rate: float
    recovery_ticks: int
    adaptability_ticks: int
    has_recovered: bool


def service_level(wanted: Floats, overdue: Floats) -> Floats:
    """Share of each tick's demand that is not overdue, 0..1, [t]."""
    return 1.0 - np.minimum(1.0, overdue / np.where(wanted > 0, wanted, 1.0))


def recovery_of(service: Floats, onset: int, window: int) -> Recovery:
    """Measure a disruption that begins at tick `onset` >= 1, before the end of the run.

    >>> recovery_of(np.array([1.0, 1.0, 0.5, 0.5, 1.0, 1.0]), 2, 2)
    Recovery(resilience=0.75, recovery_rate=0.5, recovery_ticks=2, adaptability_ticks=2, \
has_recovered=True)
    """
    before = service[max(0, onset - BASELINE_TICKS) : onset]
    baseline = float(before.mean()) if len(before) and before.mean() > 0 else 1.0
    after = np.minimum(1.0, service[onset:] / baseline)
    low = np.flatnonzero(after < RECOVERED_SHARE)
    recovery_ticks = adaptability_ticks = 0
    if len(low):
        recovery_ticks = int(low[-1]) + 1
        back = np.flatnonzero(after[low[0] :] >= RECOVERED_SHARE)
        adaptability_ticks = int(back[0]) if len(back) else len(after) - int(low[0])
    return Recovery(
        resilience=float(after.mean()),
        recovery_rate=float(after[:window].mean()),
        recovery_ticks=recovery_ticks,
        adaptability_ticks=adaptability_ticks,
        has_recovered=not len(low) or int(low[-1]) < len(after) - 1,
    )
