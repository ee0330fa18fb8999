"""The mass ledger: what was there, plus what came, less what went, is what is there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from scenarios.world.layout import sum_columns
from scenarios.world.products import MATERIALS
from scenarios.world.state import MASS

if TYPE_CHECKING:
    from scenarios.world.arrays import World
    from scenarios.world.graph import Floats
    from scenarios.world.state import Tick

TOLERANCE = 1e-9


class MassBalanceError(ArithmeticError):
    """Mass came from nowhere or went nowhere: an error of the simulator, so exit code 70.

    Args:
        node: its name.
        material: which.
        excess_kg: what is there beyond what the ledger explains.
        tick: when.
    """

    def __init__(self, node: str, material: str, excess_kg: float, tick: int) -> None:
        self.node = node
        self.material = material
        self.excess_kg = excess_kg
        self.tick = tick
        super().__init__(
            f"tick {tick}: {node} holds {excess_kg:+.6g} kg of {material} that no flow explains"
        )


def close_ledger(
    world: World,
    tick: int,
    stocks: tuple[Floats, Floats],
    came: Floats,
    flows: Tick,
) -> None:
    """Check that every node's mass closes, material by material, to 1e-9 of what it handled.

    Args:
        world: the graph.
        tick: for the error.
        stocks: before the tick and after it, [n, m] each, kg.
        came: what hauls brought to every node, by material, [m, n].
        flows: what was sent over every haul, entered the world and left it.

    Raises:
        MassBalanceError: names the worst node, the material and the amount.
    """
    before, after = (stock.T for stock in stocks)
    had = before + came
    had += flows.extracted.T
    excess = sum_columns(world.hauls.source, flows.sent[MASS], world.nodes)
    excess += after
    excess += flows.disposed.T
    excess -= had
    allowed = TOLERANCE * had.sum(axis=0)
    # Not `excess > allowed`: a NaN must not pass.
    good = np.abs(excess) <= allowed
    if good.all() and (after >= -allowed).all():
        return
    worst = np.where(good, np.where(after < -allowed, -after, 0.0), np.abs(excess))
    material, node = np.unravel_index(int(np.nan_to_num(worst, nan=np.inf).argmax()), worst.shape)
    amount = (
        float(excess[material, node]) if not good[material, node] else float(after[material, node])
    )
    raise MassBalanceError(world.name(int(node)), MATERIALS[int(material)], amount, tick)
