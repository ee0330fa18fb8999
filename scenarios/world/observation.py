"""What a controller on a device sees of a returned item of a world: sixteen numbers in [-1, 1].

Nothing of it is of the future: the levels of the law are those of the tick.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from scenarios.feature import Feature, observe_all
from scenarios.world.products import BILL_KG, MATERIALS, PRICE_USD, SCALE_HOURS
from scenarios.world.returns import DAMAGES, MOST_LIVES

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from scenarios.world.arrays import World
    from scenarios.world.graph import Floats, Integers
    from scenarios.world.returns import Items
    from scenarios.world.view import Flags, View


@dataclass(frozen=True, eq=False)
class SeenItems:
    """Returned items as they lie on the bench, k of them.

    Args:
        product: index into PRODUCTS, int64 [k].
        quality: 0..1, [k].
        age_hours: at the first return, [k].
        damage: 0..1 for each of DAMAGES, [k, 4].
        lives: how often each was used again, int64 [k].
        landfill_tax: USD per kg landfilled, today, [k].
        virgin_tax: USD per kg of virgin material, today, [k].
        landfill_banned: whether the law forbids to dispose of it today, bool [k].
    """

    product: Integers
    quality: Floats
    age_hours: Floats
    damage: Floats
    lives: Integers
    landfill_tax: Floats
    virgin_tax: Floats
    landfill_banned: Flags

    def __len__(self) -> int:
        return len(self.product)

    @property
    def relative_age(self) -> Floats:
        """Age over the scale of the class's lifetime, [k]."""
        relative: Floats = self.age_hours / SCALE_HOURS[self.product]
        return relative


def seen_now(view: View) -> SeenItems:
    """The items that a view asks about."""
    law, tick, now = view.world.law, view.tick, view.now
    return SeenItems(
        view.product,
        view.quality,
        view.items.age_hours[now],
        view.items.damage[now],
        view.state.lives[now],
        law.landfill_tax[tick][view.scenario],
        law.virgin_tax[tick][view.scenario],
        view.landfill_banned,
    )


def seen_at_return(world: World, items: Items) -> SeenItems:
    """All items of a batch, each at its first return and under the law of that tick."""
    law, tick, scenario = world.law, items.first_return, items.scenario
    return SeenItems(
        items.product,
        items.quality,
        items.age_hours,
        items.damage,
        np.zeros(len(items), np.int64),
        law.landfill_tax[tick, scenario],
        law.virgin_tax[tick, scenario],
        law.landfill_ban[tick, scenario, items.product],
    )


# From a phone's to a washing machine's.
_KG = {
    "aluminium": (0.02, 3.0),
    "steel": (0.01, 40.0),
    "copper": (0.01, 2.0),
    "plastics": (0.05, 12.0),
    "rare_earths": (0.0005, 0.06),
}


def _damage(name: str) -> Feature[SeenItems]:
    column = DAMAGES.index(name)
    return Feature(name, "1", 0.0, 1.0, lambda seen: seen.damage[:, column])


def _mass(name: str) -> Feature[SeenItems]:
    column = MATERIALS.index(name)
    low, high = _KG[name]
    return Feature(name, "kg", low, high, lambda seen: BILL_KG[seen.product, column], True)


FEATURES: tuple[Feature[SeenItems], ...] = (
    Feature("quality", "1", 0.0, 1.0, lambda seen: seen.quality),
    Feature("relative_age", "1", 0.0, 2.5, lambda seen: seen.relative_age),
    Feature("lives", "1", 0.0, float(MOST_LIVES), lambda seen: seen.lives),
    *map(_damage, DAMAGES),
    Feature("price", "USD", 80.0, 1000.0, lambda seen: PRICE_USD[seen.product], True),
    *map(_mass, MATERIALS),
    Feature("landfill_tax", "USD/kg", 0.0, 2.0, lambda seen: seen.landfill_tax),
    Feature("virgin_tax", "USD/kg", 0.0, 2.0, lambda seen: seen.virgin_tax),
    Feature("landfill_banned", "1", 0.0, 1.0, lambda seen: seen.landfill_banned),
)
OBSERVATION_SIZE = len(FEATURES)


def observe(seen: SeenItems) -> NDArray[np.float32]:
    """What a controller sees, float32 [k, OBSERVATION_SIZE], each value in [-1, 1]."""
    return observe_all(FEATURES, seen)
