"""What a controller sees at a tick, and what it answers; nothing of it is of the future."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Protocol

import numpy as np

from scenarios.world.values import item_values

if TYPE_CHECKING:
    from scenarios.world.arrays import World
    from scenarios.world.graph import Floats, Integers
    from scenarios.world.returns import Items
    from scenarios.world.state import State

Flags = np.ndarray[tuple[int, ...], np.dtype[np.bool_]]


@dataclass(frozen=True, eq=False)
class View:
    """The batch at one tick.

    Args:
        world: what does not change.
        items: all units; only those in `now` have come back.
        state: stocks, hauls, backlogs.
        tick: now.
        now: items to decide on, int64 [k].
        capacity: that is up, kg per tick, [n].
        available: share of each material that a manufacturer can get from extraction, [n, m].
        demand: products wanted at this tick, kg, [n].
    """

    world: World
    items: Items
    state: State
    tick: int
    now: Integers
    capacity: Floats
    available: Floats
    demand: Floats

    @cached_property
    def quality(self) -> Floats:
        """Of the items to decide on, [k]."""
        return self.state.quality[self.now]

    @cached_property
    def product(self) -> Integers:
        """Of the items to decide on, [k]."""
        return self.items.product[self.now]

    @cached_property
    def scenario(self) -> Integers:
        """Of the items to decide on, [k]."""
        return self.items.scenario[self.now]

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
        banned: Flags = self.world.law.landfill_ban[self.tick][self.scenario, self.product]
        return banned


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
