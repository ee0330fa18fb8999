"""Pareto front and hypervolume: what comes before any single score."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from scenarios.world.graph import Floats, Integers


def pareto_front(points: Floats) -> Integers:
    """Rows that no other row beats in one objective and equals in the rest, int64 [f].

    Args:
        points: [k, objectives], more is better.

    >>> pareto_front(np.array([[1.0, 0.0], [0.0, 1.0], [0.0, 0.5]])).tolist()
    [0, 1]
    """
    as_good = (points[:, None, :] >= points[None, :, :]).all(axis=2)
    better = (points[:, None, :] > points[None, :, :]).any(axis=2)
    front: Integers = np.flatnonzero(~(as_good & better).any(axis=0))
    return front


def hypervolume(points: Floats, reference: Floats | float = 0.0) -> float:
    """Volume that is dominated by the points, above a reference; exact, by slicing.

    Args:
        points: [k, objectives], more is better.
        reference: the worst that counts, one for all objectives or [objectives].

    >>> hypervolume(np.array([[1.0, 0.5], [0.5, 1.0]]))
    0.75
    """
    above = np.maximum(0.0, points - reference)
    return _volume(above[(above > 0).all(axis=1)])


def _volume(points: Floats) -> float:
    if not len(points):
        return 0.0
    if points.shape[1] == 1:
        return float(points.max())
    # Slices along the last objective: below each level all points that reach it count.
    order = np.argsort(-points[:, -1], kind="stable")
    levels = [*points[order, -1].tolist(), 0.0]
    return float(
        sum(
            (levels[count - 1] - levels[count]) * _volume(points[order[:count], :-1])
            for count in range(1, len(levels))
            if levels[count - 1] > levels[count]
        )
    )
