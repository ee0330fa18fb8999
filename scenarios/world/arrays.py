"""Many scenarios as one disconnected graph of flat arrays: the batch costs no loop.

Node n of scenario b has the number first_node[b] + n; edges likewise. Memory is linear in nodes
plus edges (plus ticks × scenarios for the law).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from jouleloop.errors import ScenarioError
from scenarios.world.graph import (
    KIND,
    STAGE,
    Floats,
    Integers,
    Topology,
    nominal_loads,
    sibling_shares,
    sum_by,
)
from scenarios.world.law import Law, build_law
from scenarios.world.products import BILL_KG, MASS_KG, MATERIALS, PRICE_USD, PRODUCT_INDEX
from scenarios.world.schema import STAGES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scenarios.world.schema import Scenario


class SegmentSum:
    """Sums rows by the segment that each belongs to; the fastest way in NumPy for few columns.

    >>> SegmentSum(np.array([2, 0, 2]), 3)(np.array([[1.0], [5.0], [2.0]])).ravel().tolist()
    [5.0, 0.0, 3.0]
    """

    def __init__(self, segment: Integers, segments: int) -> None:
        self._segment = segment
        self._count = segments

    def __call__(self, rows: Floats) -> Floats:
        """Sums of rows [k] as [segments], or of [k, c] as [segments, c]."""
        if rows.ndim == 1:
            return sum_by(self._segment, rows, self._count)
        total = np.empty((self._count, rows.shape[1]), order="F")
        for column in range(rows.shape[1]):
            total[:, column] = np.bincount(self._segment, rows[:, column], self._count)
        return total


def take_rows(table: Floats, rows: Integers) -> Floats:
    """Rows of a table [n, c] that is ordered by columns; several times faster than indexing.

    >>> take_rows(np.array([[1.0, 2.0], [3.0, 4.0]], order="F"), np.array([1])).tolist()
    [[3.0, 4.0]]
    """
    taken: Floats = np.take(table.T, rows, axis=1).T
    return taken


@dataclass(frozen=True, eq=False)
class StageEdges:
    """Edges of one stage.

    Args:
        edges: their numbers, int64 [k].
        source: node that each leaves.
        target: node that each reaches.
        place: of each one's source among the nodes of its kind, int64 [k].
        share: of what the source sends over this stage, in proportion to the targets' capacity.
        by_source: sums over edges of the same source.
        by_target: sums over edges of the same target.
    """

    edges: Integers
    source: Integers
    target: Integers
    place: Integers
    share: Floats
    by_source: SegmentSum
    by_target: SegmentSum


@dataclass(frozen=True, eq=False)
class Interval:
    """A disruption in flat numbers: acts at ticks [start, end) on `nodes`."""

    kind: str
    start: int
    end: int
    nodes: Integers
    material: int
    factor: float


@dataclass(frozen=True, eq=False)
class World:
    """A batch of scenarios.

    Args:
        scenarios: what it was built of, b of them.
        ticks: of every run.
        tick_hours: length of a tick.
        topology: all graphs side by side, n nodes and e edges.
        scenario: number of every node's scenario, int64 [n].
        first_node: of every scenario, int64 [b + 1].
        first_edge: of every scenario, int64 [b + 1].
        capacity: kg per tick, [n].
        energy: MJ per kg, [n].
        carbon: kg CO2e per kg, [n].
        demand: kg per tick, [n], 0 but at use nodes.
        nominal: kg per tick that each node handles when all goes well, [n].
        ratio: returned mass per delivered mass, [b].
        recipe: share of each material in products, [b, m].
        price_per_kg: of new products, USD, [b].
        distance: km, [e].
        stages: edges by stage, in the order of STAGES.
        of_kind: nodes by kind, in the order of KINDS.
        inflow: sums edges by target.
        outflow: sums edges by source.
        law: levels of all policies.
        disruptions: what fails and when.
    """

    scenarios: tuple[Scenario, ...]
    ticks: int
    tick_hours: float
    topology: Topology
    scenario: Integers
    first_node: Integers
    first_edge: Integers
    capacity: Floats
    energy: Floats
    carbon: Floats
    demand: Floats
    nominal: Floats
    ratio: Floats
    recipe: Floats
    price_per_kg: Floats
    distance: Floats
    stages: tuple[StageEdges, ...]
    of_kind: tuple[Integers, ...]
    inflow: SegmentSum
    outflow: SegmentSum
    law: Law
    disruptions: tuple[Interval, ...]

    @property
    def nodes(self) -> int:
        """How many nodes in all."""
        return len(self.topology.kind)

    @property
    def edges(self) -> int:
        """How many edges in all."""
        return len(self.topology.source)

    def stage(self, source: str, target: str) -> StageEdges:
        """Edges from one kind to another."""
        return self.stages[STAGES.index((source, target))]

    def kind(self, name: str) -> Integers:
        """Nodes of a kind."""
        return self.of_kind[KIND[name]]

    @cached_property
    def factory_scenario(self) -> Integers:
        """Scenario of every manufacturer, [f]."""
        owner: Integers = self.scenario[self.kind("manufacturing")]
        return owner

    @cached_property
    def factory_recipe(self) -> Floats:
        """Share of each material in what every manufacturer makes, [f, m]."""
        return np.asfortranarray(self.recipe[self.factory_scenario])

    def sum_nodes(self, values: Floats) -> Floats:
        """Sum node values [n, ...] by scenario, [b, ...]."""
        sums: Floats = np.add.reduceat(values, self.first_node[:-1], axis=0)
        return sums

    def name(self, node: int) -> str:
        """Of a node, as in `manufacturing-2 of scenario 1f3c...`."""
        scenario = int(self.scenario[node])
        owner = self.scenarios[scenario]
        return f"{owner.nodes[node - int(self.first_node[scenario])].id} of {owner.id[:12]}"


def build_world(scenarios: Sequence[Scenario]) -> World:
    """Flat arrays of a batch.

    Raises:
        ScenarioError: no scenario, or runs of different length.
    """
    if not scenarios:
        raise ScenarioError("no scenario was given", hint="give at least one")
    lengths = {(s.ticks, s.tick_hours) for s in scenarios}
    if len(lengths) > 1:
        raise ScenarioError(
            f"scenarios of {len(lengths)} lengths cannot step together",
            hint="batch those of equal ticks and tick_hours",
        )
    ((ticks, tick_hours),) = lengths
    all_nodes = [node for s in scenarios for node in s.nodes]
    first_node = _offsets([len(s.nodes) for s in scenarios])
    first_edge = _offsets([len(s.edges) for s in scenarios])
    topology = _topology(scenarios, first_node)
    capacity, energy, carbon, demand = np.array(
        [(n.capacity_kg, n.energy_mj_per_kg, n.carbon_kg_per_kg, n.demand_kg) for n in all_nodes]
    ).T.copy()
    scenario = np.repeat(np.arange(len(scenarios)), np.diff(first_node))
    ratio = np.array([s.returns.ratio for s in scenarios])
    source, target = topology.source, topology.target
    return World(
        scenarios=tuple(scenarios),
        ticks=ticks,
        tick_hours=tick_hours,
        topology=topology,
        scenario=scenario,
        first_node=first_node,
        first_edge=first_edge,
        capacity=capacity,
        energy=energy,
        carbon=carbon,
        demand=demand,
        nominal=nominal_loads(topology, capacity, demand, ratio[scenario]),
        ratio=ratio,
        recipe=np.stack([recipe_of(s) for s in scenarios]),
        price_per_kg=np.array([price_of(s) for s in scenarios]),
        distance=np.array([edge.distance_km for s in scenarios for edge in s.edges]),
        stages=tuple(_stage(topology, capacity, number) for number in range(len(STAGE))),
        of_kind=tuple(np.flatnonzero(topology.kind == kind) for kind in KIND.values()),
        inflow=SegmentSum(target, len(capacity)),
        outflow=SegmentSum(source, len(capacity)),
        law=build_law(scenarios, ticks),
        disruptions=tuple(_disruptions(scenarios, first_node)),
    )


def recipe_of(scenario: Scenario) -> Floats:
    """Share of each material in the products of a scenario, [m]; adds up to 1."""
    total = np.zeros(len(MATERIALS))
    for product in scenario.returns.products:
        total += product.share * BILL_KG[PRODUCT_INDEX[product.unu_key]]
    recipe: Floats = total / total.sum()
    return recipe


def price_of(scenario: Scenario) -> float:
    """What new products of a scenario cost their buyers, USD per kg."""
    products = scenario.returns.products
    index = [PRODUCT_INDEX[product.unu_key] for product in products]
    share = np.array([product.share for product in products])
    return float(share @ PRICE_USD[index]) / float(share @ MASS_KG[index])


def _offsets(sizes: list[int]) -> Integers:
    return np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)


def _topology(scenarios: Sequence[Scenario], first_node: Integers) -> Topology:
    kind = [KIND[node.kind] for s in scenarios for node in s.nodes]
    ends = [
        (start + s.index[edge.source], start + s.index[edge.target])
        for s, start in zip(scenarios, first_node.tolist(), strict=False)
        for edge in s.edges
    ]
    source, target = np.array(ends, np.int64).T.copy()
    number = {stage: index for index, stage in enumerate(STAGE)}
    stage = [number[kind[a], kind[b]] for a, b in ends]
    return Topology(np.array(kind), source, target, np.array(stage))


def _stage(topology: Topology, capacity: Floats, stage: int) -> StageEdges:
    edges = np.flatnonzero(topology.stage == stage)
    # A file may list its edges in any order; a draw by share wants those of a source together.
    edges = edges[np.lexsort((topology.target[edges], topology.source[edges]))]
    source, target = topology.source[edges], topology.target[edges]
    place = np.searchsorted(np.flatnonzero(topology.kind == KIND[STAGES[stage][0]]), source)
    nodes = len(topology.kind)
    share = sibling_shares(source, nodes, capacity[target])
    by_source, by_target = SegmentSum(source, nodes), SegmentSum(target, nodes)
    return StageEdges(edges, source, target, place, share, by_source, by_target)


def _disruptions(scenarios: Sequence[Scenario], first_node: Integers) -> list[Interval]:
    return [
        Interval(
            kind=d.kind,
            start=d.start,
            end=d.end,
            nodes=np.array([start + s.index[name] for name in d.nodes]),
            material=-1 if d.material is None else MATERIALS.index(d.material),
            factor=1.0 if d.factor is None else d.factor,
        )
        for s, start in zip(scenarios, first_node.tolist(), strict=False)
        for d in s.disruptions
    ]
