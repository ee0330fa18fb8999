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
    from scenarios.world.returns import Items

# Columns of a stock or haul: kilograms by material, then kilograms weighted by what travels along.
MASS = slice(0, len(MATERIALS))
QUALITY = len(MATERIALS)  # kg × quality
SECONDARY = QUALITY + 1  # kg that was in a product before
TO_REUSE = QUALITY + 2  # kg that was sent to be used again as it is
TO_REMANUFACTURE = QUALITY + 3  # kg that was sent to be remanufactured
COLUMNS = QUALITY + 4

INITIAL_COVER_TICKS = 24.0
MONEY = ("sales", "virgin", "processing", "transport", "landfill", "taxes")


@dataclass(eq=False)
class State:
    """One batch at one tick; `step` changes it in place.

    Args:
        tick: the next one to be run.
        stock: kg at every node, [n, COLUMNS].
        hauls: kg on every edge, which arrive at the next tick, by column and in the order of the
            world's hauls, [COLUMNS, e].
        haul_edges: number of the edge of every haul, int64 [e].
        backlog: products wanted and not yet delivered, kg, [n]; negative for products in store.
        next_return: tick at which every item comes back, int64 [k]; the last tick for never.
        lives: how often each was used again, int64 [k].
        quality: of each, [k]; never rises.
        state: of each, a MaterialState, int64 [k].
        disposition: last decision on each, int64 [k]; -1 before the first.
        history: (tick, items, states), in the order in which they came about.
        agenda: items by the tick of their next return, so that no tick looks at all of them.
    """

    tick: int
    stock: Floats
    hauls: Floats
    haul_edges: Integers
    backlog: Floats
    next_return: Integers
    lives: Integers
    quality: Floats
    state: Integers
    disposition: Integers
    history: list[tuple[int, Integers, Integers]] = field(default_factory=list)
    agenda: dict[int, list[Integers]] = field(default_factory=dict)

    @property
    def transit(self) -> Floats:
        """The mass on every haul by the number of its edge, [e, COLUMNS]; a copy."""
        return by_edge(self.hauls, self.haul_edges)

    def returning(self) -> Integers:
        """Items that come back at this tick, ascending."""
        parts = self.agenda.get(self.tick, [])
        return np.sort(np.concatenate([np.zeros(0, np.int64), *parts]))

    def come_back(self, items: Integers, ticks: Integers) -> None:
        """Items, ascending, come back at these ticks next."""
        self.next_return[items] = ticks
        for tick in np.unique(ticks).tolist():
            self.agenda.setdefault(tick, []).append(items[ticks == tick])


@dataclass(frozen=True, eq=False)
class Tick:
    """What the parts of a tick fill, one after the other.

    Args:
        sent: kg that leave on every haul, by column, [COLUMNS, e].
        extracted: kg that enter the world at each node, [n, m].
        disposed: kg that leave it for good at each node, [n, m].
        throughput: kg that each node processes, [n].
    """

    sent: Floats
    extracted: Floats
    disposed: Floats
    throughput: Floats


@dataclass(frozen=True, eq=False)
class Flows:
    """What one tick did. The four ledgers are apart: kilograms, megajoules, kg CO2e, US dollars.

    Args:
        tick: which.
        unloaded: hauls that reached their targets, by column, [COLUMNS, e].
        loaded: hauls that left their sources, by column, [COLUMNS, e].
        haul_edges: number of the edge of every haul, int64 [e].
        haul_kg: kg that left on every haul, [e].
        extracted: kg that entered the world at each node, [n, m].
        disposed: kg that left it for good at each node, [n, m].
        extracted_kg: of all materials, [n].
        disposed_kg: of all materials, [n].
        throughput: kg that each node processed, [n].
        delivered: kg of products that reached use, [b].
        wanted: kg of products that were demanded, [b].
        overdue: kg of products that were demanded and are not delivered yet, [b].
        energy_mj: of processes and hauls, [b].
        carbon_kg: kg CO2e of the same, [b].
        money_usd: by MONEY, incomes positive and costs negative, [b, 6].
        virgin_kg: entered as virgin material, [b].
        made_kg: new products, [b].
        items: that were decided on, int64.
        quality: of each, when it was decided on.
        wished: disposition that the controller wished for each.
        executed: nearest compliant disposition.
        violations: wishes that the law forbade, [b].
        constrained: decisions that some law was about, [b].
    """

    tick: int
    unloaded: Floats
    loaded: Floats
    haul_edges: Integers
    haul_kg: Floats
    extracted: Floats
    disposed: Floats
    extracted_kg: Floats
    disposed_kg: Floats
    throughput: Floats
    delivered: Floats
    wanted: Floats
    overdue: Floats
    energy_mj: Floats
    carbon_kg: Floats
    money_usd: Floats
    virgin_kg: Floats
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
        return by_edge(self.unloaded[MASS], self.haul_edges)

    @property
    def sent(self) -> Floats:
        """Kilograms that left each edge's source, [e, m]."""
        return by_edge(self.loaded[MASS], self.haul_edges)


def by_edge(hauls: Floats, edges: Integers) -> Floats:
    """Columns of hauls [c, e] as rows of edges [e, c], given the edge of every haul."""
    rows = np.empty(hauls.T.shape, order="F")
    rows.T[:, edges] = hauls
    return rows


def initial_state(world: World, items: Items) -> State:
    """Everything in use is in use, factories hold a day of material, nothing is on the road."""
    stock = np.zeros((world.nodes, COLUMNS), order="F")
    stock[:, MASS] = items.park_kg
    makers = world.kind("manufacturing")
    held = INITIAL_COVER_TICKS * world.nominal[makers]
    stock[makers, MASS] = held[:, None] * world.recipe[world.scenario[makers]]
    stock[:, QUALITY] = stock[:, MASS].sum(axis=1)
    return State(
        tick=0,
        stock=stock,
        hauls=np.zeros((COLUMNS, world.edges)),
        haul_edges=world.hauls.edge,
        backlog=np.zeros(world.nodes),
        next_return=items.first_return.copy(),
        lives=np.zeros(len(items), np.int64),
        quality=items.quality.copy(),
        state=np.full(len(items), MaterialState.IN_USE, np.int64),
        disposition=np.full(len(items), -1, np.int64),
        agenda=_agenda(items.first_return),
    )


def _agenda(ticks: Integers) -> dict[int, list[Integers]]:
    """Items by tick, ascending."""
    order = np.argsort(ticks, kind="stable")
    different, first = np.unique(ticks[order], return_index=True)
    parts = np.split(order, first[1:])
    return {tick: [part] for tick, part in zip(different.tolist(), parts, strict=False)}


def may_live_again(
    state: State, items: Integers
) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    """Which items were not yet used again as often as they can be."""
    return state.lives[items] < MOST_LIVES
