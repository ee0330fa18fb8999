"""Towards the nearest plan: the alternating direction method of multipliers on a network.

Two sets are easy to project on: plans that balance, A f + z = s (one fixed matrix), and plans
within their boxes and energy rows (closed form, node by node, since every edge enters one node).
The method goes back and forth between them and converges to the projection on both.

A step is written once for every arithmetic; edge_runtime/planner's C does the same in this order.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from edge_runtime.planner.arithmetic import DUAL_LIMIT_BITS, SUM_LIMIT_BITS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edge_runtime.planner.arithmetic import Arithmetic
    from edge_runtime.planner.network import Network
    from edge_runtime.planner.tables import Tables

    Numbers = NDArray[Any]
    Parts = tuple[Numbers, Numbers, Numbers]  # flows, storage, exchange


@dataclass(frozen=True, eq=False)
class Boxes:
    """Bounds of n plans in units, as the arithmetic holds numbers.

    Args:
        flow_max: [n, E]; 0 where an end is off.
        storage_min: [1, N], as the others below.
        storage_max: after the margin, as `storage_min`.
        exchange_min: from here on.
        exchange_max: to here.
        inflow_max: [N].
    """

    flow_max: Numbers
    storage_min: Numbers
    storage_max: Numbers
    exchange_min: Numbers
    exchange_max: Numbers
    inflow_max: Numbers


@dataclass(frozen=True, eq=False)
class Splitting:
    """The method on one network in one arithmetic."""

    network: Network
    tables: Tables
    arithmetic: Arithmetic

    def run(self, candidate: Parts, boxes: Boxes, iterations: int, enough: float = -1.0) -> Parts:
        """Iterate.

        Args:
            candidate: what to come near to.
            boxes: the bounds.
            iterations: how many steps at most.
            enough: units; a step that changes no coordinate by more is the last.

        Returns:
            The plan, within boxes and energy rows.
        """
        plan = self.into_boxes(candidate, boxes)
        duals: Parts = (
            np.zeros_like(candidate[0]),
            np.zeros_like(candidate[1]),
            np.zeros_like(candidate[2]),
        )
        for _ in range(iterations):
            before = plan
            plan, duals = self._step(candidate, plan, duals, boxes)
            if enough >= 0.0 and all(
                np.abs(new - old).max(initial=0.0) <= enough
                for new, old in zip(plan, before, strict=True)
            ):
                break
        return plan

    def _step(
        self, candidate: Parts, plan: Parts, duals: Parts, boxes: Boxes
    ) -> tuple[Parts, Parts]:
        number = self.arithmetic
        pulled = []
        for wanted, part, dual in zip(candidate, plan, duals, strict=True):
            free = part - dual
            pulled.append(free + number.times(self.tables.pull, wanted - free))
        balanced = self._balance((pulled[0], pulled[1], pulled[2]))
        moved = [
            part + number.times(self.tables.relaxation, full - part) + dual
            for full, part, dual in zip(balanced, plan, duals, strict=True)
        ]
        reached = self.into_boxes((moved[0], moved[1], moved[2]), boxes)
        rest = [
            number.limit(full - part, DUAL_LIMIT_BITS)
            for full, part in zip(moved, reached, strict=True)
        ]
        return reached, (rest[0], rest[1], rest[2])

    def _balance(self, parts: Parts) -> Parts:
        """The nearest plan that balances."""
        flows, storage, exchange = parts
        tables, number = self.tables, self.arithmetic
        missing = number.limit(self.net_inflow(flows) + exchange - storage, SUM_LIMIT_BITS)
        force = number.weighted_sum(tables.inverse, missing)
        along = force[:, self.network.targets] - force[:, self.network.sources]
        return flows - along, storage + force, exchange - force

    def net_inflow(self, flows: Numbers) -> Numbers:
        """A f, [n, N]: what flows in, edge by edge, then what flows out."""
        total = self.inflow(flows)
        padded = _with_zero(flows)
        for column in self.tables.out_edges.T:
            total = total - padded[:, column]
        return total

    def inflow(self, flows: Numbers) -> Numbers:
        """What flows in, [n, N]."""
        return _add_up(_with_zero(flows)[:, self.tables.in_edges])

    def into_boxes(self, parts: Parts, boxes: Boxes) -> Parts:
        """The nearest plan within boxes and energy rows."""
        flows, storage, exchange = parts
        return (
            self._limit_inflow(flows, boxes),
            np.clip(storage, boxes.storage_min, boxes.storage_max),
            np.clip(exchange, boxes.exchange_min, boxes.exchange_max),
        )

    def _limit_inflow(self, flows: Numbers, boxes: Boxes) -> Numbers:
        """Nearest flows within 0 and flow_max, of which no node takes in too much."""
        limited = np.clip(flows, flows.dtype.type(0), boxes.flow_max)
        edges = self.tables.in_edges
        wanted = _with_zero(flows)[:, edges]
        most = _with_zero(boxes.flow_max)[:, edges]
        over = _add_up(np.clip(wanted, flows.dtype.type(0), most)) > boxes.inflow_max
        plan, node = np.nonzero(over)
        if len(plan):
            wanted, most = wanted[plan, node], most[plan, node]
            price = self._price(wanted, most, boxes.inflow_max[node])
            lowered = np.clip(wanted - price[:, None], flows.dtype.type(0), most)
            padded = _with_zero(limited)
            padded[plan[:, None], edges[node]] = lowered
            padded[:, -1] = 0
            limited = padded[:, :-1]
        return limited

    def _price(self, wanted: Numbers, most: Numbers, total: Numbers) -> Numbers:
        """The price at which clipped flows add up to a total that they exceed at price 0.

        A continuous quadratic knapsack: the sum falls piecewise linearly with the price, so the
        price lies between two neighbouring breakpoints.

        Args:
            wanted: [k, m].
            most: [k, m].
            total: [k].
        """
        zero = wanted.dtype.type(0)
        left, right = np.zeros_like(total), wanted.max(axis=1)
        at_left = _add_up(np.clip(wanted, zero, most))
        at_right = np.zeros_like(total)
        for breakpoints in (*wanted.T, *(wanted - most).T):
            price = np.maximum(breakpoints, zero)
            at = _add_up(np.clip(wanted - price[:, None], zero, most))
            nearer = (at >= total) & (price > left)
            left, at_left = np.where(nearer, price, left), np.where(nearer, at, at_left)
            nearer = (at <= total) & (price < right)
            right, at_right = np.where(nearer, price, right), np.where(nearer, at, at_right)
        return self.arithmetic.between(left, right, at_left - total, at_left - at_right)


def _add_up(values: Numbers) -> Numbers:
    """Sum over the last axis in its order; np.sum adds pairs of parts."""
    total = np.zeros(values.shape[:-1], values.dtype)
    for column in range(values.shape[-1]):
        total = total + values[..., column]
    return total


def _with_zero(values: Numbers) -> Numbers:
    """A column of zeros behind the edges: what a node without an edge there adds."""
    return np.concatenate([values, np.zeros((len(values), 1), values.dtype)], axis=1)
