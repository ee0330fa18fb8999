"""The last units: move flow along paths until every node can store or exchange what it gets.

After the iterations a plan almost balances. What is left is a question of whole units on a grid,
and a maximum flow answers it exactly: push what a node has too much along the shortest path to a
node that has room, then what a node lacks from one that can spare it. By Hoffman's theorem the
search fails only where no plan exists, and the nodes that it reached say why.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Integers = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Graph:
    """Edges by node, and what they and the nodes can take, in units.

    Args:
        sources: [E], the node that an edge leaves.
        targets: [E], the node that it enters.
        in_edges: per node, edges that enter it.
        out_edges: per node, edges that leave it.
    """

    sources: list[int]
    targets: list[int]
    in_edges: list[list[int]]
    out_edges: list[list[int]]


@dataclass(frozen=True, eq=False)
class Limits:
    """What one plan may be, in units.

    Args:
        flow_max: [E]; 0 where an end is off.
        inflow_max: [N].
        net_min: [N], the least net inflow: storage_min - exchange_max.
        net_max: [N], the largest: storage_max - exchange_min.
    """

    flow_max: list[int]
    inflow_max: list[int]
    net_min: list[int]
    net_max: list[int]


@dataclass(frozen=True, eq=False)
class Settled:
    """A plan on the grid.

    Args:
        flows: int64 [E], units.
        paths: how many moved something.
        excess: units that nodes get beyond what they can take; 0 where all is settled.
        lack: units that nodes get too little.
        cut: the nodes that the failed search reached; empty where all is settled.
    """

    flows: Integers
    paths: int
    excess: int
    lack: int
    cut: tuple[int, ...]


def settle(graph: Graph, limits: Limits, flows: Integers) -> Settled:
    """Bring flows into the limits of every node.

    Args:
        graph: of the network.
        limits: of the plan.
        flows: int64 [E], within 0 and flow_max.
    """
    return _Settling(graph, limits, flows.tolist()).run()


class _Settling:
    """One plan on its way; every node is two places, before and behind its limit of inflow."""

    def __init__(self, graph: Graph, limits: Limits, flows: list[int]) -> None:
        self._graph, self._limits, self._flows = graph, limits, flows
        self._nodes = len(graph.in_edges)
        self._through = len(graph.sources)  # the arc within a node, numbered behind the edges
        self._cut_inflow()
        self._inflow = [sum(flows[e] for e in edges) for edges in graph.in_edges]
        outflow = (sum(flows[e] for e in edges) for edges in graph.out_edges)
        self._net = [taken - given for taken, given in zip(self._inflow, outflow, strict=True)]
        self._paths = 0

    def run(self) -> Settled:
        excess, cut = self._level(self._limits.net_max, is_excess=True)
        lack, cut_of_lack = self._level(self._limits.net_min, is_excess=False)
        return Settled(
            np.array(self._flows, np.int64), self._paths, excess, lack, cut or cut_of_lack
        )

    def _cut_inflow(self) -> None:
        """Rounding may have left a unit more than a node may take in."""
        for node, edges in enumerate(self._graph.in_edges):
            over = sum(self._flows[e] for e in edges) - self._limits.inflow_max[node]
            for edge in edges:
                if over <= 0:
                    break
                less = min(over, self._flows[edge])
                self._flows[edge] -= less
                over -= less

    def _level(self, level: list[int], *, is_excess: bool) -> tuple[int, tuple[int, ...]]:
        """Move units from nodes above a level to nodes below it, while there is need.

        Returns:
            The need that is left, and the nodes that the failed search reached.
        """
        sign = 1 if is_excess else -1
        while True:
            need = sum(max(sign * (n - at), 0) for n, at in zip(self._net, level, strict=True))
            if need == 0:
                return 0, ()
            via, end = self._search(level)
            if end < 0:
                reached = range(self._nodes)
                return need, tuple(n for n in reached if (via[n] is not None) == is_excess)
            self._push(via, end, level)
            self._paths += 1

    def _search(self, level: list[int]) -> tuple[list[int | None], int]:
        """Breadth first from every node above the level to the first below it.

        Returns:
            For every place the arc over which it was reached, -1 at a start, None where it was not;
            and the end, or -1. Places are nodes behind their limit (0..N-1) and before it (N..).
        """
        graph, nodes, through = self._graph, self._nodes, self._through
        via: list[int | None] = [None] * (2 * nodes)
        queue = [node for node in range(nodes) if self._net[node] > level[node]]
        for node in queue:
            via[node] = -1
        for place in queue:
            node = place if place < nodes else place - nodes
            steps: list[tuple[int, int]] = []
            if place < nodes:
                if self._net[node] < level[node]:
                    return via, node
                steps += [
                    (graph.targets[e] + nodes, e)
                    for e in graph.out_edges[node]
                    if self._flows[e] < self._limits.flow_max[e]
                ]
                if self._inflow[node] > 0:
                    steps.append((node + nodes, through))
            else:
                steps += [(graph.sources[e], e) for e in graph.in_edges[node] if self._flows[e] > 0]
                if self._inflow[node] < self._limits.inflow_max[node]:
                    steps.append((node, through))
            for following, arc in steps:
                if via[following] is None:
                    via[following] = arc
                    queue.append(following)
        return via, -1

    def _push(self, via: list[int | None], end: int, level: list[int]) -> None:
        """Move as much as fits along the path to `end`."""
        path = self._path(via, end)
        start = path[-1][0] if path else end
        start = start if start < self._nodes else start - self._nodes
        units = min(level[end] - self._net[end], self._net[start] - level[start])
        for place, arc in path:
            units = min(units, self._room(place, arc))
        for place, arc in path:
            self._move(place, arc, units)
        self._net[start] -= units
        self._net[end] += units

    def _path(self, via: list[int | None], end: int) -> list[tuple[int, int]]:
        """(place that an arc leaves, arc), from the end back to the start."""
        path, place = [], end
        while (arc := via[place]) is not None and arc >= 0:
            if arc == self._through:
                place = place + self._nodes if place < self._nodes else place - self._nodes
            elif place < self._nodes:
                place = self._graph.targets[arc] + self._nodes
            else:
                place = self._graph.sources[arc]
            path.append((place, arc))
        return path

    def _room(self, place: int, arc: int) -> int:
        """Units that fit over an arc from a place."""
        is_behind = place < self._nodes
        if arc == self._through:
            node = place if is_behind else place - self._nodes
            inflow = self._inflow[node]
            return inflow if is_behind else self._limits.inflow_max[node] - inflow
        return self._limits.flow_max[arc] - self._flows[arc] if is_behind else self._flows[arc]

    def _move(self, place: int, arc: int, units: int) -> None:
        is_behind = place < self._nodes
        if arc == self._through:
            node = place if is_behind else place - self._nodes
            self._inflow[node] += -units if is_behind else units
        else:
            self._flows[arc] += units if is_behind else -units
