"""Tables that a step needs at every tick, in the order in which it works.

A step works on columns (kilograms by material, and what travels along) of hauls that are ordered by
stage, and of nodes that are lined up by kind. What a stage sends and what a kind holds are then
slices, and a sum over a stage's edges is as long as a kind, not as the world.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from scenarios.world.graph import STAGE, shares, sum_by
from scenarios.world.schema import KINDS, STAGES

if TYPE_CHECKING:
    from scenarios.world.graph import Floats, Integers, Topology

BACK = ("collection", "disassembly", "remanufacturing", "recycling")


@dataclass(frozen=True, eq=False)
class StageEdges:
    """Edges of one stage.

    Args:
        edges: their numbers, int64 [k].
        span: where they stand among the hauls, which are ordered by stage.
        source: node that each leaves.
        target: node that each reaches.
        place: of each one's source among the nodes of its kind, int64 [k].
        target_place: of each one's target among the nodes of its kind, int64 [k].
        share: of what the source sends over this stage, in proportion to the targets' capacity.
    """

    edges: Integers
    span: slice
    source: Integers
    target: Integers
    place: Integers
    target_place: Integers
    share: Floats


@dataclass(frozen=True, eq=False)
class Line:
    """Nodes kind by kind, and by number within a kind: where a step keeps what it knows of them.

    Args:
        node: number of the node at each position, int64 [n].
        position: of every node by its number, int64 [n].
        spans: positions of the nodes of each kind.
        scenario: of the node at each position, int64 [n].
        energy: MJ per kg, [n].
        carbon: kg CO2e per kg, [n].
        batch: how many scenarios.
    """

    node: Integers
    position: Integers
    spans: dict[str, slice]
    scenario: Integers
    energy: Floats
    carbon: Floats
    batch: int

    def by_node(self, values: Floats) -> Floats:
        """Values by position, [..., n], as values by node; a copy."""
        sorted_values = np.empty_like(values)
        sorted_values[..., self.node] = values
        return sorted_values

    def by_scenario(self, values: Floats) -> Floats:
        """Sums of the values of all positions, [b]."""
        return sum_by(self.scenario, values, self.batch)


class Members:
    """Nodes of neighbouring kinds in the line.

    Args:
        line: of all nodes.
        first: kind.
        last: kind.
    """

    def __init__(self, line: Line, first: str, last: str) -> None:
        self.span = slice(line.spans[first].start, line.spans[last].stop)
        self.nodes = line.node[self.span]
        self.scenario = line.scenario[self.span]
        self.carbon = line.carbon[self.span]
        self._batch = line.batch

    def __len__(self) -> int:
        return len(self.nodes)

    def emitted(self, kg: Floats) -> Floats:
        """What processing so much at each member emits, kg CO2e per scenario, [b]."""
        return self.by_scenario(kg * self.carbon)

    def by_scenario(self, values: Floats) -> Floats:
        """Sums of the members' values, [b]."""
        return sum_by(self.scenario, values, self._batch)


class Makers(Members):
    """Factories.

    Args:
        line: of all nodes.
        recipe: share of each material in products by scenario, [b, m]; above zero, for every
            product contains every material.
        nominal: kg per tick that every node of the world handles, [n].
    """

    def __init__(self, line: Line, recipe: Floats, nominal: Floats) -> None:
        super().__init__(line, "manufacturing", "manufacturing")
        self.recipe = recipe[self.scenario].T.copy()  # [m, f]
        # What use nodes get from factories, which are of their own scenario, [m, u].
        self.recipe_at_users = recipe[line.scenario[line.spans["use"]]].T.copy()
        self.nominal = nominal[self.nodes]


class WayBack(Members):
    """Nodes that take mass back, and the edges from them, stage by stage.

    Args:
        line: of all nodes.
        stages: edges by stage.
    """

    def __init__(self, line: Line, stages: tuple[StageEdges, ...]) -> None:
        super().__init__(line, BACK[0], BACK[-1])
        begin = self.span.start
        # Of each kind among the members.
        self.spans = {
            kind: slice(line.spans[kind].start - begin, line.spans[kind].stop - begin)
            for kind in BACK
        }
        ways = [
            (pair, stage)
            for stage, pair in zip(stages, STAGES, strict=True)
            if pair[0] in self.spans
        ]
        # A gate is where a node's goods leave for one kind of target.
        sizes = [self.spans[source].stop - self.spans[source].start for (source, _), _ in ways]
        ends = np.cumsum(sizes).tolist()
        self.gate_count = ends[-1]
        self.gates = {
            pair: slice(end - size, end)
            for (pair, _), size, end in zip(ways, sizes, ends, strict=True)
        }
        self.gate = np.concatenate([stage.place + self.gates[pair].start for pair, stage in ways])
        # Of every haul's source among the members, and of what leaves there.
        self.place = np.concatenate(
            [stage.place + self.spans[pair[0]].start for pair, stage in ways]
        )
        self.share = np.concatenate([stage.share for _, stage in ways])


def build_line(
    of_kind: tuple[Integers, ...], scenario: Integers, energy: Floats, carbon: Floats
) -> Line:
    """The line of all nodes, given those of each kind and figures by node."""
    node = np.concatenate(of_kind)
    position = np.empty_like(node)
    position[node] = np.arange(len(node))
    ends = np.cumsum([len(nodes) for nodes in of_kind]).tolist()
    spans = {
        kind: slice(start, end) for kind, start, end in zip(KINDS, [0, *ends], ends, strict=False)
    }
    batch = int(scenario.max()) + 1
    return Line(node, position, spans, scenario[node], energy[node], carbon[node], batch)


def build_stages(
    topology: Topology, of_kind: tuple[Integers, ...], capacity: Floats
) -> tuple[StageEdges, ...]:
    """The edges of every stage; flows split in proportion to capacity, kg per tick, [n]."""
    stages: list[StageEdges] = []
    place = np.empty(len(topology.kind), np.int64)
    for nodes in of_kind:
        place[nodes] = np.arange(len(nodes))
    begin = 0
    for number in range(len(STAGE)):
        edges = np.flatnonzero(topology.stage == number)
        # A file may list its edges in any order; a draw by share wants those of a source together.
        edges = edges[np.lexsort((topology.target[edges], topology.source[edges]))]
        source, target = topology.source[edges], topology.target[edges]
        share = shares(source, capacity[target])
        span = slice(begin, begin + len(edges))
        begin = span.stop
        stages.append(StageEdges(edges, span, source, target, place[source], place[target], share))
    return tuple(stages)


def sum_columns(segment: Integers, columns: Floats, segments: int) -> Floats:
    """Sums of columns [c, k] by the segment that each place belongs to, [c, segments]."""
    total = np.zeros((len(columns), segments))
    add_columns(total, segment, columns)
    return total


def add_columns(total: Floats, segment: Integers, columns: Floats) -> None:
    """Add columns [c, k] to the sums [c, segments] of the segment that each place belongs to."""
    for sums, column in zip(total, columns, strict=True):
        np.add.at(sums, segment, column)
