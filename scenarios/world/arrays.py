"""Many scenarios as one disconnected graph of flat arrays: the batch costs no loop.

Node n of scenario b has the number first_node[b] + n; edges likewise. Memory is linear in nodes
plus edges (plus ticks × scenarios for the law).
"""

from __future__ import annotations

from dataclasses import dataclass, field
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
    sum_by,
)
from scenarios.world.law import Law, build_law
from scenarios.world.layout import (
    Line,
    Makers,
    Members,
    StageEdges,
    WayBack,
    build_line,
    build_stages,
    sum_columns,
)
from scenarios.world.products import BILL_KG, MASS_KG, MATERIALS, PRICE_USD, PRODUCT_INDEX
from scenarios.world.road import Hauls
from scenarios.world.schema import STAGES
from scenarios.world.weather import build_disruptions

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scenarios.world.schema import Scenario
    from scenarios.world.weather import Conditions, Disruptions


class SegmentSum:
    """Sums rows by the segment that each belongs to.

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
        return sum_columns(self._segment, rows.T, self._count).T


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
        disruptions: what fails and when, by kind.
        weather: what `conditions` found last, by its place among the turns.
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
    disruptions: dict[str, Disruptions]
    weather: dict[int, Conditions] = field(init=False, default_factory=dict)

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

    # What follows from the rest is no argument: a changed copy of a world works it out anew.

    @cached_property
    def hauls(self) -> Hauls:
        """All edges in the order of stages, in which a step works."""
        return Hauls(self.stages, self.distance, self.line, self.makers, self.way_back)

    @cached_property
    def line(self) -> Line:
        """All nodes kind by kind, the order in which a step works."""
        return build_line(self.of_kind, self.scenario, self.energy, self.carbon)

    @cached_property
    def makers(self) -> Makers:
        """Factories."""
        return Makers(self.line, self.recipe, self.nominal)

    @cached_property
    def mines(self) -> Members:
        """Nodes that extract."""
        return Members(self.line, "extraction", "extraction")

    @cached_property
    def users(self) -> Members:
        """Nodes where products are used."""
        return Members(self.line, "use", "use")

    @cached_property
    def sorters(self) -> Members:
        """Collection and disassembly, which send on to two kinds of nodes."""
        return Members(self.line, "collection", "disassembly")

    @cached_property
    def way_back(self) -> WayBack:
        """From collection to recycling."""
        return WayBack(self.line, self.stages)

    @cached_property
    def turns(self) -> tuple[int, ...]:
        """Ticks at which something fails or recovers, ascending."""
        parts = [part for d in self.disruptions.values() for part in (d.start, d.end)]
        return tuple(np.unique(np.concatenate(parts)).tolist())

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
    distance = np.array([edge.distance_km for s in scenarios for edge in s.edges])
    recipe = np.stack([recipe_of(s) for s in scenarios])
    nominal = nominal_loads(topology, capacity, demand, ratio[scenario])
    of_kind = tuple(np.flatnonzero(topology.kind == kind) for kind in KIND.values())
    stages = build_stages(topology, of_kind, capacity)
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
        nominal=nominal,
        ratio=ratio,
        recipe=recipe,
        price_per_kg=np.array([price_of(s) for s in scenarios]),
        distance=distance,
        stages=stages,
        of_kind=of_kind,
        inflow=SegmentSum(target, len(capacity)),
        outflow=SegmentSum(source, len(capacity)),
        law=build_law(scenarios, ticks),
        disruptions=build_disruptions(scenarios, first_node),
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
