"""Material graphs: a template of stages with random multiplicity, and what flows in it nominally.

Shares, capacities, energies, emissions and distances are those of the project's benchmark; the
distances of forward hauls, which it does not give, are U(50, 500) km.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from scenarios.world.schema import KINDS, STAGES

if TYPE_CHECKING:
    pass

Floats = np.ndarray[tuple[int, ...], np.dtype[np.float64]]
Integers = np.ndarray[tuple[int, ...], np.dtype[np.int64]]

KIND_SHARES = np.array([0.05, 0.20, 0.30, 0.15, 0.10, 0.15, 0.05])
KIND = {name: number for number, name in enumerate(KINDS)}
STAGE = tuple((KIND[source], KIND[target]) for source, target in STAGES)
REVERSE = {("use", "collection"), ("collection", "disassembly")}
FORWARD = {("extraction", "manufacturing"), ("manufacturing", "use")}
DISTANCE_KM = np.array(
    [(50, 500) if s in FORWARD else (10, 100) if s in REVERSE else (5, 50) for s in STAGES],
    np.float64,
)
MOST_TARGETS = 3

# What a plain checklist does with returned mass: only to size demand and stocks.
NOMINAL_SHARES = {"reuse": 0.15, "remanufacture": 0.25, "recycle": 0.40, "dispose": 0.20}
MANUFACTURING_YIELD = 0.97
DISASSEMBLY_YIELD = 0.95
REMANUFACTURING_YIELD = 0.96
# Per material, in the order of MATERIALS: what a shredder and smelter recover.
RECYCLING_YIELD = np.array([0.90, 0.93, 0.92, 0.60, 0.55])


@dataclass(frozen=True, eq=False)
class Topology:
    """Nodes and edges without figures.

    Args:
        kind: of every node, ascending, int64 [n].
        source: of every edge, by stage and then by node, int64 [e].
        target: of every edge.
        stage: of every edge, an index into STAGES.
    """

    kind: Integers
    source: Integers
    target: Integers
    stage: Integers


def node_counts(nodes: int) -> Integers:
    """How many nodes of each kind: the shares by largest remainder, at least one each.

    >>> node_counts(50).tolist()
    [3, 10, 15, 8, 5, 7, 2]
    """
    exact = KIND_SHARES * nodes
    counts: Integers = np.maximum(1, np.floor(exact).astype(np.int64))
    # Stable, so that equal remainders go to the earlier kind on every machine.
    by_remainder = np.argsort(np.floor(exact) - np.round(exact, 9), kind="stable")
    for kind in np.resize(by_remainder, max(0, nodes - int(counts.sum()))):
        counts[kind] += 1
    while counts.sum() > nodes:
        counts[int(counts.argmax())] -= 1
    return counts


def draw_topology(random: np.random.Generator, nodes: int) -> Topology:
    """A random graph of the template.

    Every node sends to 1..3 nodes of each kind that its stage leads to, and receives from at least
    one node of each kind that leads to its own; so there is no isolated node, and every node of
    the loop lies on a path from use to use.
    """
    counts = node_counts(nodes)
    kind = np.repeat(np.arange(len(KINDS)), counts)
    first = np.concatenate([[0], np.cumsum(counts)])
    sources, targets, stages = [], [], []
    for stage, (source_kind, target_kind) in enumerate(STAGE):
        source, target = _draw_stage(random, int(counts[source_kind]), int(counts[target_kind]))
        sources.append(source + first[source_kind])
        targets.append(target + first[target_kind])
        stages.append(np.full(len(source), stage))
    return Topology(kind, *map(np.concatenate, (sources, targets, stages)))


def _draw_stage(
    random: np.random.Generator, sources: int, targets: int
) -> tuple[Integers, Integers]:
    """Edges of one stage, each pair once, ordered by source and then by target."""
    wanted = random.integers(1, MOST_TARGETS, size=sources, endpoint=True)
    drawn = random.integers(0, targets, size=(sources, MOST_TARGETS))
    pairs = (np.arange(sources)[:, None] * targets + drawn)[
        np.arange(MOST_TARGETS)[None, :] < wanted[:, None]
    ]
    without = np.ones(targets, bool)
    without[pairs % targets] = False
    lonely = np.flatnonzero(without)
    extra = random.integers(0, sources, size=len(lonely)) * targets + lonely
    every = np.sort(np.concatenate([pairs, extra]))
    unique = every[np.concatenate([[True], every[1:] != every[:-1]])]
    return unique // targets, unique % targets


def sum_by(segment: Integers, values: Floats, segments: int) -> Floats:
    """Sums of values by the segment that each belongs to, [segments]."""
    total = np.zeros(segments)
    np.add.at(total, segment, values)  # half the time of `bincount`
    return total


def split(group: Integers, weight: Floats, groups: int) -> tuple[Floats, Floats]:
    """Weights, none negative, as shares of the sum of their group; and these sums, [groups].

    Shares of nothing are zero.
    """
    total = sum_by(group, weight, groups)
    return weight / np.where(total > 0, total, 1.0).take(group), total


def shares(group: Integers, weight: Floats) -> Floats:
    """Each weight as a share of the sum of its group; equal ones where all of them are zero.

    >>> shares(np.array([1, 0, 1, 0]), np.array([3.0, 0.0, 1.0, 0.0])).tolist()
    [0.75, 0.5, 0.25, 0.5]
    """
    count = np.bincount(group)
    share, total = split(group, weight, len(count))
    share += ((total == 0.0) / np.maximum(count, 1)).take(group)
    return share


def nominal_loads(
    topology: Topology, capacity: Floats, demand: Floats, ratio: Floats | float
) -> Floats:
    """Mass per tick that each node handles when all demand is met, float64 [n], kg.

    Args: as of `nominal_flow`.
    """
    return nominal_flow(topology, capacity, demand, ratio)[0]


def nominal_flow(
    topology: Topology, capacity: Floats, demand: Floats, ratio: Floats | float
) -> tuple[Floats, Floats]:
    """What a plain checklist sends where when all demand is met.

    Args:
        topology: the graph, or many side by side.
        capacity: of every node, kg per tick; flows split in its proportion.
        demand: of every node, kg per tick.
        ratio: returned mass per demand.

    Returns:
        Mass per tick that each node handles, and that each edge carries, float64 [n] and [e], kg.
    """
    nodes = len(topology.kind)
    inflow, flow = np.zeros(nodes), np.zeros(len(topology.source))
    returned = ratio * demand
    recovered = 1.0 - NOMINAL_SHARES["dispose"]
    reused, remade, recycled = (
        NOMINAL_SHARES[name] / recovered for name in ("reuse", "remanufacture", "recycle")
    )
    dismantled = DISASSEMBLY_YIELD / (remade + recycled)
    recycling_yield = float(RECYCLING_YIELD.mean())

    def push(stage: tuple[str, str], amount: Floats) -> None:
        """Send each source's amount over a stage, in proportion to the targets' capacity."""
        edges = np.flatnonzero(topology.stage == STAGES.index(stage))
        source, target = topology.source[edges], topology.target[edges]
        share = shares(source, capacity[target])
        flow[edges] = amount[source] * share
        np.add.at(inflow, target, flow[edges])

    push(("use", "collection"), returned * recovered)
    collected = inflow.copy()
    push(("collection", "use"), collected * reused)
    push(("collection", "disassembly"), collected * (1.0 - reused))
    taken = inflow.copy()
    push(("disassembly", "remanufacturing"), taken * remade * dismantled)
    push(("disassembly", "recycling"), taken * recycled * dismantled)
    made = inflow.copy()
    push(("remanufacturing", "use"), made * REMANUFACTURING_YIELD)
    push(("recycling", "manufacturing"), made * recycling_yield)
    return _pulled(topology, capacity, demand, inflow, flow), flow


def _pulled(
    topology: Topology, capacity: Floats, demand: Floats, pushed: Floats, flow: Floats
) -> Floats:
    """Add what use nodes pull from manufacturing, and manufacturing from extraction."""
    nodes = len(topology.kind)
    load = pushed.copy()
    missing = np.maximum(0.0, demand - pushed)
    is_use = topology.kind == KIND["use"]
    load[is_use] = np.maximum(demand, pushed)[is_use]
    secondary = pushed.copy()
    for stage, gain in (
        (("manufacturing", "use"), MANUFACTURING_YIELD),
        (("extraction", "manufacturing"), 1.0),
    ):
        edges = np.flatnonzero(topology.stage == STAGES.index(stage))
        source, target = topology.source[edges], topology.target[edges]
        share = shares(target, capacity[source])
        flow[edges] = missing[target] * share
        made = np.bincount(source, flow[edges] / gain, nodes)
        sources = topology.kind == KIND[stage[0]]
        load[sources] = np.maximum(made, pushed)[sources]
        missing = np.where(sources, np.maximum(0.0, made - secondary), 0.0)
    return load
