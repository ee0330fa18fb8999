"""Random material networks and candidates for their plans."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from hypothesis import strategies as st

from edge_runtime.planner.network import Network, Plans

if TYPE_CHECKING:
    pass


def random_network(
    seed: int, nodes: int = 20, edges: int = 50, *, fixed: int = 4, scale: float = 1.0
) -> Network:
    """A feasible network: the plan without any flow is one of its plans.

    Args:
        seed: of everything.
        nodes: at least 2 where there are edges.
        edges: parallel ones may occur.
        fixed: nodes that can store nothing.
        scale: of all masses.
    """
    random = np.random.default_rng(seed)
    sources = random.integers(0, nodes, edges)
    targets = (sources + random.integers(1, max(nodes, 2), edges)) % nodes
    flow_max = random.uniform(20, 100, edges) * scale
    into = np.bincount(targets, weights=flow_max, minlength=nodes)
    storage = random.uniform(5, 20, (2, nodes)) * scale
    storage[:, :fixed] = 0.0
    crosses = random.random((2, nodes)) < 0.3
    efficiency = random.uniform(0.5, 1.0, nodes)
    energy_per_kg = random.uniform(0.0, 3.0, nodes)
    allowed = into * random.uniform(0.4, 1.2, nodes)
    return Network(
        nodes=tuple(f"n{i}" for i in range(nodes)),
        sources=sources,
        targets=targets,
        flow_max=flow_max,
        storage_min=-storage[0],
        storage_max=storage[1],
        exchange_min=np.where(crosses[0], -100.0 * scale, 0.0),
        exchange_max=np.where(crosses[1], 100.0 * scale, 0.0),
        energy_per_kg=energy_per_kg,
        energy_efficiency=efficiency,
        energy_max=allowed * energy_per_kg / efficiency,
        quality_previous=random.uniform(0.3, 1.0, nodes),
        quality_loss=random.uniform(0.0, 0.2, nodes),
        cost_per_kg=random.uniform(0.0, 1.0, edges),
        co2_per_kg=random.uniform(0.0, 1.0, edges),
        exchange_cost_per_kg=random.uniform(0.0, 1.0, nodes),
        exchange_co2_per_kg=random.uniform(0.0, 1.0, nodes),
    )


def random_candidates(
    network: Network, count: int, seed: int, *, noise: float = 1.0, off: float = 0.1
) -> Plans:
    """Plans that keep nothing.

    Args:
        network: what they are for.
        count: how many.
        seed: of everything.
        noise: how far off they are.
        off: share of nodes that are off.
    """
    random = np.random.default_rng(seed)
    nodes, edges = len(network.nodes), len(network.sources)
    size = network.capacity * noise
    return Plans(
        flows=random.uniform(-0.2, 1.0, (count, edges)) * size,
        storage=random.normal(0.0, 0.2, (count, nodes)) * size,
        exchange=random.normal(0.0, 0.5, (count, nodes)) * size,
        quality=random.normal(0.5, 0.5, (count, nodes)),
        status=(random.random((count, nodes)) > off).astype(np.float64),
    )


def two_nodes(**changes: Any) -> Network:
    """A source that gives up to 10 kg and a sink that takes them, joined by one edge."""
    network = Network(
        nodes=("mine", "plant"),
        sources=np.array([0]),
        targets=np.array([1]),
        flow_max=np.array([8.0]),
        storage_min=np.zeros(2),
        storage_max=np.zeros(2),
        exchange_min=np.array([0.0, -10.0]),
        exchange_max=np.array([10.0, 0.0]),
        energy_per_kg=np.zeros(2),
        energy_efficiency=np.ones(2),
        energy_max=np.zeros(2),
        quality_previous=np.ones(2),
        quality_loss=np.zeros(2),
        cost_per_kg=np.ones(1),
        co2_per_kg=np.ones(1),
        exchange_cost_per_kg=np.zeros(2),
        exchange_co2_per_kg=np.zeros(2),
    )
    return replace(network, **changes)


@st.composite
def networks(draw: st.DrawFn) -> Network:
    """Any network: empty, one node, disconnected, degenerate boxes, no capacity, huge."""
    nodes = draw(st.integers(0, 8))
    edges = draw(st.integers(0, 14)) if nodes >= 2 else 0
    seed = draw(st.integers(0, 2**32 - 1))
    scale = draw(st.sampled_from([1e-6, 1.0, 1e9]))
    network = random_network(seed, nodes, edges, fixed=draw(st.integers(0, nodes)), scale=scale)
    random = np.random.default_rng(seed)
    dead = random.random(edges) < draw(st.sampled_from([0.0, 0.3, 1.0]))
    shift = random.uniform(-1, 1, nodes) * draw(st.sampled_from([0.0, 30.0])) * scale
    return replace(
        network,
        flow_max=np.where(dead, 0.0, network.flow_max),
        # Both shifted alike: what must be stored must be fetched, so a plan exists.
        storage_min=network.storage_min + shift,
        storage_max=network.storage_max + shift,
        exchange_min=network.exchange_min + shift,
        exchange_max=network.exchange_max + shift,
    )
