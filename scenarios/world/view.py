"""What a controller sees at a tick, and what it answers; nothing of it is of the future."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Protocol

import numpy as np

from scenarios.world.products import BILL_KG, MASS_KG
from scenarios.world.values import item_values

if TYPE_CHECKING:
    from scenarios.world.arrays import World
    from scenarios.world.graph import Floats, Integers
    from scenarios.world.returns import Items
    from scenarios.world.state import State
    from scenarios.world.weather import Conditions

_BILLS = BILL_KG.T.copy()

Flags = np.ndarray[tuple[int, ...], np.dtype[np.bool_]]


@dataclass(frozen=True, eq=False)
class View:
    """The batch at one tick.

    Args:
        world: what does not change.
        items: all units; only those in `now` have come back.
        state: stocks, hauls, backlogs.
        tick: now.
        now: items to decide on, by scenario and then by number, int64 [k].
        conditions: what is up and what is wanted at this tick.
    """

    world: World
    items: Items
    state: State
    tick: int
    now: Integers
    conditions: Conditions

    @property
    def capacity(self) -> Floats:
        """That is up, kg per tick, [n]."""
        return self.conditions.capacity

    @property
    def available(self) -> Floats:
        """Share of each material that a manufacturer can get from extraction, [n, m]."""
        return self.conditions.available

    @property
    def demand(self) -> Floats:
        """Products wanted at this tick, kg, [n]."""
        return self.conditions.demand

    @cached_property
    def quality(self) -> Floats:
        """Of the items to decide on, [k]."""
        return self.state.quality.take(self.now)

    @cached_property
    def product(self) -> Integers:
        """Of the items to decide on, [k]."""
        return self.items.product.take(self.now)

    @cached_property
    def bills(self) -> Floats:
        """Mass of the items to decide on by material, kg, [m, k]."""
        return _BILLS.take(self.product, axis=1)

    @cached_property
    def mass_kg(self) -> Floats:
        """Mass of the items to decide on, kg, [k]."""
        mass: Floats = MASS_KG.take(self.product)
        return mass

    @cached_property
    def gate(self) -> Integers:
        """Haul that takes each item to collection, an index into the edges of that stage, [k]."""
        return self.items.gate.take(self.now)

    @cached_property
    def place(self) -> Integers:
        """Of the items to decide on among the use nodes, [k]."""
        return self.world.stage("use", "collection").place.take(self.gate)

    @cached_property
    def scenario(self) -> Integers:
        """Of the items to decide on, [k]."""
        return self.items.scenario.take(self.now)

    @cached_property
    def values(self) -> Floats:
        """What each disposition of each item is worth under today's taxes, USD, [k, 4]."""
        law = self.world.law
        return item_values(
            self.product,
            self.quality,
            law.landfill_tax[self.tick][self.scenario],
            law.virgin_tax[self.tick][self.scenario],
        )

    @cached_property
    def landfill_banned(self) -> Flags:
        """Whether the law forbids to dispose of each item, [k]."""
        ban = self.world.law.landfill_ban[self.tick]
        banned: Flags = ban.take(self.scenario * ban.shape[1] + self.product)
        return banned


@dataclass(frozen=True, eq=False)
class Opening:
    """The first half of a tick: what has arrived, and what there is to decide on.

    Args:
        view: what a controller sees.
        delivered: kg of products that reached use, [u].
        wanted: kg of products that are demanded at use nodes now, [u].
        leaving: mass of the items to decide on by use node, kg by material, [m, u].
    """

    view: View
    delivered: Floats
    wanted: Floats
    leaving: Floats


@dataclass(frozen=True, eq=False)
class Action:
    """What a controller wishes.

    Args:
        dispositions: for every item of the view, a Disposition, int64 [k].
        activity: share of its capacity that every node may use, 0..1, [n].
        cover_ticks: for how many ticks of nominal production a manufacturer holds material, [n].
    """

    dispositions: Integers
    activity: Floats
    cover_ticks: Floats


class Controller(Protocol):
    """Decides for a whole batch at once."""

    @property
    def name(self) -> str:
        """What people call it."""
        ...

    def reset(self, world: World, items: Items) -> None:
        """Begin a run of this batch."""
        ...

    def decide(self, view: View) -> Action:
        """What to do at this tick."""
        ...
