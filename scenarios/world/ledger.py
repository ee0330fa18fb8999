"""The mass ledger: what was there, plus what came, less what went, is what is there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from scenarios.world.products import MATERIALS
from scenarios.world.state import MASS

if TYPE_CHECKING:
    from scenarios.world.arrays import World
    from scenarios.world.graph import Floats, Integers
    from scenarios.world.state import Tick

TOLERANCE = 1e-9


class MassBalanceError(ArithmeticError):
    """Mass came from nowhere or went nowhere: an error of the simulator, so exit code 70.

    Args:
        node: its name.
        material: which, or `all materials`.
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


def close_ledger(world: World, number: int, tick: Tick) -> None:
    """Check that every node's mass closes, material by material, to 1e-9 of what it handled.

    Args:
        world: the graph.
        number: of the tick, for the error.
        tick: what was there, what is left of it, and what was mined, sent and thrown away.

    Raises:
        MassBalanceError: names the worst node of a kind, the material and the amount.
    """
    _close_mines(world, number, tick)
    holders = (world.makers, world.users, world.way_back)
    for members, left in zip(holders, tick.road.left(), strict=True):
        span = members.span
        held, allowed = tick.held[MASS, span], TOLERANCE * tick.there_kg[span]
        excess = left + held
        excess += tick.thrown[:, span]
        excess -= tick.there[MASS, span]
        # Not `excess > allowed`: a NaN must not pass.
        closes = np.abs(excess) <= allowed
        if not (closes.all() and (held.min(initial=0.0) >= 0.0 or (held >= -allowed).all())):
            raise _error(world, number, members.nodes, (excess, held, allowed))


def _close_mines(world: World, number: int, tick: Tick) -> None:
    """Mines hold nothing: what enters the world there is on its way, to the kilogram."""
    mines, extracted = world.mines, tick.processed[world.mines.span]
    excess = extracted - tick.road.mined_kg()
    closes = np.abs(excess) <= TOLERANCE * extracted
    if not closes.all():
        worst = int(np.nan_to_num(np.where(closes, 0.0, np.abs(excess)), nan=np.inf).argmax())
        name = world.name(int(mines.nodes[worst]))
        raise MassBalanceError(name, "all materials", float(excess[worst]), number)


def _error(
    world: World, number: int, nodes: Integers, kg: tuple[Floats, Floats, Floats]
) -> MassBalanceError:
    """The worst of some nodes, given what no flow explains, what is held, and what may pass."""
    excess, held, allowed = kg
    good = np.abs(excess) <= allowed
    worst = np.where(good, np.where(held < -allowed, -held, 0.0), np.abs(excess))
    at = np.unravel_index(int(np.nan_to_num(worst, nan=np.inf).argmax()), worst.shape)
    amount = float(held[at] if good[at] else excess[at])
    return MassBalanceError(world.name(int(nodes[at[1]])), MATERIALS[int(at[0])], amount, number)
