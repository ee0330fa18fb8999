"""Circular supply chains: generation, stepping, cycling index and memory, each on one core.

Stepping is measured on chains of phones, of which hundreds come back in every tick, and on the
products that the generator mixes, of which a few do: the vectorised simulator's time goes with
ticks and nodes, the discrete-event simulator's with items. So many scenarios step together that a
call of NumPy is worth its overhead: few of phones, whose items fill the memory, and more of mixes.
"""

from __future__ import annotations

import time
import tracemalloc
from typing import TYPE_CHECKING

import numpy as np

from hil_tests.result import Measure
from scenarios.world.arrays import build_world
from scenarios.world.controllers import Rule
from scenarios.world.cycling import finn_cycling_index
from scenarios.world.events import simulate_events
from scenarios.world.generate import make_scenario, make_scenarios
from scenarios.world.graph import draw_topology
from scenarios.world.returns import sample_items
from scenarios.world.schema import ProductShare
from scenarios.world.simulate import run_world
from scenarios.world.state import initial_state
from scenarios.world.step import step

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from scenarios.world.schema import Scenario

TICKS, COMPARED, REPEATS = 240, 3, 5
PHONE_BATCH, MIXED_BATCH = 32, 2048
SOURCE = "python -m benchmarks supply_chains; processor time of one process"


def main() -> Sequence[Measure]:
    """Figures against their limits; a limit on a rate is one on its inverse."""
    return [
        _measure("1000 scenarios of 50 nodes, generated and checked", _generate(), "s", 5.0),
        *_stepping("phones", phones, PHONE_BATCH),
        *_stepping("generated products", lambda made: made, MIXED_BATCH),
        _measure("Finn cycling index of 200 nodes", _finn(), "s", 0.05),
        _measure("memory per node and edge, 10000 nodes next to 2000", _memory(), "", 1.2),
    ]


def phones(made: Scenario) -> Scenario:
    """The same chain, which makes and takes back nothing but mobile phones."""
    returns = made.returns.model_copy(
        update={"products": (ProductShare(unu_key="0306", share=1.0),)}
    )
    return made.model_copy(update={"returns": returns})


def _generate() -> float:
    begin = time.process_time()
    for _ in make_scenarios(1000, seed=7, nodes=50):
        pass
    return time.process_time() - begin


def _stepping(
    name: str, change: Callable[[Scenario], Scenario], batch: int
) -> tuple[Measure, Measure]:
    """Time per decision, and the share of the time that the discrete-event simulator takes."""
    worlds = [change(made) for made in make_scenarios(batch, seed=7, nodes=50, ticks=TICKS)]
    world = build_world(worlds)
    items = sample_items(world)
    decided = len(run_world(world, items, Rule()).decided)

    def events() -> None:
        for made in worlds[:COMPARED]:
            simulate_events(made, Rule())

    together, alone = _least(lambda: run_world(world, items, Rule()), events)
    alone /= COMPARED
    per_decision = together / decided
    share = together / batch / alone
    return (
        _measure(f"item decision, {name}", per_decision, "s", 1 / 500_000),
        _measure(f"time next to discrete events, {name}", share, "", 1 / 50),
    )


def _least(first: Callable[[], object], second: Callable[[], object]) -> tuple[float, float]:
    """Least processor time of each, taken in turns: what else runs on a machine only adds."""
    least = [np.inf, np.inf]
    for _ in range(REPEATS):
        for number, call in enumerate((first, second)):
            begin = time.process_time()
            call()
            least[number] = min(least[number], time.process_time() - begin)
    return least[0], least[1]


def _finn() -> float:
    random = np.random.default_rng(7)
    graph = draw_topology(random, 200)
    flows = random.uniform(0.1, 5.0, len(graph.source))
    through = np.bincount(graph.target, flows, 200), np.bincount(graph.source, flows, 200)
    # What a node gets less of it takes from outside, and what it gets too much of it disposes of.
    extracted = np.maximum(0.0, through[1] - through[0])
    disposed = np.maximum(0.0, through[0] - through[1])
    times = []
    for _ in range(20):
        begin = time.process_time()
        finn_cycling_index(graph.source, graph.target, flows, extracted, disposed)
        times.append(time.process_time() - begin)
    return min(times)


def _memory() -> float:
    """Peak bytes per node and edge of building a world and one step of it, large next to small."""
    held = []
    for nodes in (2_000, 10_000):
        made = make_scenario(1, nodes=nodes, ticks=2)
        tracemalloc.start()
        world = build_world([made])
        items = sample_items(world)
        step(world, items, initial_state(world, items), Rule())
        held.append(tracemalloc.get_traced_memory()[1] / (world.nodes + world.edges))
        tracemalloc.stop()
    return held[1] / held[0]


def _measure(name: str, value: float, unit: str, limit: float) -> Measure:
    return Measure(name, value, unit, "measured", SOURCE, limit=limit)
