"""Factories and mines of the discrete-event simulator, node by node; as in factories.py.

Written apart from the vectorised one on purpose: the two check each other.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from scenarios.world.graph import MANUFACTURING_YIELD

if TYPE_CHECKING:
    from scenarios.world.arrays import World
    from scenarios.world.graph import Floats
    from scenarios.world.view import View


@dataclass
class Made:
    """What one tick did.

    Args:
        made_kg: products.
        used_kg: material that went into them, residue included.
        secondary_kg: of that, what was in a product before.
        virgin_kg: material that entered.
        disposed_kg: residue.
        kg_km: hauled.
        processed: (node, kg) of every factory and mine.
        shipments: (target, kg by material).
    """

    made_kg: float
    used_kg: float
    secondary_kg: float
    virgin_kg: float
    disposed_kg: float
    kg_km: float
    processed: list[tuple[int, float]]
    shipments: list[tuple[int, list[float]]]


class Factories:
    """Remembers what of a factory's stock was in a product before; the rest is in the stocks."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._recipe: list[float] = world.recipe[0].tolist()
        self._factories = world.kind("manufacturing").tolist()
        self._products = self._by_target("manufacturing", "use")
        self._mines = self._by_target("extraction", "manufacturing")
        self._held: dict[int, float] = {}
        self._secondary = dict.fromkeys(self._factories, 0.0)
        self._coming: dict[int, list[float]] = {}

    def _by_target(self, source: str, target: str) -> dict[int, list[tuple[int, float]]]:
        stage = self._world.stage(source, target)
        ends: dict[int, list[tuple[int, float]]] = {}
        for a, b, far in zip(
            stage.source.tolist(),
            stage.target.tolist(),
            self._world.distance[stage.edges].tolist(),
            strict=True,
        ):
            ends.setdefault(b, []).append((a, far))
        return ends

    def run(
        self,
        stock: list[list[float]],
        coming: list[float],
        view: View,
        limit: Floats,
        cover_ticks: Floats,
        carbon_left: float,
    ) -> Made:
        """Make to order, order to cover; `stock` of the factories shrinks.

        Args:
            stock: kg by node and material.
            coming: kg of used products on the road to every use node.
            view: this tick.
            limit: kg that every node may process.
            cover_ticks: of nominal production to hold as material.
            carbon_left: kg CO2e that the cap leaves.
        """
        self._count_secondary(stock)
        most = {f: self._most(stock[f], float(limit[f])) for f in self._factories}
        pulls = self._pulls(view, most, coming)
        level = float(view.world.law.recycled_content[view.tick, 0])
        taken = {}
        for factory in self._factories:
            wanted = sum(mass for _, _, mass in pulls.get(factory, ())) / MANUFACTURING_YIELD
            amount = min(most[factory], wanted)
            if level > 0:
                amount = min(amount, self._secondary[factory] / level)
            taken[factory] = amount
        orders = self._orders(stock, view, limit, cover_ticks, taken)
        slower = self._slower(view, taken, orders, carbon_left)
        made = Made(0.0, 0.0, 0.0, 0.0, 0.0, 0.0, [], [])
        for factory, amount in taken.items():
            self._make(stock[factory], factory, amount * slower, level, pulls, made)
        for mine, factory, far, masses in orders:
            shipped = [mass * slower for mass in masses]
            total = sum(shipped)
            made.virgin_kg += total
            made.kg_km += total * far
            made.processed.append((mine, total))
            made.shipments.append((factory, shipped))
            self._coming[factory] = [
                a + b for a, b in zip(self._coming[factory], shipped, strict=True)
            ]
        self._held = {f: sum(stock[f]) for f in self._factories}
        return made

    def _count_secondary(self, stock: list[list[float]]) -> None:
        """What came since the last tick beyond the virgin shipments is secondary."""
        for factory in self._factories:
            if factory in self._held:
                gained = sum(stock[factory]) - self._held[factory]
                virgin = sum(self._coming[factory])
                self._secondary[factory] += max(0.0, gained - virgin)
            self._coming[factory] = [0.0] * len(self._recipe)

    def _most(self, held: list[float], limit: float) -> float:
        scarcest = min(
            mass / part for mass, part in zip(held, self._recipe, strict=True) if part > 0
        )
        return max(0.0, min(limit, scarcest))

    def _pulls(
        self, view: View, most: dict[int, float], coming: list[float]
    ) -> dict[int, list[tuple[int, float, float]]]:
        """What each factory is asked for: (use node, distance, kg)."""
        pulls: dict[int, list[tuple[int, float, float]]] = {}
        wanted = (view.state.backlog + view.demand).tolist()
        for use, sources in self._products.items():
            missing = wanted[use] - coming[use]
            missing = min(max(0.0, missing), float(view.capacity[use]))
            total = sum(most[factory] for factory, _ in sources)
            for factory, far in sources:
                if total > 0:
                    part = missing * most[factory] / total
                    pulls.setdefault(factory, []).append((use, far, part))
        return pulls

    def _orders(
        self,
        stock: list[list[float]],
        view: View,
        limit: Floats,
        cover_ticks: Floats,
        taken: dict[int, float],
    ) -> list[tuple[int, int, float, list[float]]]:
        """What each mine is to send: (mine, factory, distance, kg by material)."""
        orders = []
        asked: dict[int, float] = {}
        for factory, sources in self._mines.items():
            if view.capacity[factory] <= 0:
                continue
            cover = float(cover_ticks[factory] * view.world.nominal[factory])
            order = [
                max(0.0, cover * part - (held - taken[factory] * part)) * free
                for part, held, free in zip(
                    self._recipe, stock[factory], view.available[factory].tolist(), strict=True
                )
            ]
            total = sum(float(limit[mine]) for mine, _ in sources)
            for mine, far in sources:
                if total > 0:
                    share = float(limit[mine]) / total
                    masses = [mass * share for mass in order]
                    asked[mine] = asked.get(mine, 0.0) + sum(masses)
                    orders.append((mine, factory, far, masses))
        granted = {m: min(1.0, float(limit[m]) / a) if a > 0 else 1.0 for m, a in asked.items()}
        return [
            (mine, factory, far, [mass * granted[mine] for mass in masses])
            for mine, factory, far, masses in orders
        ]

    def _slower(
        self,
        view: View,
        taken: dict[int, float],
        orders: list[tuple[int, int, float, list[float]]],
        carbon_left: float,
    ) -> float:
        carbon = view.world.carbon
        emitted = sum(float(carbon[f]) * amount for f, amount in taken.items())
        emitted += sum(float(carbon[mine]) * sum(masses) for mine, _, _, masses in orders)
        return min(1.0, max(0.0, carbon_left) / emitted) if emitted > 0 else 1.0

    def _make(
        self,
        held: list[float],
        factory: int,
        amount: float,
        level: float,
        pulls: dict[int, list[tuple[int, float, float]]],
        made: Made,
    ) -> None:
        if amount <= 0:
            return
        share = min(1.0, amount / sum(held))
        secondary = max(level * amount, share * self._secondary[factory])
        secondary = min(secondary, self._secondary[factory])
        self._secondary[factory] -= secondary
        masses = [min(amount * part, mass) for part, mass in zip(self._recipe, held, strict=True)]
        made.used_kg += sum(masses)
        made.secondary_kg += min(secondary, sum(masses))
        for material, mass in enumerate(masses):
            held[material] -= mass
        made.processed.append((factory, amount))
        made.disposed_kg += sum(masses) * (1.0 - MANUFACTURING_YIELD)
        products = [mass * MANUFACTURING_YIELD for mass in masses]
        made.made_kg += sum(products)
        wanted = sum(mass for _, _, mass in pulls[factory])
        for use, far, mass in pulls[factory]:
            part = [product * mass / wanted for product in products]
            made.kg_km += sum(part) * far
            made.shipments.append((use, part))
