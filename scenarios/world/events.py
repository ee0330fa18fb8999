"""The discrete-event simulator: the same world, one item and one event at a time.

The vectorised simulator mixes what waits at a node and works in ticks. Here every returned item
waits in a queue of its own, is served alone for mass / capacity ticks, and goes to one place.
Decisions, production and orders are made at the beginning of a tick in both. One difference is
left out on purpose: a carbon cap slows factories and mines here, not the way back.
"""

from __future__ import annotations

import heapq
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from scenarios.world.arrays import World, build_world
from scenarios.world.comply import comply
from scenarios.world.dynamics import REACTIONS, STOCKS
from scenarios.world.event_factories import Factories
from scenarios.world.graph import (
    DISASSEMBLY_YIELD,
    KIND,
    MANUFACTURING_YIELD,
    RECYCLING_YIELD,
    REMANUFACTURING_YIELD,
)
from scenarios.world.products import BILL_KG, MASS_KG, Disposition
from scenarios.world.returns import Items, sample_items
from scenarios.world.state import MASS, NEVER, State, initial_state
from scenarios.world.step import REMANUFACTURE_TICKS, REUSE_TICKS
from scenarios.world.values import HAUL_CARBON_PER_KG_KM, HAUL_MJ_PER_KG_KM, QUALITY_LOSS
from scenarios.world.view import View
from scenarios.world.weather import conditions

if TYPE_CHECKING:
    from scenarios.world.graph import Floats
    from scenarios.world.schema import Scenario
    from scenarios.world.simulate import Run
    from scenarios.world.view import Controller

# At equal times what arrives and what is done comes before the tick that looks at it.
_ARRIVE, _DONE, _TICK = 0, 1, 2
_SPLIT = {
    Disposition.REUSE: ("collection", "use"),
    Disposition.REMANUFACTURE: ("disassembly", "remanufacturing"),
    Disposition.RECYCLE: ("disassembly", "recycling"),
}


@dataclass(frozen=True)
class Totals:
    """Sums over a whole run, by which two simulators are compared; kg, MJ and kg CO2e."""

    delivered_kg: float
    made_kg: float
    virgin_kg: float
    disposed_kg: float
    recycled_kg: float
    remanufactured_kg: float
    energy_mj: float
    carbon_kg: float


def totals(run: Run, scenario: int = 0) -> Totals:
    """The totals of one scenario of a vectorised run."""
    world = run.world
    mine = world.scenario == scenario

    def processed(kind: str) -> float:
        return float(run.throughput_kg[mine & (world.topology.kind == KIND[kind])].sum())

    return Totals(
        delivered_kg=float(run.delivered[:, scenario].sum()),
        made_kg=float(run.made_kg[:, scenario].sum()),
        virgin_kg=float(run.virgin_kg[:, scenario].sum()),
        disposed_kg=float(run.disposed_kg[:, scenario].sum()),
        recycled_kg=processed("recycling"),
        remanufactured_kg=processed("remanufacturing"),
        energy_mj=float(run.energy_mj[:, scenario].sum()),
        carbon_kg=float(run.carbon_kg[:, scenario].sum()),
    )


@dataclass(frozen=True, eq=False)
class Trajectory:
    """What a run did to the mass of the whole chain, by state; see dynamics.py.

    Args:
        stocks: kg at the beginning of every tick and at the end, [t + 1, STOCKS].
        extents: kg that each reaction took from its source in every tick, [t, REACTIONS].
        totals: of the run.
    """

    stocks: Floats
    extents: Floats
    totals: Totals


@dataclass(slots=True)
class _Lot:
    """An item on the way back: its mass by material, and what is to become of it."""

    mass: list[float]
    total: float
    fate: int


def simulate_events(scenario: Scenario, controller: Controller) -> Totals:
    """Run one scenario event by event.

    Raises:
        MassBalanceError: what entered, left and stayed do not add up.
    """
    world = build_world([scenario])
    items = sample_items(world)
    controller.reset(world, items)
    return _Simulation(world, items, controller).run()


def trace_events(scenario: Scenario, controller: Controller) -> Trajectory:
    """As `simulate_events`, and remember the mass in every state at every tick.

    Raises:
        MassBalanceError: what entered, left and stayed do not add up.
    """
    world = build_world([scenario])
    items = sample_items(world)
    controller.reset(world, items)
    simulation = _Simulation(world, items, controller)
    sums = simulation.run()
    stocks, extents = (np.array(rows) for rows in zip(*simulation.census, strict=True))
    # An emptied state holds a residue of rounding, of either sign.
    stocks[np.abs(stocks) < 1e-9 * simulation.begin_kg] = 0.0
    return Trajectory(stocks, np.diff(extents, axis=0), sums)


class _Simulation:
    def __init__(self, world: World, items: Items, controller: Controller) -> None:
        self.world = world
        self.items = items
        self.controller = controller
        self.state: State = initial_state(world, items)
        self.kind = world.topology.kind.tolist()
        self.energy = world.energy.tolist()
        self.carbon = world.carbon.tolist()
        self.stock = self.state.stock[:, MASS].tolist()
        self.begin_kg = float(self.state.stock[:, MASS].sum())
        self.queues: list[deque[_Lot]] = [deque() for _ in self.kind]
        self.busy = [False] * len(self.kind)
        self.capacity = world.capacity.tolist()
        stage = world.stage("use", "collection")
        distance = world.distance[stage.edges].tolist()
        self.gates = list(zip(stage.target.tolist(), distance, strict=True))
        self.coming = [0.0] * len(self.kind)  # on the road to each use node
        self.credit: dict[tuple[int, str], list[float]] = {}
        self.routes = self._routes()
        self.delivered_now = [0.0] * len(self.kind)
        self.back_carbon = 0.0
        # When in a tick each item comes: a stream of its own.
        seed = world.scenarios[0].seed
        self.moment = np.random.default_rng([seed, 3]).random(len(items)).tolist()
        # (time, kind, sequence, node, lot)
        self.events: list[tuple[float, int, int, int, _Lot | None]] = []
        self.sequence = 0
        self.sums = dict.fromkeys(Totals.__dataclass_fields__, 0.0)
        self.factories = Factories(world)
        self.by_state = dict.fromkeys(STOCKS, 0.0)
        self.by_state["in_use"] = sum(sum(self.stock[node]) for node in world.kind("use").tolist())
        self.by_state["virgin"] = self.begin_kg - self.by_state["in_use"]
        self.moved = dict.fromkeys(REACTIONS, 0.0)
        self.census: list[tuple[list[float], list[float]]] = []

    def _routes(self) -> dict[tuple[int, str], list[tuple[int, float, float]]]:
        """Where a node may send over each stage: (target, share, distance)."""
        routes: dict[tuple[int, str], list[tuple[int, float, float]]] = {}
        for source_kind, target_kind in set(_SPLIT.values()) | {
            ("collection", "disassembly"),
            ("remanufacturing", "use"),
            ("recycling", "manufacturing"),
        }:
            stage = self.world.stage(source_kind, target_kind)
            distance = self.world.distance[stage.edges]
            for source, target, share, far in zip(
                stage.source.tolist(),
                stage.target.tolist(),
                stage.share.tolist(),
                distance.tolist(),
                strict=True,
            ):
                routes.setdefault((source, target_kind), []).append((target, share, far))
        return routes

    def push(self, time: float, kind: int, node: int, lot: _Lot | None) -> None:
        self.sequence += 1
        heapq.heappush(self.events, (time, kind, self.sequence, node, lot))

    def run(self) -> Totals:
        for tick in range(self.world.ticks):
            self.push(float(tick), _TICK, tick, None)
        end = float(self.world.ticks)
        while self.events and self.events[0][0] < end:
            time, kind, _, node, lot = heapq.heappop(self.events)
            if kind == _TICK:
                self._tick(node)
            elif kind == _ARRIVE and lot is not None:
                self._arrive(time, node, lot)
            else:
                self._done(time, node)
        self._count()
        self._close()
        return Totals(**self.sums)

    def _count(self) -> None:
        self.census.append((list(self.by_state.values()), list(self.moved.values())))

    def _move(self, reaction: str, mass: float, lost: float = 0.0) -> None:
        """Mass goes from one state to another, and part of it to the landfill."""
        source, target = REACTIONS[reaction]
        self.moved[reaction] += mass
        self.by_state[source] -= mass
        self.by_state[target] += mass - lost
        self.by_state["disposed"] += lost

    def _arrive(self, time: float, node: int, lot: _Lot) -> None:
        kind = self.kind[node]
        stock = self.stock[node]
        for material, mass in enumerate(lot.mass):
            stock[material] += mass
        if kind == KIND["use"]:
            self._book_process(node, lot.total)
            self.delivered_now[node] += lot.total
            if lot.fate >= 0:
                self.coming[node] -= lot.total
            self.sums["delivered_kg"] += lot.total
        elif kind != KIND["manufacturing"]:
            self.queues[node].append(lot)
            if not self.busy[node]:
                self._serve(time, node)

    def _serve(self, time: float, node: int) -> None:
        """Begin with the next lot of a queue; a node that is down tries again at the next tick."""
        if not self.queues[node]:
            self.busy[node] = False
            return
        self.busy[node] = True
        rate = self.capacity[node]
        if rate <= 0.0:
            self.push(float(int(time) + 1), _DONE, -1 - node, None)
            return
        self.push(time + self.queues[node][0].total / rate, _DONE, node, None)

    def _done(self, time: float, node: int) -> None:
        if node < 0:
            self._serve(time, -1 - node)
            return
        lot = self.queues[node].popleft()
        stock = self.stock[node]
        for material, mass in enumerate(lot.mass):
            stock[material] -= mass
        self._book_process(node, lot.total)
        self.back_carbon += lot.total * self.carbon[node]
        kind = self.kind[node]
        if kind == KIND["collection"]:
            target = "use" if lot.fate == Disposition.REUSE else "disassembly"
            if lot.fate == Disposition.REUSE:
                self._move("reuse", lot.total)
            self._send(time, node, target, lot)
        elif kind == KIND["disassembly"]:
            self._move("lose", self._lose(lot, [DISASSEMBLY_YIELD] * len(lot.mass)))
            remade = lot.fate == Disposition.REMANUFACTURE
            if remade:
                self._move("remanufacture", lot.total)
            self._send(time, node, "remanufacturing" if remade else "recycling", lot)
        elif kind == KIND["remanufacturing"]:
            self.sums["remanufactured_kg"] += lot.total
            self._move(
                "resell", lot.total, self._lose(lot, [REMANUFACTURING_YIELD] * len(lot.mass))
            )
            self._send(time, node, "use", lot)
        else:
            self.sums["recycled_kg"] += lot.total
            self._move("recycle", lot.total, self._lose(lot, RECYCLING_YIELD.tolist()))
            self._send(time, node, "manufacturing", lot)
        self._serve(time, node)

    def _lose(self, lot: _Lot, kept: list[float]) -> float:
        lot.mass = [mass * share for mass, share in zip(lot.mass, kept, strict=True)]
        total = sum(lot.mass)
        lost = lot.total - total
        self.sums["disposed_kg"] += lost
        lot.total = total
        return lost

    def _send(self, time: float, node: int, target_kind: str, lot: _Lot) -> None:
        """To the target that is furthest behind its share."""
        routes = self.routes[node, target_kind]
        credit = self.credit.setdefault((node, target_kind), [0.0] * len(routes))
        for place, (_, share, _) in enumerate(routes):
            credit[place] += share * lot.total
        chosen = max(range(len(routes)), key=credit.__getitem__)
        credit[chosen] -= lot.total
        target, _, distance = routes[chosen]
        if target_kind == "use":
            self.coming[target] += lot.total
        self._haul(lot.total * distance)
        self.push(time + 1.0, _ARRIVE, target, lot)

    def _book_process(self, node: int, mass: float) -> None:
        self.sums["energy_mj"] += mass * self.energy[node]
        self.sums["carbon_kg"] += mass * self.carbon[node]

    def _haul(self, kg_km: float) -> None:
        self.sums["energy_mj"] += HAUL_MJ_PER_KG_KM * kg_km
        self.sums["carbon_kg"] += HAUL_CARBON_PER_KG_KM * kg_km

    def _tick(self, tick: int) -> None:
        self._count()
        state, world = self.state, self.world
        today = conditions(world, tick)
        served = np.array(self.delivered_now)
        self.delivered_now = [0.0] * len(self.kind)
        state.tick = tick
        users, line = world.users, world.line
        state.owed = state.owed + (today.demand - served)[users.nodes]
        state.held[MASS] = np.array(self.stock).T[:, line.node]
        now = np.flatnonzero(state.next_return == tick)
        view = View(world, self.items, state, tick, now, today)
        action = self.controller.decide(view)
        executed, _, _ = comply(view, action.dispositions)
        self._return(view, executed.tolist())
        limit = today.capacity * action.activity
        self.capacity = limit.tolist()
        cap = float(world.law.carbon_cap[tick, 0])
        made = self.factories.run(
            self.stock, self.coming, view, limit, action.cover_ticks, cap - self.back_carbon
        )
        self.back_carbon = 0.0
        for name in ("made_kg", "virgin_kg", "disposed_kg"):
            self.sums[name] += getattr(made, name)
        virgin_kg = made.used_kg - made.secondary_kg
        self._move("extract", made.virgin_kg)
        self._move("make", virgin_kg, (1.0 - MANUFACTURING_YIELD) * virgin_kg)
        lost = (1.0 - MANUFACTURING_YIELD) * made.secondary_kg
        self._move("make_again", made.secondary_kg, lost)
        for node, mass in made.processed:
            self._book_process(node, mass)
        self._haul(made.kg_km)
        for node, masses in made.shipments:
            self.push(tick + 1.0, _ARRIVE, node, _Lot(masses, sum(masses), -1))

    def _return(self, view: View, executed: list[int]) -> None:
        state, items = self.state, self.items
        for item, fate in zip(view.now.tolist(), executed, strict=True):
            product, node = int(items.product[item]), int(items.node[item])
            stock = self.stock[node]
            mass = BILL_KG[product].tolist()
            for material, amount in enumerate(mass):
                stock[material] -= amount
            total = float(MASS_KG[product])
            state.next_return[item] = NEVER
            if fate == Disposition.DISPOSE:
                self.sums["disposed_kg"] += total
                self._move("discard", total)
                continue
            self._move("collect", total)
            target, distance = self.gates[int(items.gate[item])]
            self._haul(total * distance)
            self.push(view.tick + self.moment[item] + 1.0, _ARRIVE, target, _Lot(mass, total, fate))
            if fate <= Disposition.REMANUFACTURE:
                self._live_again(item, fate, view.tick)

    def _live_again(self, item: int, fate: int, tick: int) -> None:
        state = self.state
        delay = REUSE_TICKS
        if fate == Disposition.REMANUFACTURE:
            state.quality[item] *= 1.0 - QUALITY_LOSS
            delay = REMANUFACTURE_TICKS
        life = self.items.life_ticks[item, state.lives[item]] * state.quality[item]
        state.next_return[item] = tick + delay + 1 + int(life)
        state.lives[item] += 1

    def _close(self) -> None:
        """The mass of the whole run closes too."""
        on_the_road = sum(lot.total for *_, lot in self.events if lot is not None)
        held = float(np.sum(self.stock)) + on_the_road
        came = self.begin_kg + self.sums["virgin_kg"]
        excess = held + self.sums["disposed_kg"] - came
        if not abs(excess) <= 1e-9 * came:
            from scenarios.world.ledger import MassBalanceError

            raise MassBalanceError("the whole world", "mass", excess, self.world.ticks)
