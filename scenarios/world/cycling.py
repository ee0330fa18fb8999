"""Finn cycling index: the share of all flow that passes a node more than once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from scenarios.world.graph import Floats, Integers


def finn_cycling_index(
    source: Integers, target: Integers, flow: Floats, entered: Floats, left: Floats
) -> float:
    """Finn (1976), by one matrix inverse, 0..1.

    A node's throughflow is the larger of what came and what went, so that a stock which shrinks
    counts as an import and one that grows as an export.

    Args:
        source: node that each edge leaves, int64 [e].
        target: node that each edge reaches, int64 [e].
        flow: over each edge, [e], >= 0, any unit.
        entered: from outside into each node, [n].
        left: from each node to outside, [n].

    >>> loop = np.array([0, 1]), np.array([1, 0]), np.array([2.0, 1.0])
    >>> round(finn_cycling_index(*loop, np.array([1.0, 0.0]), np.array([0.0, 1.0])), 3)
    0.5
    """
    nodes = len(entered)
    came = np.bincount(target, flow, nodes) + entered
    went = np.bincount(source, flow, nodes) + left
    through = np.maximum(came, went)
    total = through.sum()
    if total <= 0:
        return 0.0
    matrix = np.eye(nodes)
    np.subtract.at(matrix, (target, source), flow / np.where(through > 0, through, 1.0)[source])
    try:
        # How often a unit that enters a node passes it in all: once, and again on each cycle.
        passes = np.diag(np.linalg.inv(matrix))
    except np.linalg.LinAlgError:
        return 1.0  # nothing enters and nothing leaves: all of it cycles
    passes = np.maximum(passes, 1.0)
    return float(np.clip((through * (passes - 1.0) / passes).sum() / total, 0.0, 1.0))
