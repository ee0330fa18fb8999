"""Tables that a step needs at every tick, in the order in which it works.

A step works on columns (kilograms by material, and what travels along) of hauls that are ordered by
stage, and of nodes of one kind at a time. What a stage sends is then a slice, and a sum over its
edges is as long as a kind, not as the world.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from scenarios.world.graph import (
    DISASSEMBLY_YIELD,
    KIND,
    RECYCLING_YIELD,
    REMANUFACTURING_YIELD,
    STAGE,
    sibling_shares,
    sum_by,
)
from scenarios.world.products import MATERIALS
from scenarios.world.values import QUALITY_LOSS

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
class Hauls:
    """All edges, ordered by stage, then by source and by target.

    Args:
        edge: number of each in the topology, int64 [e].
        source: node that each leaves.
        target: node that each reaches.
        distance: km, [e].
        scenario: number of each one's, int64 [e].
    """

    edge: Integers
    source: Integers
    target: Integers
    distance: Floats
    scenario: Integers


class Members:
    """Nodes of one kind.

    Args:
        nodes: their numbers, int64 [k].
        scenario: of every node of the world, int64 [n].
        carbon: of every node of the world, kg CO2e per kg, [n].
    """

    def __init__(self, nodes: Integers, scenario: Integers, carbon: Floats) -> None:
        self.nodes = nodes
        self.scenario = scenario[nodes]
        self.carbon = carbon[nodes]

    def emitted(self, kg: Floats, batch: int) -> Floats:
        """What processing so much at each member emits, kg CO2e per scenario, [b]."""
        return self.by_scenario(kg * self.carbon, batch)

    def by_scenario(self, values: Floats, batch: int) -> Floats:
        """Sums of the members' values, [b]."""
        return sum_by(self.scenario, values, batch)


class Makers(Members):
    """Factories.

    Args:
        members: nodes that manufacture, f of them.
        recipe: share of each material in products by scenario, [b, m].
        nominal: kg per tick that every node of the world handles, [n].
    """

    def __init__(self, members: Members, recipe: Floats, nominal: Floats) -> None:
        self.nodes, self.scenario, self.carbon = members.nodes, members.scenario, members.carbon
        self.recipe = recipe[self.scenario].T.copy()  # [m, f]
        self.nominal = nominal[self.nodes]


class WayBack(Members):
    """Nodes that take mass back, kind by kind, and the edges from them, stage by stage.

    Args:
        of_kind: nodes by kind.
        stages: edges by stage.
        scenario: of every node of the world, int64 [n].
        carbon: of every node of the world, kg CO2e per kg, [n].
    """

    def __init__(
        self,
        of_kind: tuple[Integers, ...],
        stages: tuple[StageEdges, ...],
        scenario: Integers,
        carbon: Floats,
    ) -> None:
        parts = [of_kind[KIND[name]] for name in BACK]
        super().__init__(np.concatenate(parts), scenario, carbon)
        ends = np.cumsum([len(part) for part in parts]).tolist()
        starts = [0, *ends[:-1]]
        self.spans = {
            name: slice(start, end) for name, start, end in zip(BACK, starts, ends, strict=True)
        }
        numbers = {KIND[name]: start for name, start in zip(BACK, starts, strict=True)}
        used = [
            (stage, numbers[pair[0]])
            for stage, pair in zip(stages, STAGE, strict=True)
            if pair[0] in numbers
        ]
        self.haul_span = slice(used[0][0].span.start, used[-1][0].span.stop)
        self.place = np.concatenate([stage.place + start for stage, start in used])
        self.share = np.concatenate([stage.share for stage, _ in used])
        # By material, then of kg x quality and of secondary kg. What recycling makes of these two
        # depends on what it gets.
        self.kept = np.ones((len(MATERIALS) + 2, len(self.nodes)))
        self.kept[:, self.spans["disassembly"]] = DISASSEMBLY_YIELD
        self.kept[:, self.spans["remanufacturing"]] = REMANUFACTURING_YIELD
        self.kept[len(MATERIALS), self.spans["remanufacturing"]] *= 1.0 - QUALITY_LOSS
        self.kept[: len(MATERIALS), self.spans["recycling"]] = RECYCLING_YIELD[:, None]


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
        share = sibling_shares(source, len(topology.kind), capacity[target])
        span = slice(begin, begin + len(edges))
        begin = span.stop
        stages.append(StageEdges(edges, span, source, target, place[source], place[target], share))
    return tuple(stages)


def build_hauls(stages: tuple[StageEdges, ...], distance: Floats, scenario: Integers) -> Hauls:
    """All edges in the order of stages.

    Args:
        stages: edges by stage.
        distance: of every edge, km, [e].
        scenario: of every node, int64 [n].
    """
    edge = np.concatenate([stage.edges for stage in stages])
    source = np.concatenate([stage.source for stage in stages])
    target = np.concatenate([stage.target for stage in stages])
    return Hauls(edge, source, target, distance[edge], scenario[source])


def sum_columns(segment: Integers, columns: Floats, segments: int) -> Floats:
    """Sums of columns [c, k] by the segment that each place belongs to, [c, segments]."""
    total = np.empty((len(columns), segments))
    for sums, column in zip(total, columns, strict=True):
        sums[:] = np.bincount(segment, column, segments)
    return total


def put_columns(table: Floats, places: Integers, columns: Floats) -> None:
    """Write columns [c, k] to places of a table [c, n]; row by row, which NumPy does fastest."""
    for row, column in zip(table, columns, strict=True):
        row[places] = column
