"""The line below which a run ends at once: decisions about as bad as they can be.

Over the last 48 ticks, and over 48 decisions at least, the decisions are worth less than a quarter
of the way from the worst to the best disposition of each item on its day. In 100 worlds of 10 to 50
nodes random decisions never fell below 0.34; disposing of everything crossed the line in 76 of the
82 worlds where so many items came back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from scenarios.world.stakes import stakes

if TYPE_CHECKING:
    from scenarios.world.arrays import World
    from scenarios.world.returns import Items
    from scenarios.world.state import Flows, State

METRIC = "decision quality of a window"
LEVEL = 0.25
WINDOW_TICKS = 48
FEWEST_DECISIONS = 48


class CatastropheLine:
    """Watches scenario 0 of a batch; call it after every tick, and it says whether to end.

    Args:
        world: the batch.
        items: its returns.
    """

    def __init__(self, world: World, items: Items) -> None:
        self._world, self._items = world, items
        # Decisions, worst, got, best of the last ticks.
        self._window = np.zeros((WINDOW_TICKS, 4))
        self.crossed_at: int | None = None

    def __call__(self, flows: Flows, _: State) -> bool:
        """Whether the decisions of the window have fallen below the line."""
        tick = stakes(self._world, self._items, flows)
        self._window[flows.tick % WINDOW_TICKS] = (
            tick.decisions[0],
            tick.worst[0],
            tick.got[0],
            tick.best[0],
        )
        decisions, worst, got, best = self._window.sum(axis=0).tolist()
        if decisions >= FEWEST_DECISIONS and got - worst < LEVEL * (best - worst):
            self.crossed_at = flows.tick
        return self.crossed_at is not None
