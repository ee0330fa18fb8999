"""Plans from the simulator: what copies of one scenario did in periods under leaning control."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edge_runtime.planner.network import Plans
from scenarios.world.arrays import build_world
from scenarios.world.returns import sample_items
from scenarios.world.state import MASS, QUALITY, initial_state
from scenarios.world.step import step
from train.planner.leaning import LeaningController, draw_lean, lean_world
from train.planner.scenario_network import PERIOD_TICKS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from edge_runtime.planner.network import Network
    from scenarios.world.arrays import World
    from scenarios.world.schema import Scenario
    from scenarios.world.state import State

    Floats = NDArray[np.float64]

COPIES = 256  # side by side: beyond that nothing is gained by more
WARM_UP_TICKS = 48
LEDGER_TOLERANCE = 1e-9  # of the largest stock
PERIODS = 4  # of each copy, each under weights of its own


def simulate_plans(
    scenario: Scenario,
    network: Network,
    count: int,
    seed: int,
    *,
    period_ticks: int = PERIOD_TICKS,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[Plans, Floats]:
    """At least `count` plans of a scenario's network and the weights they were made under.

    Args:
        scenario: without its law and misfortunes; every copy has returns of its own.
        network: of this scenario and period.
        count: how many, >= 1.
        seed: of weights, noise and returns, >= 0.
        period_ticks: length of a period.
        progress: called with (plans made, plans in all).

    Returns:
        The plans, and weights of cost and CO2, float64 [n, 2] in 0..1.
    """
    random = np.random.default_rng(np.random.SeedSequence([seed, scenario.seed]))
    plans, weights = [], []
    made = 0
    copies = min(COPIES, -(-count // PERIODS))
    while made < count:
        batch = _copies(scenario, copies, random, WARM_UP_TICKS + PERIODS * period_ticks)
        for chunk, drawn in _run(batch, network, random, period_ticks):
            plans.append(chunk)
            weights.append(drawn)
            made += copies
            if progress is not None:
                progress(min(made, count), count)
    joined = [np.concatenate([getattr(p, name) for p in plans]) for name in vars(plans[0])]
    return Plans(*joined), np.concatenate(weights)


def _copies(scenario: Scenario, count: int, random: np.random.Generator, ticks: int) -> World:
    seeds = random.integers(2**53, size=count)
    bare = {"policies": (), "disruptions": (), "ticks": ticks}
    return build_world([scenario.model_copy(update=bare | {"seed": int(s)}) for s in seeds])


def _run(
    world: World, network: Network, random: np.random.Generator, period_ticks: int
) -> Iterator[tuple[Plans, Floats]]:
    """Periods of all copies after the warm-up, each with the weights it was run under."""
    items = sample_items(world)
    state = initial_state(world, items)
    for period in range(1 + PERIODS):
        weights = random.random((len(world.scenarios), 2))
        lean = draw_lean(random, world, network, weights)
        ledger = _Ledger(world, state)
        controller = LeaningController(lean, random)
        leaning = lean_world(world, lean)
        for _ in range(period_ticks if period else WARM_UP_TICKS):
            flows = step(leaning, items, state, controller)
            ledger.sent += state.transit
            ledger.exchange += flows.extracted.sum(axis=1) - flows.disposed.sum(axis=1)
        if period:
            yield ledger.plans(state, network, lean.status), weights


class _Ledger:
    """Sums of a period."""

    def __init__(self, world: World, state: State) -> None:
        self._world = world
        self._held = self._holds(state)
        self.sent = np.zeros_like(state.transit)
        self.exchange = np.zeros(world.nodes)

    def _holds(self, state: State) -> Floats:
        """Kg at every node and on the way to it, [n]: what is on a haul has reached the plan."""
        stock = state.stock[:, MASS].sum(axis=1)
        held: Floats = stock + self._world.inflow(state.transit[:, MASS].sum(axis=1))
        return held

    def plans(self, state: State, network: Network, status: Floats) -> Plans:
        """What was done since the ledger was opened."""
        nodes = len(network.nodes)
        sent = self.sent[:, MASS].sum(axis=1)
        gone = self._world.outflow(sent)
        held = state.stock[:, MASS].sum(axis=1)
        good = self._world.outflow(self.sent[:, QUALITY]) + state.stock[:, QUALITY]
        mass = gone + held
        quality = np.where(mass > 1e-9, good / np.where(mass > 1e-9, mass, 1.0), 0.0)
        flows = sent.reshape(-1, len(network.sources))
        exchange = self.exchange.reshape(-1, nodes)
        storage = (self._holds(state) - self._held).reshape(-1, nodes)
        # A small difference of large stocks has lost digits; the flows have not.
        exact = flows @ network.incidence.T + exchange
        if np.abs(exact - storage).max() > LEDGER_TOLERANCE * max(1.0, float(held.max())):
            raise AssertionError("a period's flows do not add up to the change of its stocks")
        return Plans(
            flows=flows,
            storage=exact,
            exchange=exchange,
            quality=quality.reshape(-1, nodes),
            status=status,
        )
