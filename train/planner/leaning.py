"""A random controller that leans on cost and CO2 as far as its weights say: it makes the data.

Every copy of one scenario has weights of its own. They bend which factories and mines run, which
processes are off, where hauls go and what becomes of returned items; noise bends them too.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from scenarios.world.graph import KIND
from scenarios.world.products import MASS_KG
from scenarios.world.schema import STAGES
from scenarios.world.values import LANDFILL_USD_PER_KG, handling_usd
from scenarios.world.view import Action

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edge_runtime.planner.network import Network
    from scenarios.world.arrays import World
    from scenarios.world.returns import Items
    from scenarios.world.view import View

    Floats = NDArray[np.float64]

COVER_TICKS = 24.0
# How strongly weights of one bend a share, a capacity and a choice, in units of their spread.
ROUTE_LEAN, ACTIVITY_LEAN, CHOICE_LEAN = 1.2, 0.6, 2.5
# Factories and mines run at most so many times their nominal load; a weight takes off a share.
HEADROOM = 1.4
SLOWDOWN = np.array([0.28, 0.70])  # by cost, by CO2
ROUTE_NOISE, ACTIVITY_NOISE, COVER_NOISE = 0.4, 0.15, 0.2
OFF_PROBABILITY, OFF_PROBABILITY_BY_LEAN = 0.03, 0.25
# Processes that may be off: a network without collection takes nothing back.
MAY_STOP = ("extraction", "manufacturing", "disassembly", "remanufacturing", "recycling")
PUSHED = tuple(
    number for number, stage in enumerate(STAGES) if stage[0] not in ("extraction", "manufacturing")
)


@dataclass(frozen=True, eq=False)
class Lean:
    """What the weights of B copies of one scenario make of a period.

    Args:
        weights: of cost and CO2, [B, 2].
        status: which nodes are on, 0 or 1, [B, N].
        share: of what a node sends over each edge of a stage, [B, E].
        activity: share of its capacity that each node may use, [B, N].
        cover_ticks: for how long a factory holds material, [B, N].
    """

    weights: Floats
    status: Floats
    share: Floats
    activity: Floats
    cover_ticks: Floats


def draw_lean(random: np.random.Generator, world: World, network: Network, weights: Floats) -> Lean:
    """Draw what B copies do in a period under their weights, [B, 2]."""
    copies, nodes = len(weights), len(network.nodes)
    kind, stage = world.topology.kind[:nodes], world.topology.stage[: len(network.sources)]
    prices = np.stack([world.energy[:nodes], world.carbon[:nodes]])
    by_node = weights @ _scores(prices, kind)
    edge_prices = np.stack([network.cost_per_kg, network.co2_per_kg])
    # Within a stage and a source: what a sender can choose between.
    group = stage * nodes + network.sources
    by_edge = weights @ _scores(edge_prices, group)
    status = _draw_status(random, network, kind, by_node)
    bent = np.exp(-ROUTE_LEAN * by_edge + ROUTE_NOISE * random.standard_normal(by_edge.shape))
    share = world.capacity[:nodes][network.targets] * bent * status[:, network.targets]
    total = np.zeros((copies, int(group.max()) + 1))
    for edge, owner in enumerate(group.tolist()):
        total[:, owner] += share[:, edge]
    share = share / np.maximum(total[:, group], 1e-300)
    makes = np.isin(kind, [KIND["extraction"], KIND["manufacturing"]])
    noise = ACTIVITY_NOISE * np.abs(random.standard_normal((copies, nodes)))
    slow = HEADROOM * (1.0 - weights @ SLOWDOWN)[:, None]
    load = (world.nominal / world.capacity)[:nodes]
    lean = np.minimum(1.0, load * slow * np.exp(-ACTIVITY_LEAN * by_node - noise))
    activity = np.where(makes, lean, 1.0) * status
    cover = COVER_TICKS * np.exp(COVER_NOISE * random.standard_normal((copies, nodes)))
    return Lean(weights, status, share, activity, cover * status)


def _scores(prices: Floats, group: NDArray[np.int64]) -> Floats:
    """Prices [2, k] as distances from the mean of their group, in its standard deviations."""
    scores = np.zeros_like(prices)
    for one in np.unique(group):
        mine = prices[:, group == one]
        spread = np.maximum(mine.std(axis=1, keepdims=True), 1e-9)
        scores[:, group == one] = (mine - mine.mean(axis=1, keepdims=True)) / spread
    return scores


def _draw_status(
    random: np.random.Generator, network: Network, kind: NDArray[np.int64], lean: Floats
) -> Floats:
    """Which nodes are on, [B, N]; one is off only where all that send to it have another way."""
    status = np.ones(lean.shape)
    probability = OFF_PROBABILITY + OFF_PROBABILITY_BY_LEAN * np.maximum(lean, 0.0)
    wanted = random.random(lean.shape) < probability
    for node in np.flatnonzero(np.isin(kind, [KIND[name] for name in MAY_STOP])).tolist():
        alike = (kind == kind[node]) & (np.arange(len(kind)) != node)
        possible = status[:, alike].sum(axis=1) > 0
        for sender in np.unique(network.sources[network.targets == node]).tolist():
            ways = network.targets[network.sources == sender]
            others = ways[(kind[ways] == kind[node]) & (ways != node)]
            possible &= status[:, others].sum(axis=1) > 0
        for taker in np.unique(network.targets[network.sources == node]).tolist():
            ways = network.sources[network.targets == taker]
            others = ways[(kind[ways] == kind[node]) & (ways != node)]
            possible &= status[:, others].sum(axis=1) > 0
        status[wanted[:, node] & possible, node] = 0.0
    return status


def lean_world(world: World, lean: Lean) -> World:
    """The world with the hauls of a period: what is sent on is split as the lean says."""
    flat = lean.share.ravel()
    stages = tuple(
        replace(stage, share=flat[stage.edges]) if number in PUSHED else stage
        for number, stage in enumerate(world.stages)
    )
    return replace(world, stages=stages)


class LeaningController:
    """Runs a period of all copies as their lean says; dispositions lean with noise.

    Args:
        lean: of the period.
        random: of the noise of every choice.
    """

    name = "leaning"

    def __init__(self, lean: Lean, random: np.random.Generator) -> None:
        self._lean = lean
        self._random = random

    def reset(self, world: World, items: Items) -> None:
        """Nothing to remember."""

    def decide(self, view: View) -> Action:
        """The disposition of the largest leaning value plus a Gumbel deviate."""
        cost, carbon = _choice_scores(view)
        weights = self._lean.weights[view.scenario]
        value = -CHOICE_LEAN * (weights[:, :1] * cost + weights[:, 1:] * carbon)
        noise = self._random.gumbel(size=value.shape)
        dispositions = (value + noise).argmax(axis=1).astype(np.int64)
        return Action(dispositions, self._lean.activity.ravel(), self._lean.cover_ticks.ravel())


def _choice_scores(view: View) -> tuple[Floats, Floats]:
    """Cost and CO2 of each disposition of each item, in the spread of the four, [k, 4] each."""
    mass = MASS_KG[view.product][:, None]
    cost = handling_usd(view.product, view.quality) / mass
    cost[:, 3] += LANDFILL_USD_PER_KG
    # A product that goes back into use spares a new one; material spares a mine.
    carbon = np.array([[-1.0, -0.8, -0.2, 0.5]]).repeat(len(mass), axis=0)
    spread = np.maximum(cost.std(axis=1, keepdims=True), 1e-9)
    return (cost - cost.mean(axis=1, keepdims=True)) / spread, carbon
