"""The line below which a run ends at once: decisions about as bad as they can be.

Over the last 48 ticks, and over 48 decisions at least, the decisions are worth less than a quarter
of the way from the worst to the best disposition of each item on its day. In 100 worlds of 10 to 50
nodes random decisions never fell below 0.34; disposing of everything crossed the line in 76 of the
82 worlds where so many items came back.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from scenarios.world.products import Disposition
from scenarios.world.values import item_values

if TYPE_CHECKING:
    from scenarios.world.arrays import World
    from scenarios.world.returns import Items
    from scenarios.world.state import Flows, State

METRIC = "decision quality of a window"
LEVEL = 0.25
WINDOW_TICKS = 48
FEWEST_DECISIONS = 48


@dataclass(frozen=True)
class Tally:
    """Decisions of a tick, or of several: how many, and what they were worth, USD."""

    decisions: int
    worst: float
    got: float
    best: float

    @property
    def quality(self) -> float:
        """0 for the worst disposition of every item, 1 for the best; 1 where nothing was at stake.

        >>> Tally(2, 10.0, 15.0, 20.0).quality
        0.5
        """
        span = self.best - self.worst
        return (self.got - self.worst) / span if span > 0 else 1.0


def tally(world: World, items: Items, flows: Flows, number: int) -> Tally:
    """What the decisions of one tick on the items of scenario `number` were worth."""
    mine = items.scenario[flows.items] == number
    members, executed = flows.items[mine], flows.executed[mine]
    law, tick = world.law, flows.tick
    value = item_values(
        items.product[members],
        flows.quality[mine],
        law.landfill_tax[tick, number],
        law.virgin_tax[tick, number],
    )
    got = value[np.arange(len(members)), executed].sum()
    banned = law.landfill_ban[tick, number, items.product[members]]
    value[banned, Disposition.DISPOSE] = value[banned, : Disposition.DISPOSE].min(axis=1)
    return Tally(
        len(members), float(value.min(axis=1).sum()), float(got), float(value.max(axis=1).sum())
    )


class CatastropheLine:
    """Watches scenario 0 of a batch; call it after every tick, and it says whether to end.

    Args:
        world: the batch.
        items: its returns.
    """

    def __init__(self, world: World, items: Items) -> None:
        self._world, self._items = world, items
        self._window: deque[Tally] = deque(maxlen=WINDOW_TICKS)
        self.crossed_at: int | None = None

    def __call__(self, flows: Flows, _: State) -> bool:
        """Whether the decisions of the window have fallen below the line."""
        self._window.append(tally(self._world, self._items, flows, 0))
        window = Tally(
            sum(t.decisions for t in self._window),
            sum(t.worst for t in self._window),
            sum(t.got for t in self._window),
            sum(t.best for t in self._window),
        )
        if window.decisions >= FEWEST_DECISIONS and window.quality < LEVEL:
            self.crossed_at = flows.tick
        return self.crossed_at is not None
