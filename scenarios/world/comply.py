"""The safety layer: the nearest compliant disposition is executed, and the wish is counted."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from jouleloop.errors import ScenarioError
from scenarios.world.graph import sum_by
from scenarios.world.products import Disposition
from scenarios.world.state import may_live_again

if TYPE_CHECKING:
    from scenarios.world.graph import Floats, Integers
    from scenarios.world.view import Action, Flags, View


def check_action(view: View, action: Action) -> None:
    """Refuse an action of the wrong shape or out of range.

    Raises:
        ScenarioError: says which part of it.
    """
    nodes = view.world.nodes
    for name, values, shape in (
        ("dispositions", action.dispositions, view.now.shape),
        ("activity", action.activity, (nodes,)),
        ("cover_ticks", action.cover_ticks, (nodes,)),
    ):
        if values.shape != shape:
            raise ScenarioError(
                f"the action's {name} have shape {values.shape}, not {shape}",
                hint="answer for every item and node of the view",
            )
    for name, values, high in (
        ("dispositions", action.dispositions, len(Disposition) - 1),
        ("activity", action.activity, 1.0),
        ("cover_ticks", action.cover_ticks, np.inf),
    ):
        if not len(values):
            continue
        least, most = values.min(), values.max()
        # No comparison with a NaN is true.
        if not 0 <= least <= most <= high or np.isinf(most):
            raise ScenarioError(
                f"the action's {name} are not all in 0..{high:g}", hint="clip them first"
            )


def comply(view: View, wished: Integers) -> tuple[Integers, Floats, Floats]:
    """Execute what the law allows.

    A banned landfill becomes recycling. Where too much would be disposed of for a collection
    target, the items of the best quality are recycled instead. An item that was used again as
    often as it can be is recycled too; that is no violation.

    Returns:
        Executed dispositions [k], violations and constrained decisions per scenario [b].
    """
    batch = len(view.world.scenarios)
    possible = wished.copy()
    worn_out = (wished <= Disposition.REMANUFACTURE) & ~may_live_again(view.state, view.now)
    possible[worn_out] = Disposition.RECYCLE
    executed = possible.copy()
    executed[(executed == Disposition.DISPOSE) & view.landfill_banned] = Disposition.RECYCLE
    target = view.world.law.collection_target[view.tick]
    if (target > 0).any():
        executed[_over_target(view, executed, target)] = Disposition.RECYCLE
    constrained = view.landfill_banned | (target > 0).take(view.scenario)
    changed = executed != possible
    return (
        executed,
        sum_by(view.scenario, changed.astype(float), batch),
        sum_by(view.scenario, constrained.astype(float), batch),
    )


def _over_target(view: View, executed: Integers, target: Floats) -> Flags:
    """Items whose disposal would break the target: the best ones go first."""
    mass, batch = view.mass_kg, len(target)
    allowed = (1.0 - target) * sum_by(view.scenario, mass, batch)
    is_disposed = executed == Disposition.DISPOSE
    # A scenario without a target allows everything.
    too_much = (sum_by(view.scenario, mass * is_disposed, batch) > allowed) & (target > 0)
    disposed = np.flatnonzero(is_disposed & too_much.take(view.scenario))
    order = disposed[np.lexsort((view.quality[disposed], view.scenario[disposed]))]
    total = np.cumsum(mass[order])
    owner = view.scenario[order]
    first = np.searchsorted(owner, owner, side="left")
    own_total = total - (total - mass[order])[first]
    over = np.zeros(len(executed), bool)
    over[order] = own_total > allowed[owner]
    return over
