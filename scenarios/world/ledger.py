"""The mass ledger: what was there, plus what came, less what went, is what is there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from scenarios.world.products import MATERIALS

if TYPE_CHECKING:
    from scenarios.world.arrays import World
    from scenarios.world.graph import Floats

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
    before: Floats,
    after: Floats,
    flows: tuple[Floats, Floats],
    extracted: Floats,
    disposed: Floats,
) -> None:
    """Check that every node's mass closes, material by material, to 1e-9 of what it handled.

    Args:
        world: the graph.
        tick: for the error.
        before: stock at the beginning of the tick, [n, m], kg.
        after: stock at its end.
        flows: what arrived over every edge, and what was sent, [e, m] each.
        extracted: what entered the world, [n, m].
        disposed: what left it, [n, m].

    Raises:
        MassBalanceError: names the worst node, the material and the amount.
    """
    arrived, sent = flows
    came = before + world.inflow(arrived) + extracted
    excess = after + world.outflow(sent) + disposed - came
    allowed = TOLERANCE * came.sum(axis=1, keepdims=True)
    # Not `excess > allowed`: a NaN must not pass.
    good = np.abs(excess) <= allowed
    if good.all() and (after >= -allowed).all():
        return
    worst = np.where(good, np.where(after < -allowed, -after, 0.0), np.abs(excess))
    node, material = np.unravel_index(int(np.nan_to_num(worst, nan=np.inf).argmax()), worst.shape)
    amount = (
        float(excess[node, material]) if not good[node, material] else float(after[node, material])
    )
    raise MassBalanceError(world.name(int(node)), MATERIALS[int(material)], amount, tick)
