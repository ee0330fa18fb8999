"""Products that come back: when, how old, in what condition, and how many do not come in time.

The park is stationary: units fail at a constant rate, so ages at return are Weibull by product
class, returns are a Poisson process, and the park holds rate × mean lifetime units (Little's law).
Units whose return falls after the run are right-censored, and counted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from scenarios.world.products import (
    BILL_KG,
    MASS_KG,
    MEAN_LIFE_HOURS,
    PRODUCT_INDEX,
    SCALE_HOURS,
    SHAPE,
)

if TYPE_CHECKING:
    from scenarios.world.arrays import World
    from scenarios.world.graph import Floats, Integers

MOST_LIVES = 4  # an item is reused or remanufactured at most so often
DAMAGES = ("wear", "corrosion", "electronics", "cosmetic")
_BETA = ((2.0, 5.0), (1.0, 8.0), (3.0, 3.0), (1.5, 4.0))
MEAN_CYCLES = 500.0
# What each damage, when complete, takes off the quality: any of the first three may ruin an item.
DAMAGE_WEIGHTS = np.array([0.60, 0.30, 0.45, 0.15])
LOWEST_QUALITY = 0.02


@dataclass(frozen=True, eq=False)
class Items:
    """Every unit whose first return falls in the run, by its tick and then by scenario; k of them.

    So a tick finds most of its items side by side.

    Args:
        scenario: number, int64 [k].
        node: use node that it comes from.
        gate: haul that takes it to collection, an index into the edges of that stage.
        product: index into PRODUCTS.
        first_return: tick.
        age_hours: at the first return, [k].
        damage: 0..1 for each of DAMAGES, [k, 4].
        cycles: of use.
        quality: at the first return, 0.02..1.
        life_ticks: how long a further life lasts at quality 1, int64 [k, MOST_LIVES].
        park_units: in use at the beginning, per scenario, int64 [b].
        park_kg: mass in use at the beginning, per node and material, [n, m].
    """

    scenario: Integers
    node: Integers
    gate: Integers
    product: Integers
    first_return: Integers
    age_hours: Floats
    damage: Floats
    cycles: Floats
    quality: Floats
    life_ticks: Integers
    park_units: Integers
    park_kg: Floats

    def __len__(self) -> int:
        return len(self.product)

    def mass_kg(self, members: Integers) -> Floats:
        """Tracked mass of some of them."""
        mass: Floats = MASS_KG[self.product[members]]
        return mass

    def censored(self) -> Integers:
        """Units of the park that do not come back within the run, per scenario."""
        return self.park_units - np.bincount(self.scenario, minlength=len(self.park_units))


def sample_items(world: World) -> Items:
    """The returns of every scenario; those of one do not depend on the batch it is in."""
    parts, units, masses = [], [], []
    for number in range(len(world.scenarios)):
        sampled, park_units, park_kg = _sample_one(world, number)
        parts.append(sampled)
        units.append(park_units)
        masses.append(park_kg)
    joined = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    order = np.argsort(joined["first_return"], kind="stable")
    by_tick = {name: values[order] for name, values in joined.items()}
    return Items(**by_tick, park_units=np.array(units), park_kg=np.concatenate(masses))


def _sample_one(world: World, number: int) -> tuple[dict[str, Integers | Floats], int, Floats]:
    scenario = world.scenarios[number]
    # A stream of its own, apart from the one that made the graph.
    random = np.random.default_rng([scenario.seed, 1])
    start, end = world.first_node[number], world.first_node[number + 1]
    products = np.array([PRODUCT_INDEX[p.unu_key] for p in scenario.returns.products])
    shares = np.array([p.share for p in scenario.returns.products])
    shares = shares / shares.sum()
    # Units that come back per tick and node.
    rate = scenario.returns.ratio * world.demand[start:end] / float(shares @ MASS_KG[products])
    counts = random.poisson(rate * world.ticks)
    count = int(counts.sum())
    node = np.repeat(np.arange(start, end), counts)
    tick = random.integers(0, world.ticks, size=count)
    order = np.argsort(tick, kind="stable")
    product = products[random.choice(len(products), size=count, p=shares)]
    age = SCALE_HOURS[product] * random.weibull(SHAPE[product])
    damage, cycles = _condition(
        random, age / SCALE_HOURS[product], scenario.returns.age_correlation
    )
    lives = random.weibull(np.repeat(SHAPE[product][:, None], MOST_LIVES, axis=1))
    life_ticks = np.ceil(lives * SCALE_HOURS[product][:, None] / world.tick_hours)
    sampled: dict[str, Integers | Floats] = {
        "scenario": np.full(count, number),
        "node": node[order],
        "gate": _gates(random, world, node)[order],
        "product": product,
        "first_return": tick[order],
        "age_hours": age,
        "damage": damage,
        "cycles": cycles,
        "quality": np.clip(1.0 - damage @ DAMAGE_WEIGHTS, LOWEST_QUALITY, 1.0),
        "life_ticks": life_ticks.astype(np.int64) + 1,
    }
    park = rate[:, None] * shares * (MEAN_LIFE_HOURS[products] / world.tick_hours)
    # The units that come back were in the park, however short a life is next to a run.
    returning = np.zeros_like(park)
    np.add.at(returning, (node[order] - start, np.searchsorted(products, product)), 1.0)
    park = np.maximum(np.rint(park), returning)
    return sampled, int(park.sum()), park @ BILL_KG[products]


def _gates(random: np.random.Generator, world: World, node: Integers) -> Integers:
    """The haul to collection that each item takes, drawn by share."""
    stage = world.stage("use", "collection")
    # Edges are ordered by source, so each node's are a run; a draw falls on one by its share.
    ends = np.cumsum(stage.share)
    first = np.searchsorted(stage.source, node, side="left")
    last = np.searchsorted(stage.source, node, side="right") - 1
    before = ends[first] - stage.share[first]
    drawn = before + random.random(len(node)) * (ends[last] - before)
    gates: Integers = np.clip(np.searchsorted(ends, drawn, side="right"), first, last)
    return gates


def _condition(
    random: np.random.Generator, relative_age: Floats, correlation: float
) -> tuple[Floats, Floats]:
    """Damages [k, 4] and cycles [k] with their marginals exact, ranked along with age.

    A normal score of the age, mixed with noise, orders each marginal's sample (Iman and Conover
    1982), so `correlation` is that of the scores.
    """
    count = len(relative_age)
    score = np.empty(count)
    score[np.argsort(relative_age, kind="stable")] = np.sort(random.standard_normal(count))
    marginals = [random.beta(a, b, count) for a, b in _BETA]
    marginals.append(random.exponential(MEAN_CYCLES, count))
    ranked = []
    for marginal in marginals:
        noise = random.standard_normal(count)
        latent = correlation * score + np.sqrt(1.0 - correlation**2) * noise
        value = np.empty(count)
        value[np.argsort(latent, kind="stable")] = np.sort(marginal)
        ranked.append(value)
    return np.stack(ranked[:-1], axis=1), ranked[-1]
