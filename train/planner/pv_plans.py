"""Plans of the photovoltaic network: what becomes of sampled returns under leaning decisions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edge_runtime.planner.network import Plans
from scenarios.pv_data import load_baseline
from scenarios.pv_outcomes import Disposition, all_outcomes
from scenarios.pv_returns import sample_returns
from train.planner.pv_network import (
    EDGES,
    KG_CO2_PER_MJ,
    KINDS,
    MODULES_PER_PERIOD,
    NODES,
    REGION_SHARES,
    delivered_per_returned,
    edge,
    returned_kg,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from edge_runtime.planner.network import Network
    from scenarios.pv_returns import ReturnedModules

    Floats = NDArray[np.float64]

PLANS_AT_ONCE = 64  # one market each
CHOICE_LEAN, ROUTE_LEAN, ROUTE_NOISE = 2.0, 1.5, 0.5
SLOWDOWN = np.array([0.32, 0.32])  # of deliveries, by weights of cost and CO2
DEMAND_NOISE, STOCK_NOISE, OFF_PROBABILITY = 0.08, 0.04, 0.1
BEST_QUALITY = 0.95


def simulate_pv_plans(
    network: Network,
    year: int,
    count: int,
    seed: int,
    *,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[Plans, Floats]:
    """Plans of the photovoltaic network and the weights they were made under.

    Args:
        network: `pv_network(year)`.
        year: of the returns.
        count: at least so many plans.
        seed: of returns, weights and noise.
        progress: called with (plans made, plans in all).

    Returns:
        The plans, and weights of cost and CO2, [n, 2].
    """
    random = np.random.default_rng([seed, year])
    plans, weights = [], []
    for made in range(0, count, PLANS_AT_ONCE):
        drawn = random.random((PLANS_AT_ONCE, 2))
        plans.append(_Periods(network, year, drawn, random).plans())
        weights.append(drawn)
        if progress is not None:
            progress(min(made + PLANS_AT_ONCE, count), count)
    joined = [np.concatenate([getattr(p, name) for p in plans]) for name in vars(plans[0])]
    return Plans(*joined), np.concatenate(weights)


class _Periods:
    """Periods side by side, one per row of weights."""

    def __init__(
        self, network: Network, year: int, weights: Floats, random: np.random.Generator
    ) -> None:
        self._network, self._year, self._weights, self._random = network, year, weights, random
        self._flows = np.zeros((len(weights), len(EDGES)))
        self._lost = np.zeros((len(weights), len(NODES)))
        self._status = np.ones((len(weights), len(NODES)))
        self._good = np.zeros((len(weights), len(NODES)))

    def plans(self) -> Plans:
        """What happens: returns, decisions, recycling, then making what is missing."""
        for kind in ("plant", "recycler"):
            self._stop_one(kind)
        kept, recovered = self._take_back()
        self._recycle(recovered)
        self._make(kept)
        balance = self._flows @ self._network.incidence.T
        exchange = -self._lost
        exchange[:, 0] = -balance[:, 0]
        best = self._network.quality_previous * (1.0 - self._network.quality_loss)
        quality = np.where(self._good > 0.0, np.minimum(self._good, best), best)
        return Plans(self._flows, balance + exchange, exchange, quality, self._status)

    def _stop_one(self, kind: str) -> None:
        """One of a pair is off now and then: the dear one sooner where cost weighs."""
        pair = [number for number, name in enumerate(KINDS) if name == kind]
        off = self._random.random(self._weights.shape) < OFF_PROBABILITY * (0.5 + self._weights)
        off[:, 0] &= ~off[:, 1]
        self._status[:, pair] = 1.0 - off

    def _shares(self, pair: list[str], signs: tuple[float, float]) -> Floats:
        """How two alternatives share what is sent, leaning by their cost and CO2, [n, 2]."""
        pull = ROUTE_LEAN * (self._weights @ np.array(signs))
        pull += ROUTE_NOISE * self._random.standard_normal(len(pull))
        first = 1.0 / (1.0 + np.exp(-pull))
        shares = np.stack([first, 1.0 - first], axis=1)
        shares *= self._status[:, [NODES.index(name) for name in pair]]
        split: Floats = shares / shares.sum(axis=1, keepdims=True)
        return split

    def _take_back(self) -> tuple[Floats, Floats]:
        """Sampled modules, decided one by one; mass kept by region, and recovered by recycler."""
        size, regions = len(self._weights), len(REGION_SHARES)
        counts = self._random.poisson(float(MODULES_PER_PERIOD), size)
        returns = sample_returns(self._random, self._year, int(counts.sum()))
        row = np.repeat(np.arange(size), counts)
        region = self._random.choice(regions, size=len(row), p=REGION_SHARES)
        hub = (self._random.random(len(row)) < np.array([0.75, 0.5, 0.25])[region]).astype(int)
        chosen, fates = self._decide(returns, row)
        recycler = self._shares(["recycler-0", "recycler-1"], (-1.0, 1.0))
        for number in range(regions):
            for place in (0, 1):
                here = (region == number) & (hub == place)
                self._add(f"field-{number}", f"hub-{place}", row[here], returns.mass_kg[here])
        kept, recovered = np.zeros((size, regions)), np.zeros((size, 2))
        for place in (0, 1):
            for disposition in Disposition:
                here = (hub == place) & (chosen == disposition)
                self._send(place, disposition, row[here], fates[here], recycler, recovered)
        again = chosen <= Disposition.REMANUFACTURE
        for number in range(regions):
            here = again & (region == number)
            kept[:, number] = np.bincount(row[here], fates[here, 0], size)
            for number_of, name in enumerate(("resale", "remanufacture")):
                mine = here & (chosen == number_of)
                self._add(name, f"field-{number}", row[mine], fates[mine, 0])
        mass = np.bincount(row, returns.mass_kg, size)
        worth = np.bincount(row, returns.mass_kg * returns.power_share, size)
        mean = np.minimum(BEST_QUALITY, worth / np.maximum(mass, 1e-9))[:, None]
        back = np.isin(KINDS, ("hub", "resale", "remanufacture", "recycler"))
        self._good[:, back] = mean * self._network.quality_previous[back]
        return kept, recovered

    def _decide(
        self, returns: ReturnedModules, row: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], Floats]:
        """A disposition for each module, and its mass by fate: kept, recovered, lost."""
        every = all_outcomes(returns)
        mass = returns.mass_kg[:, None]
        cost = -np.stack([outcome.value_usd for outcome in every], axis=1) / mass
        saved = np.stack([outcome.energy_j for outcome in every], axis=1) / mass * 1e-6
        co2 = -saved * KG_CO2_PER_MJ
        weights = self._weights[row]
        value = -CHOICE_LEAN * (weights[:, :1] * cost + weights[:, 1:] * co2)
        chosen = (value + self._random.gumbel(size=value.shape)).argmax(axis=1)
        fates = np.stack([outcome.mass_kg for outcome in every], axis=1)
        return chosen, fates[np.arange(len(row)), chosen]

    def _send(
        self,
        hub: int,
        disposition: Disposition,
        row: NDArray[np.int64],
        fates: Floats,
        recycler: Floats,
        recovered: Floats,
    ) -> None:
        """Send a hub's modules of one disposition on, and what is not kept to the recyclers."""
        name, mass = f"hub-{hub}", fates.sum(axis=1)
        size = len(self._weights)
        if disposition == Disposition.DISPOSE:
            self._lost[:, NODES.index(name)] += np.bincount(row, mass, size)
            return
        rest = np.bincount(row, fates[:, 1] + fates[:, 2], size)
        if disposition == Disposition.RECYCLE:
            source = name
        else:
            source = ("resale", "remanufacture")[disposition]
            self._add(name, source, row, mass)
        for number in (0, 1):
            part = recycler[:, number]
            self._flows[:, edge(source, f"recycler-{number}")] += rest * part
            got = np.bincount(row, fates[:, 1], size) * part
            recovered[:, number] += got
            self._lost[:, NODES.index(f"recycler-{number}")] += rest * part - got

    def _recycle(self, recovered: Floats) -> None:
        plants = self._shares(["plant-0", "plant-1"], (-1.0, 1.0))
        for number in (0, 1):
            for place in (0, 1):
                target = edge(f"recycler-{number}", f"plant-{place}")
                self._flows[:, target] += recovered[:, number] * plants[:, place]

    def _make(self, kept: Floats) -> None:
        """Deliver what the regions want beyond what came back, of virgin and recovered mass."""
        random, size = self._random, len(self._weights)
        new = returned_kg() * delivered_per_returned(self._year)
        slow = 1.0 - self._weights @ SLOWDOWN
        noise = 1.0 + DEMAND_NOISE * random.standard_normal((size, len(REGION_SHARES)))
        wanted = new * slow[:, None] * np.array(REGION_SHARES) * np.maximum(noise, 0.2)
        missing = np.maximum(0.0, wanted - kept)
        plants = self._shares(["plant-0", "plant-1"], (-1.0, 1.0))
        data = load_baseline()
        row = int(data.row(np.array([self._year]))[0])
        share = data.mass_kg_per_m2[row] / data.mass_kg_per_m2[row].sum()
        gain = float(share @ data.manufacture_yield[row])
        for place in (0, 1):
            name = f"plant-{place}"
            for number in range(len(REGION_SHARES)):
                made = missing[:, number] * plants[:, place]
                self._flows[:, edge(name, f"field-{number}")] += made
            made = missing.sum(axis=1) * plants[:, place]
            self._lost[:, NODES.index(name)] += made / gain - made
            recovered = sum(self._flows[:, edge(f"recycler-{n}", name)] for n in (0, 1))
            held = 1.0 + STOCK_NOISE * random.standard_normal(size)
            virgin = np.maximum(0.0, made / gain * held - recovered)
            on = self._status[:, NODES.index(name)]
            self._flows[:, edge("materials", name)] += virgin * on

    def _add(self, source: str, target: str, row: NDArray[np.int64], mass: Floats) -> None:
        self._flows[:, edge(source, target)] += np.bincount(row, mass, len(self._weights))
