"""What is on the road between two ticks, kept as short as what it carries.

- From mines to factories: what each factory ordered, and the share of it on every haul.
- From factories to use: what each factory made, and the share of it on every haul.
- From use to collection a few items go at a time: by item.
- On the way back: what left every gate, which splits in constant shares.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from scenarios.world.graph import sum_by
from scenarios.world.layout import add_columns, sum_columns
from scenarios.world.products import MATERIALS
from scenarios.world.schema import STAGES
from scenarios.world.state import MASS, QUALITY, TO_REUSE

if TYPE_CHECKING:
    from scenarios.world.graph import Floats, Integers
    from scenarios.world.layout import Line, StageEdges, WayBack

# So many hauls at a time that their places, shares and targets stay in the cache for all columns.
_BLOCK = 16_384


@dataclass(frozen=True, eq=False)
class Road:
    """What left in one tick and arrives in the next.

    Args:
        ordered: material for every factory, kg, [m, f].
        ordered_share: of that on every haul from a mine, [x].
        made: products of every factory, kg by column up to SECONDARY, [TO_REUSE, f].
        made_share: of that on every haul to use, [p].
        returned: every item on its way to collection, kg by column, [TO_REUSE, k].
        door: haul from use to collection that each item takes, int64 [k].
        goods: what left every gate of the way back, kg by column, [TO_REUSE, g].
        hauls: how the world was laid out when it was loaded.
    """

    ordered: Floats
    ordered_share: Floats
    made: Floats
    made_share: Floats
    returned: Floats
    door: Integers
    goods: Floats
    hauls: Hauls

    def by_edge(self) -> Floats:
        """The columns of every edge, by its number, kg, [e, TO_REUSE]."""
        hauls, edge = self.hauls, self.hauls.edge
        rows = np.zeros((len(edge), TO_REUSE), order="F")
        columns = rows.T
        material = self.ordered[:, hauls.mines.target_place] * self.ordered_share
        columns[MASS, edge[hauls.mines.span]] = material
        # New material is of full quality, and none of it is secondary.
        columns[QUALITY, edge[hauls.mines.span]] = material.sum(axis=0)
        products = self.made[:, hauls.makers.place] * self.made_share
        columns[:, edge[hauls.makers.span]] = products
        doors = hauls.returning.stop - hauls.returning.start
        columns[:, edge[hauls.returning]] = sum_columns(self.door, self.returned, doors)
        columns[:, edge[hauls.back]] = self.goods[:, hauls.gate] * hauls.share
        return rows

    def left(self) -> Floats:
        """What hauls took from every position of the line, kg by material, [m, n]."""
        hauls = self.hauls
        left = np.zeros((len(MATERIALS), hauls.nodes))
        mines, makers = hauls.mines, hauls.makers
        source = hauls.source[mines.span]
        bring_shares(self.ordered, mines.target_place, self.ordered_share, source, left)
        at_door = hauls.source[hauls.returning][self.door]
        add_columns(left, at_door, self.returned[MASS])
        carried = sum_by(makers.place, self.made_share, self.made.shape[1])
        np.multiply(self.made[MASS], carried, out=left[:, hauls.makers_span])
        carried_goods = self.goods[MASS] * hauls.carried
        for gates, positions in hauls.owners:
            left[:, positions] += carried_goods[:, gates]
        return left


class Hauls:
    """All edges, ordered by stage, then by source and by target.

    Args:
        stages: edges by stage; from mines and factories first, then from use, then the way back.
        distance: of every edge, km, [e].
        line: of all nodes.
        back: the way back.
    """

    def __init__(
        self, stages: tuple[StageEdges, ...], distance: Floats, line: Line, back: WayBack
    ) -> None:
        self.edge = np.concatenate([stage.edges for stage in stages])
        self.source = line.position[np.concatenate([stage.source for stage in stages])]
        self.target = line.position[np.concatenate([stage.target for stage in stages])]
        self.distance = distance[self.edge]
        mines, makers, returning = (
            stages[STAGES.index(pair)]
            for pair in (
                ("extraction", "manufacturing"),
                ("manufacturing", "use"),
                ("use", "collection"),
            )
        )
        self.mines, self.makers, self.returning = mines, makers, returning.span
        self.makers_span = line.spans["manufacturing"]
        self.direct = slice(0, returning.span.start)
        self.back = slice(self.returning.stop, len(self.edge))
        self.gate, self.share, gates = back.gate, back.share, back.gate_count
        # What hauls carry of what leaves a gate: all of it, if the shares are what they say.
        self.carried = np.bincount(self.gate, self.share, gates)
        self.gate_km = np.bincount(self.gate, self.share * self.distance[self.back], gates)
        self.nodes = len(line.node)
        # Gates, and where in the line the nodes stand to which they belong.
        self.owners = tuple((gates, line.spans[kind]) for (kind, _), gates in back.gates.items())
        self.scenario = line.scenario[self.source]
        self.gate_scenario = np.concatenate([line.scenario[span] for _, span in self.owners])

    def start(self, items: int) -> Road:
        """A road with room for so many items; what it carries is still to be written."""
        factories = self.makers_span.stop - self.makers_span.start
        return Road(
            ordered=np.empty((len(MATERIALS), factories)),
            ordered_share=np.empty(len(self.mines.edges)),
            made=np.empty((TO_REUSE, factories)),
            made_share=np.empty(len(self.makers.edges)),
            returned=np.empty((TO_REUSE, items)),
            door=np.empty(items, np.int64),
            goods=np.empty((TO_REUSE, len(self.carried))),
            hauls=self,
        )


def bring_shares(
    goods: Floats, place: Integers, share: Floats, target: Integers, coming: Floats
) -> None:
    """Add shares [e] of the goods at places [c, k] to what comes to targets [c, n]."""
    for begin in range(0, len(target), _BLOCK):
        block = slice(begin, begin + _BLOCK)
        of, part, to = place[block], share[block], target[block]
        carried = np.empty(len(of))
        for left, total in zip(goods, coming, strict=True):
            # All places are valid; to check them would cost a buffer.
            np.take(left, of, out=carried, mode="clip")
            carried *= part
            np.add.at(total, to, carried)
