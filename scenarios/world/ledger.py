"""The mass ledger: what was there, plus what came, less what went, is what is there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from scenarios.world.products import MATERIALS

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
        stocks: before the tick and after it, by material and in the order of the line, [m, n] each,
            kg.
        came: what hauls brought to every position, by material, [m, n].
        flows: what was sent over every haul, entered the world and left it.

    Raises:
        MassBalanceError: names the worst node, the material and the amount.
    """
    before, after = stocks
    had = before + came
    had[:, world.mines.span] += flows.mined
    excess = flows.road.left()
    excess += after
    excess += flows.thrown
    excess -= had
    allowed = TOLERANCE * had.sum(axis=0)
    # Not `excess > allowed`: a NaN must not pass.
    closes = np.abs(excess).max(axis=0) <= allowed
    if closes.all() and (after.min(axis=0) >= -allowed).all():
        return
    good = np.abs(excess) <= allowed
    worst = np.where(good, np.where(after < -allowed, -after, 0.0), np.abs(excess))
    at = np.unravel_index(int(np.nan_to_num(worst, nan=np.inf).argmax()), worst.shape)
    amount = float(after[at] if good[at] else excess[at])
    node = world.name(int(world.line.node[at[1]]))
    raise MassBalanceError(node, MATERIALS[int(at[0])], amount, tick)
