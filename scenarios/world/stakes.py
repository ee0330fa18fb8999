"""What the decisions of a tick were worth, between the worst and the best that they could be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from scenarios.world.graph import sum_by
from scenarios.world.products import Disposition
from scenarios.world.values import item_values

if TYPE_CHECKING:
    from scenarios.world.arrays import World
    from scenarios.world.graph import Floats
    from scenarios.world.returns import Items
    from scenarios.world.state import Flows


@dataclass(frozen=True, eq=False)
class Stakes:
    """By scenario, [b]; values under the law of the tick, USD.

    Args:
        decisions: how many.
        worst: of every item its worst disposition that the law allows.
        got: what was executed.
        best: of every item its best disposition that the law allows.
    """

    decisions: Floats
    worst: Floats
    got: Floats
    best: Floats

    @property
    def quality(self) -> Floats:
        """0 for the worst, 1 for the best, 1 where nothing was at stake, [b].

        >>> Stakes(np.ones(2), np.zeros(2), np.array([1.0, 0.0]), np.array([2.0, 0.0])).quality
        array([0.5, 1. ])
        """
        span = self.best - self.worst
        return np.divide(self.got - self.worst, span, out=np.ones_like(span), where=span > 0)


def stakes(world: World, items: Items, flows: Flows) -> Stakes:
    """What was at stake in a tick, each item by itself."""
    members, law, tick = flows.items, world.law, flows.tick
    scenario, product = items.scenario[members], items.product[members]
    value = item_values(
        product, flows.quality, law.landfill_tax[tick, scenario], law.virgin_tax[tick, scenario]
    )
    got = value[np.arange(len(members)), flows.executed]
    banned = law.landfill_ban[tick, scenario, product]
    value[banned, Disposition.DISPOSE] = value[banned, : Disposition.DISPOSE].min(axis=1)
    batch = len(world.scenarios)
    return Stakes(
        *(
            sum_by(scenario, weight, batch)
            for weight in (np.ones(len(members)), value.min(axis=1), got, value.max(axis=1))
        )
    )
