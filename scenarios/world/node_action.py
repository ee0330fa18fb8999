"""Five numbers in [-1, 1] per node, and what they ask for.

| column | asks for |
| --- | --- |
| `reuse`, `remanufacture`, `recycle` | the least quality, 0..1, from which an item that comes back from this use node goes that way: the first that it passes, else it is disposed of |
| `activity` | the share of its capacity, 0..1, that the node may use |
| `cover` | for how many ticks of nominal production, 0..168, a factory holds material |

Every node has all five; what its kind has no use for changes nothing.
"""  # noqa: E501 - a table's row is one line

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from jouleloop.errors import ScenarioError
from scenarios.world.controllers import gate
from scenarios.world.view import Action

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from scenarios.world.graph import Floats
    from scenarios.world.view import View

COLUMNS = ("reuse", "remanufacture", "recycle", "activity", "cover")
ACTION_COUNT = len(COLUMNS)
MOST_COVER_TICKS = 168.0
GATES = slice(0, 3)
ACTIVITY, COVER = 3, 4


def to_action(view: View, values: NDArray[np.floating]) -> Action:
    """The action that the values ask for.

    Args:
        view: this tick.
        values: [n, ACTION_COUNT]; beyond -1..1 they are cut to it.

    Raises:
        ScenarioError: another shape, or a value that is not a number.
    """
    wanted = (view.world.nodes, ACTION_COUNT)
    if values.shape != wanted:
        raise ScenarioError(
            f"actions have shape {values.shape}, not {wanted}",
            hint=f"give every node {', '.join(COLUMNS)}",
        )
    if np.isnan(values).any():
        node = int(np.argwhere(np.isnan(values))[0, 0])
        raise ScenarioError(
            f"the action of {view.world.name(node)} is not a number", hint="give -1..1"
        )
    share: Floats = 0.5 * (np.clip(values.astype(np.float64), -1.0, 1.0) + 1.0)
    gates = share[view.items.node[view.now], GATES]
    return Action(gate(view.quality, gates), share[:, ACTIVITY], MOST_COVER_TICKS * share[:, COVER])
