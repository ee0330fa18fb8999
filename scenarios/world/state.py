"""What changes from tick to tick: stocks, hauls, items, and four ledgers that never mix."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from scenarios.world.products import MATERIALS, MaterialState
from scenarios.world.returns import MOST_LIVES

if TYPE_CHECKING:
    from scenarios.world.arrays import World
    from scenarios.world.graph import Floats, Integers
    from scenarios.world.layout import Line
    from scenarios.world.returns import Items
    from scenarios.world.road import Road

# Columns of a stock or haul: kilograms by material, then kilograms weighted by what travels along.
MASS = slice(0, len(MATERIALS))
QUALITY = len(MATERIALS)  # kg × quality
SECONDARY = QUALITY + 1  # kg that was in a product before
COLUMNS = QUALITY + 2
# Rows of what waits where goods are sorted: kilograms that were sent to be used again as they are,
# and to be remanufactured.
TO_REUSE, TO_REMANUFACTURE = 0, 1

NEVER = np.iinfo(np.int64).max  # the tick of what does not come back
INITIAL_COVER_TICKS = 24.0
MONEY = ("sales", "virgin", "processing", "transport", "landfill", "taxes")


@dataclass(eq=False)
class State:
    """One batch at one tick; `step` changes it in place.

    Args:
        tick: the next one to be run.
        held: kg at every node, by column and in the order of the line, [COLUMNS, n].
        road: what is on it, by factory, item and node of the way back.
        coming: what that brings to every position of the line, by column, [COLUMNS, n].
        sent_for: kg at every sorter that was sent to be used again or remanufactured, [2, s].
        coming_for: what the road adds to that, [2, s].
        owed: products that each use node wanted and did not get yet, kg, in the order of the line,
            [u]; negative for products in store.
        line: the order of nodes.
        next_return: tick at which every item comes back, int64 [k]; or NEVER.
        lives: how often each was used again, int8 [k].
        quality: of each, [k]; never rises.
        state: of each, a MaterialState, int8 [k].
        disposition: last decision on each, int8 [k]; -1 before the first.
        history: (tick, items, states), in the order in which they came about.
        agenda: items by the tick of their next return, so that no tick looks at all of them.
    """

    tick: int
    held: Floats
    road: Road
    coming: Floats
    sent_for: Floats
    coming_for: Floats
    owed: Floats
    line: Line
    next_return: Integers
    lives: Integers
    quality: Floats
    state: Integers
    disposition: Integers
    history: list[tuple[int, Integers, Integers]] = field(default_factory=list)
    agenda: dict[int, list[Integers]] = field(default_factory=dict)

    @property
    def stock(self) -> Floats:
        """The mass at every node by its number, [n, COLUMNS]; a copy."""
        return self.line.by_node(self.held).T

    @property
    def backlog(self) -> Floats:
        """What every node is owed by its number, kg, [n]; a copy."""
        backlog = np.zeros(len(self.line.node))
        backlog[self.line.node[self.line.spans["use"]]] = self.owed
        return backlog

    @property
    def transit(self) -> Floats:
        """What is on every edge, kg by column, [e, COLUMNS]; a copy."""
        return self.road.by_edge()

    def returning(self, items: Items) -> Integers:
        """Items that come back at this tick, by scenario and then by number."""
        parts = self.agenda.get(self.tick, [])
        if len(parts) == 1:
            return parts[0]
        now = np.concatenate([np.zeros(0, np.int64), *parts])
        return now[np.lexsort((now, items.scenario.take(now)))]

    def come_back(self, items: Integers, ticks: Integers, end: int) -> None:
        """Items, by scenario and number, come back at these ticks next.

        Those from `end` on nobody will look for.
        """
        self.next_return[items] = ticks
        within = ticks < end
        items, ticks = items[within], ticks[within]
        for tick in set(ticks.tolist()):
            self.agenda.setdefault(tick, []).append(items[ticks == tick])


@dataclass(frozen=True, eq=False)
class Tick:
    """What the parts of a tick fill, one after the other.

    Args:
        there: what every position of the line holds to begin with, kg by column, [COLUMNS, n].
        there_kg: of all materials, [n].
        held: what is left of that at the end, [COLUMNS, n].
        road: what leaves.
        coming: what that will bring to every position of the line, by column, [COLUMNS, n].
        sent_for: kg at every sorter that was sent to be used again or remanufactured, [2, s].
        coming_for: what will be added to that, [2, s].
        mined: kg that enter the world for each factory, [m, f].
        thrown: kg that leave it for good at each position of the line, [m, n].
        thrown_kg: of all materials, [n].
        processed: kg at each position of the line, [n].
        emitted: by what was processed up to now, kg CO2e per scenario, [b].
    """

    there: Floats
    there_kg: Floats
    held: Floats
    road: Road
    coming: Floats
    sent_for: Floats
    coming_for: Floats
    mined: Floats
    thrown: Floats
    thrown_kg: Floats
    processed: Floats
    emitted: Floats


@dataclass(frozen=True, eq=False)
class Flows:
    """What one tick did. The four ledgers are apart: kilograms, megajoules, kg CO2e, US dollars.

    Args:
        tick: which.
        unloaded: what reached its targets.
        loaded: what left its sources.
        direct_kg: of that, on every haul of material and of new products, [d].
        returned_kg: of that, every item, [k].
        gate_kg: of that, through every gate, [g].
        thrown: kg that left it for good at each position of the line, [m, n].
        thrown_kg: of all materials, [n].
        processed: kg at each position of the line, [n].
        line: the order of nodes.
        delivered: kg of products that reached use, [b].
        wanted: kg of products that were demanded, [b].
        overdue: kg of products that were demanded and are not delivered yet, [b].
        energy_mj: of processes and hauls, [b].
        carbon_kg: kg CO2e of the same, [b].
        money_usd: by MONEY, incomes positive and costs negative, [b, 6].
        virgin_kg: entered as virgin material, [b].
        disposed_kg: left the world for good, [b].
        made_kg: new products, [b].
        items: that were decided on, int64.
        quality: of each, when it was decided on.
        wished: disposition that the controller wished for each.
        executed: nearest compliant disposition.
        violations: wishes that the law forbade, [b].
        constrained: decisions that some law was about, [b].
    """

    tick: int
    unloaded: Road
    loaded: Road
    direct_kg: Floats
    returned_kg: Floats
    gate_kg: Floats
    thrown: Floats
    thrown_kg: Floats
    processed: Floats
    line: Line
    delivered: Floats
    wanted: Floats
    overdue: Floats
    energy_mj: Floats
    carbon_kg: Floats
    money_usd: Floats
    virgin_kg: Floats
    disposed_kg: Floats
    made_kg: Floats
    items: Integers
    quality: Floats
    wished: Integers
    executed: Integers
    violations: Floats
    constrained: Floats

    @property
    def arrived(self) -> Floats:
        """Kilograms that reached each edge's target, [e, m]."""
        return self.unloaded.by_edge()[:, MASS]

    @property
    def sent(self) -> Floats:
        """Kilograms that left each edge's source, [e, m]."""
        return self.loaded.by_edge()[:, MASS]

    @property
    def extracted(self) -> Floats:
        """Kilograms that entered the world at each node, [n, m]."""
        entered = np.zeros_like(self.thrown)
        entered[:, self.line.spans["extraction"]] = self.loaded.mined()
        return self.line.by_node(entered).T

    @property
    def disposed(self) -> Floats:
        """Kilograms that left the world for good at each node, [n, m]."""
        return self.line.by_node(self.thrown).T

    @property
    def throughput(self) -> Floats:
        """Kilograms that each node processed, [n]."""
        return self.line.by_node(self.processed)


def initial_state(world: World, items: Items) -> State:
    """Everything in use is in use, factories hold a day of material, nothing is on the road."""
    stock = np.zeros((world.nodes, COLUMNS), order="F")
    stock[:, MASS] = items.park_kg
    makers = world.kind("manufacturing")
    held = INITIAL_COVER_TICKS * world.nominal[makers]
    stock[makers, MASS] = held[:, None] * world.recipe[world.scenario[makers]]
    stock[:, QUALITY] = stock[:, MASS].sum(axis=1)
    line, road = world.line, world.hauls.start(0)
    for part in vars(road).values():
        if isinstance(part, np.ndarray):
            part[...] = 0.0
    return State(
        tick=0,
        held=stock.T[:, line.node].copy(),
        road=road,
        coming=np.zeros((COLUMNS, world.nodes)),
        sent_for=np.zeros((2, len(world.sorters))),
        coming_for=np.zeros((2, len(world.sorters))),
        owed=np.zeros(len(world.users)),
        line=line,
        next_return=items.first_return.copy(),
        lives=np.zeros(len(items), np.int8),
        quality=items.quality.copy(),
        state=np.full(len(items), MaterialState.IN_USE, np.int8),
        disposition=np.full(len(items), -1, np.int8),
        agenda=_agenda(items.first_return),
    )


def _agenda(ticks: Integers) -> dict[int, list[Integers]]:
    """Items by tick, given the ticks of all, ascending."""
    parts = np.split(np.arange(len(ticks)), np.cumsum(np.bincount(ticks)))
    return {tick: [part] for tick, part in enumerate(parts) if len(part)}


def may_live_again(
    state: State, items: Integers
) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    """Which items were not yet used again as often as they can be."""
    return state.lives[items] < MOST_LIVES
