"""Rates of a chain's reactions: written by hand, or corrected by a small network.

Both see the chain as a whole: capacities summed by kind, one mix of materials, no queues and no
orders that are late. Mass action moves what waits, capacities bound it, and the law acts as the
simulators read it: a ban and a collection target on what is landfilled, a recycled content and a
carbon cap on what is made. Taxes act through whoever decides, which the hand-written rates leave
out. A factory that an outage cuts off goes on until its day of material is used up.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from scenarios.world.arrays import build_world
from scenarios.world.controllers import COVER_TICKS, make_controller
from scenarios.world.dynamics import REACTION, REACTIONS, STOCK, Schedule
from scenarios.world.graph import (
    DISASSEMBLY_YIELD,
    KIND,
    MANUFACTURING_YIELD,
    RECYCLING_YIELD,
    Floats,
)
from scenarios.world.products import MASS_KG, PRODUCT_INDEX
from scenarios.world.returns import sample_items
from scenarios.world.schema import KINDS
from scenarios.world.state import initial_state
from scenarios.world.view import View
from scenarios.world.weather import conditions

if TYPE_CHECKING:
    from scenarios.world.schema import Policy, Returns, Scenario

    _Rates = dict[str, Any]

LEVELS = (
    "carbon_tax",
    "virgin_tax",
    "landfill_tax",
    "carbon_cap",
    "recycled_content",
    "collection_target",
    "landfill_ban",
)
# After the law: demand, the share of production with material, the share of each kind's capacity.
INPUTS = (*LEVELS, "demand", "supply", *KINDS)
INPUT = {name: number for number, name in enumerate(INPUTS)}
TINY = 1e-9  # kg: below any flow, and no divisor is zero
NO_CAP = 1e9  # kg CO2e per tick, where there is no cap
MOST_GAIN = 4.0


@dataclass(frozen=True, eq=False)
class Chain:
    """A supply chain as a whole, in kg and ticks.

    Args:
        capacity_kg: per tick, summed by kind, [KINDS].
        service_ticks: that an item of mean mass takes at a node of each kind, [KINDS].
        carbon_kg: kg CO2e per kg, mean by capacity, [KINDS].
        demand_kg: per tick, when nothing is shocked.
        returned_kg: per tick, when the park is as at the beginning.
        park_kg: in use at the beginning.
        cover_kg: of material that the factories hold.
        recycling_yield: of the mix of materials.
        shares: of the returned mass by disposition where no law holds, [4].
    """

    capacity_kg: Floats
    service_ticks: Floats
    carbon_kg: Floats
    demand_kg: float
    returned_kg: float
    park_kg: float
    cover_kg: float
    recycling_yield: float
    shares: Floats


def chain_of(scenario: Scenario, controller: str = "rule") -> Chain:
    """What the rates know of a scenario.

    Raises:
        ScenarioError: no controller has this name.
    """
    free = scenario.model_copy(update={"policies": (), "disruptions": ()})
    world = build_world([free])
    items = sample_items(world)
    kinds = range(len(KINDS))
    mass = MASS_KG[items.product]
    item_kg = float((mass**2).sum() / max(float(mass.sum()), TINY))
    capacity = np.array([world.capacity[world.of_kind[kind]].sum() for kind in kinds])
    emitted = world.capacity * world.carbon
    count = np.bincount(world.topology.kind, minlength=len(KINDS))
    demand = float(world.demand.sum())
    everything = np.arange(len(items))
    state = initial_state(world, items)
    decider = make_controller(controller)
    decider.reset(world, items)
    chosen = decider.decide(View(world, items, state, 0, everything, conditions(world, 0)))
    sorted_mass = np.bincount(chosen.dispositions, mass, 4)
    makers = world.kind("manufacturing")
    return Chain(
        capacity_kg=capacity,
        service_ticks=item_kg * count / capacity,
        carbon_kg=np.array([emitted[world.of_kind[kind]].sum() for kind in kinds]) / capacity,
        demand_kg=demand,
        returned_kg=scenario.returns.ratio * demand,
        park_kg=float(items.park_kg.sum()),
        cover_kg=COVER_TICKS * float(world.nominal[makers].sum()),
        recycling_yield=float(world.recipe[0] @ RECYCLING_YIELD),
        shares=sorted_mass / max(float(mass.sum()), TINY),
    )


def schedule_of(scenario: Scenario, *, ramps: bool = True) -> Schedule:
    """u(t) of a scenario's law and disruptions.

    Before its start a policy is as if it were not, whatever its levels will be.

    Args:
        scenario: where from.
        ramps: whether levels change all the time between the points of a policy, as announced at
            its start; otherwise each holds for a tick, as in the simulators.
    """
    world = build_world([scenario])
    makers = world.kind("manufacturing")
    values, slopes = [], []
    for tick in range(scenario.ticks):
        now = _levels(scenario, tick, tick)
        later = _levels(scenario, tick, tick + 1) if ramps else now
        today = conditions(world, tick)
        capacity, demand, available = today.capacity, today.demand, today.available
        # What came until a day ago is still in the factory.
        before = conditions(world, max(0, tick - int(COVER_TICKS))).available
        cut = (available.min(axis=1) == 0) & (before.min(axis=1) == 0)
        supplied = float(world.nominal[makers[~cut[makers]]].sum())
        supply = supplied / max(float(world.nominal[makers].sum()), TINY)
        left = [
            float(capacity[nodes].sum()) / max(float(world.capacity[nodes].sum()), TINY)
            for nodes in world.of_kind
        ]
        rest = [float(demand.sum()), supply, *left]
        values.append([*now, *rest])
        slopes.append([*(b - a for a, b in zip(now, later, strict=True)), *[0.0] * len(rest)])
    return _merged(np.array(values), np.array(slopes))


def _merged(values: Floats, slopes: Floats) -> Schedule:
    """A knot wherever something changes, and none elsewhere."""
    flat = ~slopes[:-1].any(axis=1) & ~slopes[1:].any(axis=1)
    same = flat & (values[1:] == values[:-1]).all(axis=1)
    kept = np.concatenate([[0], 1 + np.flatnonzero(~same)])
    return Schedule(kept.astype(np.float64), values[kept], slopes[kept])


def _levels(scenario: Scenario, tick: int, time: float) -> list[float]:
    """LEVELS at a time, of the policies that hold at a tick; together as in law.py."""
    found = dict.fromkeys(LEVELS, 0.0) | {"carbon_cap": NO_CAP}
    for policy in scenario.policies:
        if policy.start <= tick < policy.end:
            _enact(found, policy, time, scenario.returns)
    return list(found.values())


def _enact(found: dict[str, float], policy: Policy, time: float, returns: Returns) -> None:
    corners, heights = zip(*((point.tick, point.level) for point in policy.points), strict=True)
    level = float(np.interp(time, corners, heights))
    if policy.kind == "tax":
        found[f"{policy.subject}_tax"] += level
    elif policy.kind == "cap":
        found["carbon_cap"] = min(found["carbon_cap"], level)
    elif policy.kind == "ban":
        # Two bans of different products count as the wider one.
        banned = _mass_share(returns, policy.products) if level > 0 else 0.0
        found["landfill_ban"] = max(found["landfill_ban"], banned)
    else:
        found[policy.kind] = max(found[policy.kind], level)


def _mass_share(returns: Returns, keys: tuple[str, ...]) -> float:
    """Of the returned mass, that of some product classes; of all where none is named."""
    mass = {p.unu_key: p.share * float(MASS_KG[PRODUCT_INDEX[p.unu_key]]) for p in returns.products}
    chosen = sum(own for key, own in mass.items() if not keys or key in keys)
    return chosen / sum(mass.values())


class HandRates:
    """Mass action, bounded by capacities and by the law.

    Args:
        chain: whose reactions they are.
        library: numpy, or torch to differentiate the rates; they are written in what both have.
    """

    def __init__(self, chain: Chain, library: Any = np) -> None:
        self.chain = chain
        self._library = library

    def __call__(self, stocks: Floats, inputs: Floats) -> Floats:
        """Rates, kg per tick, [..., REACTIONS]; see `dynamics.Rates`."""
        ones = np.ones((*stocks.shape[:-1], len(REACTIONS)))
        rates: Floats = self.corrected(stocks, inputs, ones)
        return rates

    def corrected(self, stocks: Any, inputs: Any, gains: Any) -> Any:
        """Rates with a factor for every reaction, put in before bounds and orders are worked out.

        Args:
            stocks: kg, [..., STOCKS], of the library.
            inputs: [..., INPUTS].
            gains: >= 0, [..., REACTIONS].
        """
        gain = {name: gains[..., number] for name, number in REACTION.items()}
        rates = self._come_back(stocks, inputs, gain)
        rates |= self._recover(stocks, inputs, gain)
        rates |= self._make(stocks, inputs, gain, rates)
        return self._library.stack([rates[name] for name in REACTIONS], -1)

    def _come_back(self, stocks: Any, inputs: Any, gain: _Rates) -> _Rates:
        chain = self.chain
        returned = chain.returned_kg * stocks[..., STOCK["in_use"]] / max(chain.park_kg, TINY)
        lost = self._landfilled(inputs)
        return {
            "collect": returned * (1.0 - lost) * gain["collect"],
            "discard": returned * lost * gain["discard"],
        }

    def _landfilled(self, inputs: Any) -> Any:
        """Share of what comes back that goes to the landfill at once."""
        worst = float(self.chain.shares[3])
        legal = worst * (1.0 - inputs[..., INPUT["landfill_ban"]])
        return self._library.minimum(legal, 1.0 - inputs[..., INPUT["collection_target"]])

    def _recover(self, stocks: Any, inputs: Any, gain: _Rates) -> _Rates:
        reuse, remake, recycle, worst = self.chain.shares.tolist()
        recycle = recycle + worst - self._landfilled(inputs)  # what the law forbids to landfill
        kept = reuse + remake + recycle + TINY
        first, second, third, fourth = (
            1.0 + float(self.chain.service_ticks[KIND[kind]])
            for kind in ("collection", "disassembly", "recycling", "remanufacturing")
        )
        ticks = first + second * (remake + recycle) / kept + third * recycle / kept
        moved = stocks[..., STOCK["returned"]] / (kept * ticks)
        reused = self._bounded(moved * reuse * gain["reuse"], "collection", inputs)
        remade, recycled = (
            DISASSEMBLY_YIELD * moved * share * gain[name]
            for share, name in ((remake, "remanufacture"), (recycle, "recycle"))
        )
        dismantled = (remade + recycled) / DISASSEMBLY_YIELD
        slower = self._bounded(dismantled, "disassembly", inputs) / (dismantled + TINY)
        remade, recycled = remade * slower, recycled * slower
        recycled = self._bounded(recycled, "recycling", inputs)
        resold = stocks[..., STOCK["remanufactured"]] * gain["resell"] / fourth
        return {
            "reuse": reused,
            "remanufacture": remade,
            "recycle": recycled,
            "lose": (remade + recycled) * (1.0 / DISASSEMBLY_YIELD - 1.0) * gain["lose"],
            "resell": self._bounded(resold, "remanufacturing", inputs),
        }

    def _make(self, stocks: Any, inputs: Any, gain: _Rates, back: _Rates) -> _Rates:
        """To order, of a stock that is kept up: what a factory uses is ordered again."""
        least = self._library.minimum
        virgin, recycled = (stocks[..., STOCK[name]] for name in ("virgin", "recycled"))
        held = virgin + recycled
        missing = inputs[..., INPUT["demand"]] - back["reuse"] - back["resell"]
        wanted = missing.clip(0.0) / MANUFACTURING_YIELD * gain["make"]
        made = self._bounded(wanted, "manufacturing", inputs, inputs[..., INPUT["supply"]])
        content = inputs[..., INPUT["recycled_content"]]
        vouched = recycled / content.clip(TINY)
        made = least(least(made, held), vouched)
        mixed = (recycled / (held + TINY) * gain["make_again"]).clip(0.0, 1.0)
        share = self._library.maximum(mixed, content)
        short = (self.chain.cover_kg - held).clip(0.0)
        came = self.chain.recycling_yield * back["recycle"]
        ordered = (made - came + short).clip(0.0) * gain["extract"]
        ordered = self._bounded(ordered, "extraction", inputs)
        slower = self._slower(inputs, back, made, ordered)
        return {
            "make": least(made * slower * (1.0 - share), virgin),
            "make_again": least(made * slower * share, recycled),
            "extract": ordered * slower,
        }

    def _slower(self, inputs: Any, back: _Rates, made: Any, ordered: Any) -> Any:
        """What the carbon cap leaves of factories and mines, 0..1."""
        carbon = dict(zip(KINDS, self.chain.carbon_kg.tolist(), strict=True))
        emitted = (
            carbon["collection"] * back["collect"]
            + carbon["disassembly"] * (back["remanufacture"] + back["recycle"])
            + carbon["remanufacturing"] * back["resell"]
            + carbon["recycling"] * back["recycle"]
        )
        forward = carbon["manufacturing"] * made + carbon["extraction"] * ordered
        left = (inputs[..., INPUT["carbon_cap"]] - emitted).clip(0.0)
        return (left / (forward + TINY)).clip(0.0, 1.0)

    def _bounded(self, rate: Any, kind: str, inputs: Any, share: Any = 1.0) -> Any:
        most = float(self.chain.capacity_kg[KIND[kind]]) * inputs[..., INPUT[kind]] * share
        return self._library.minimum(rate, most)


def features(chain: Chain, stocks: Any, inputs: Any, library: Any = np) -> Any:
    """What the network sees, each of the order of one, [..., FEATURES].

    Stocks next to what the chain holds when all goes well; the law; what fails.
    """
    usual = {
        "virgin": chain.cover_kg,
        "in_use": chain.park_kg,
        "returned": 5.0 * chain.returned_kg,
        "remanufactured": chain.returned_kg,
        "recycled": chain.cover_kg,
    }
    seen = [library.log1p(stocks[..., STOCK[name]] / (kg + TINY)) for name, kg in usual.items()]
    nominal = 4.0 * float(chain.carbon_kg.mean()) * chain.demand_kg + TINY
    seen.append((inputs[..., INPUT["carbon_cap"]] / nominal).clip(0.0, 2.0))
    seen += [inputs[..., INPUT[name]] for name in INPUTS if name not in ("carbon_cap", "demand")]
    seen.append(inputs[..., INPUT["demand"]] / (chain.demand_kg + TINY))
    return library.stack(seen, -1)


FEATURES = 5 + len(INPUTS)


@dataclass(frozen=True, eq=False)
class Weights:
    """Of a network of fully connected layers with ReLU between them.

    Args:
        layers: (weight [out, in], bias [out]) each.
    """

    layers: tuple[tuple[Floats, Floats], ...]

    @property
    def parameters(self) -> int:
        """How many numbers."""
        return sum(weight.size + bias.size for weight, bias in self.layers)


class NetworkRates:
    """Hand-written rates with gains of 1/4 to 4 that a network reads from m and u.

    So they are never negative, and what an empty stock or a closed node forbids stays forbidden.

    Args:
        chain: whose reactions they are.
        weights: of the network.
    """

    def __init__(self, chain: Chain, weights: Weights) -> None:
        self.hand = HandRates(chain)
        self.weights = weights

    def __call__(self, stocks: Floats, inputs: Floats) -> Floats:
        """Rates, kg per tick, [..., REACTIONS]; see `dynamics.Rates`."""
        values = features(self.hand.chain, stocks, inputs)
        *hidden, (weight, bias) = self.weights.layers
        for inner, offset in hidden:
            values = np.maximum(values @ inner.T + offset, 0.0)
        gains = MOST_GAIN ** np.tanh(values @ weight.T + bias)
        rates: Floats = self.hand.corrected(stocks, inputs, gains)
        return rates
