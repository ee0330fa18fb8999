"""The vectorised simulator: a batch of scenarios from the first tick to the last."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from scenarios.world.arrays import build_world
from scenarios.world.products import MATERIALS, MaterialState
from scenarios.world.returns import sample_items
from scenarios.world.state import MASS, initial_state
from scenarios.world.step import step

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from scenarios.world.arrays import World
    from scenarios.world.graph import Floats, Integers
    from scenarios.world.returns import Items
    from scenarios.world.schema import Scenario
    from scenarios.world.state import Flows, State
    from scenarios.world.view import Controller


@dataclass(frozen=True, eq=False)
class Run:
    """What happened.

    Args:
        world: the batch.
        items: its returns.
        state: at the end.
        delivered: kg of products that reached use, by tick and scenario, [t, b].
        wanted: kg of products demanded, [t, b].
        overdue: kg of products demanded and not delivered yet, [t, b].
        energy_mj: [t, b].
        carbon_kg: kg CO2e, [t, b].
        money_usd: by MONEY, [t, b, 6].
        virgin_kg: [t, b].
        made_kg: new products, [t, b].
        disposed_kg: [t, b].
        violations: wishes that the law forbade, [t, b].
        constrained: decisions that some law was about, [t, b].
        edge_kg: mass over every edge in the whole run, [e].
        node_extracted_kg: [n].
        node_disposed_kg: [n].
        throughput_kg: processed by every node, [n].
        decided: items, in the order of decisions, int64 [d].
        executed: disposition of each decision, int64 [d].
        decided_quality: quality of the item when it was decided on, [d].
    """

    world: World
    items: Items
    state: State
    delivered: Floats
    wanted: Floats
    overdue: Floats
    energy_mj: Floats
    carbon_kg: Floats
    money_usd: Floats
    virgin_kg: Floats
    made_kg: Floats
    disposed_kg: Floats
    violations: Floats
    constrained: Floats
    edge_kg: Floats
    node_extracted_kg: Floats
    node_disposed_kg: Floats
    throughput_kg: Floats
    decided: Integers
    executed: Integers
    decided_quality: Floats


_BY_TICK = (
    "delivered",
    "wanted",
    "overdue",
    "energy_mj",
    "carbon_kg",
    "money_usd",
    "virgin_kg",
    "made_kg",
    "disposed_kg",
    "violations",
    "constrained",
)


def simulate(
    scenarios: Sequence[Scenario],
    controller: Controller,
    *,
    watch: Callable[[Flows, State], None] | None = None,
) -> Run:
    """Run scenarios side by side; each goes as it would alone.

    Args:
        scenarios: of equal length.
        controller: decides for all of them.
        watch: called with the flows and the state after every tick.

    Raises:
        ScenarioError: scenarios of different lengths, or a controller's answer out of range.
        MassBalanceError: the mass of a node does not close.
    """
    world = build_world(scenarios)
    return run_world(world, sample_items(world), controller, watch=watch)


def run_world(
    world: World,
    items: Items,
    controller: Controller,
    *,
    watch: Callable[[Flows, State], None] | None = None,
    stop: Callable[[Flows, State], bool] | None = None,
) -> Run:
    """As `simulate`, of a batch that is built already.

    Args:
        world: the batch.
        items: its returns.
        controller: decides for all of them.
        watch: called with the flows and the state after every tick.
        stop: called likewise; the run ends after the tick for which it says true.
    """
    state = initial_state(world, items)
    controller.reset(world, items)
    recorder = Recorder(world, items)
    for _ in range(world.ticks):
        flows = step(world, items, state, controller)
        recorder.add(flows)
        if watch is not None:
            watch(flows, state)
        if stop is not None and stop(flows, state):
            break
    return recorder.run(state)


class Recorder:
    """Collects the flows of ticks into a `Run`.

    Args:
        world: the batch.
        items: its returns.
    """

    def __init__(self, world: World, items: Items) -> None:
        self._world, self._items = world, items
        self._series: dict[str, list[Floats]] = {name: [] for name in _BY_TICK}
        hauls = world.hauls
        sizes = (hauls.direct.stop, len(hauls.carried), world.nodes, world.nodes)
        self._sums = tuple(np.zeros(size) for size in sizes)
        self._returned = np.zeros(hauls.returning.stop - hauls.returning.start)
        self._decided: list[tuple[Integers, Integers, Floats]] = []

    def add(self, flows: Flows) -> None:
        """Remember a tick."""
        for name in _BY_TICK:
            self._series[name].append(getattr(flows, name))
        np.add.at(self._returned, flows.loaded.door, flows.returned_kg)
        tick = (flows.direct_kg, flows.gate_kg, flows.thrown_kg, flows.processed)
        for total, part in zip(self._sums, tick, strict=True):
            np.add(total, part, out=total)
        self._decided.append((flows.items, flows.executed, flows.quality))

    def run(self, state: State) -> Run:
        """What happened up to now; at least one tick must have been added."""
        direct, gates, thrown, processed = (total.copy() for total in self._sums)
        world, hauls = self._world, self._world.hauls
        edge_kg, extracted = np.empty(world.edges), np.zeros(world.nodes)
        edge_kg[hauls.edge] = np.concatenate(
            [direct, self._returned, gates[hauls.gate] * hauls.share]
        )
        # What a mine processes is what enters the world there.
        extracted[world.mines.nodes] = processed[world.mines.span]
        decided, executed, quality = zip(*self._decided, strict=True)
        return Run(
            world=world,
            items=self._items,
            state=state,
            **{name: np.stack(values) for name, values in self._series.items()},
            edge_kg=edge_kg,
            node_extracted_kg=extracted,
            node_disposed_kg=world.line.by_node(thrown),
            throughput_kg=world.line.by_node(processed),
            decided=np.concatenate(decided),
            executed=np.concatenate(executed),
            decided_quality=np.concatenate(quality),
        )


def item_history(run: Run, item: int) -> list[tuple[int, str]]:
    """Life of an item: (tick, state), from its first return on."""
    return [
        (tick, MaterialState(int(states[place])).name.lower())
        for tick, members, states in run.state.history
        for place in np.flatnonzero(members == item).tolist()
    ]


class Trace:
    """Collects flows and stocks of a run, so that anyone can sum its ledger.

    stock[t + 1] = stock[t] + arrivals[t] over edges into the node + extracted[t]
                 - departures[t] over edges out of it - disposed[t]
    """

    def __init__(self) -> None:
        self._ticks: list[tuple[Floats, Floats, Floats, Floats, Floats]] = []

    def __call__(self, flows: Flows, state: State) -> None:
        """Remember a tick; pass the trace as `watch`."""
        stock = state.stock[:, MASS].copy()
        self._ticks.append((flows.arrived, flows.sent, flows.extracted, flows.disposed, stock))

    def write(self, path: Path, run: Run) -> None:
        """Write the trace of a run as .npz.

        Arrays: `stock` [t + 1, n, m], `arrivals` and `departures` [t, e, m], `extracted` and
        `disposed` [t, n, m], all kg; `source` and `target` [e]; `nodes`, `materials`, names.
        """
        arrived, sent, extracted, disposed, stock = zip(*self._ticks, strict=True)
        first = initial_state(run.world, run.items).stock[:, MASS]
        world = run.world
        arrays: dict[str, Any] = {
            "stock": np.stack([first, *stock]),
            "arrivals": np.stack(arrived),
            "departures": np.stack(sent),
            "extracted": np.stack(extracted),
            "disposed": np.stack(disposed),
            "source": world.topology.source,
            "target": world.topology.target,
            "nodes": np.array([node.id for s in world.scenarios for node in s.nodes]),
            "materials": np.array(MATERIALS),
        }
        partial = path.with_name(path.name + ".partial")
        try:
            with partial.open("wb") as stream:
                np.savez_compressed(stream, **arrays)
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)
