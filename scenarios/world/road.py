"""What is on the road between two ticks, kept as short as what it carries.

- From mines to factories: what each factory ordered, and the share of it on every haul.
- From factories to use: what each factory made, and the share of it on every haul.
- From use to collection a few items go at a time: by item.
- On the way back: what left every node, and the portion of it through every gate, which splits in
  constant shares.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from scenarios.world.graph import sum_by
from scenarios.world.layout import sum_columns
from scenarios.world.products import MATERIALS
from scenarios.world.schema import STAGES
from scenarios.world.state import COLUMNS, MASS, QUALITY

if TYPE_CHECKING:
    from scenarios.world.graph import Floats, Integers
    from scenarios.world.layout import Line, Makers, StageEdges, WayBack


@dataclass(frozen=True, eq=False)
class Road:
    """What left in one tick and arrives in the next.

    Args:
        ordered: material for every factory, kg, [m, f].
        ordered_kg: of all materials, [f].
        ordered_share: of that on every haul from a mine, [x].
        made: products of every factory: kg, of its recipe; kg × quality; secondary kg, [3, f].
        made_share: of that on every haul to use, [p].
        returned: every item on its way to collection, kg by column, [COLUMNS, k].
        door: haul from use to collection that each item takes, int64 [k].
        goods: what left every node of the way back, kg by column, [COLUMNS, w].
        goods_kg: of all materials, [w].
        portion: of that through every gate, [g].
        hauls: how the world was laid out when it was loaded.
    """

    ordered: Floats
    ordered_kg: Floats
    ordered_share: Floats
    made: Floats
    made_share: Floats
    returned: Floats
    door: Integers
    goods: Floats
    goods_kg: Floats
    portion: Floats
    hauls: Hauls

    def by_edge(self) -> Floats:
        """The columns of every edge, by its number, kg, [e, COLUMNS]."""
        hauls, edge = self.hauls, self.hauls.edge
        rows = np.zeros((len(edge), COLUMNS), order="F")
        columns = rows.T
        material = self.ordered[:, hauls.mines.target_place] * self.ordered_share
        columns[MASS, edge[hauls.mines.span]] = material
        # New material is of full quality, and none of it is secondary.
        columns[QUALITY, edge[hauls.mines.span]] = material.sum(axis=0)
        products = self.made[:, hauls.makers.place] * self.made_share
        columns[MASS, edge[hauls.makers.span]] = products[0] * hauls.recipe[:, hauls.makers.place]
        columns[QUALITY:, edge[hauls.makers.span]] = products[1:]
        doors = hauls.returning.stop - hauls.returning.start
        columns[:, edge[hauls.returning]] = sum_columns(self.door, self.returned, doors)
        columns[:, edge[hauls.back]] = self.goods[:, hauls.place] * self.back_share()
        return rows

    def back_share(self) -> Floats:
        """Of what left a node of the way back, on every haul from it."""
        share: Floats = self.portion.take(self.hauls.gate)
        share *= self.hauls.share
        return share

    def gate_kg(self) -> Floats:
        """What left every gate of the way back, [g]."""
        passed = np.empty_like(self.portion)
        for gates, places in self.hauls.owners:
            np.multiply(self.goods_kg[places], self.portion[gates], out=passed[gates])
        return passed

    def mined(self) -> Floats:
        """What hauls took from every mine, kg by material, [m, x]."""
        mines = self.hauls.mines
        material = self.ordered[:, mines.target_place] * self.ordered_share
        return sum_columns(mines.place, material, self.hauls.mine_count)

    def mined_kg(self) -> Floats:
        """What hauls took from every mine, of all materials, [x]."""
        mines = self.hauls.mines
        taken = self.ordered_kg.take(mines.target_place) * self.ordered_share
        return sum_by(mines.place, taken, self.hauls.mine_count)

    def left(self) -> tuple[Floats, Floats, Floats]:
        """What hauls took from factories, use nodes and the way back, kg by material, [m, ...]."""
        hauls = self.hauls
        made_carried = sum_by(hauls.makers.place, self.made_share, self.made.shape[1])
        goods_carried = np.zeros(self.goods.shape[1])
        through = self.portion * hauls.carried
        for gates, places in hauls.owners:
            goods_carried[places] += through[gates]
        at_door = hauls.returning_place.take(self.door)
        return (
            self.made[0] * made_carried * hauls.recipe,
            sum_columns(at_door, self.returned[MASS], hauls.users),
            self.goods[MASS] * goods_carried,
        )


class Hauls:
    """All edges, ordered by stage, then by source and by target.

    Args:
        stages: edges by stage; from mines and factories first, then from use, then the way back.
        distance: of every edge, km, [e].
        line: of all nodes.
        makers: factories.
        back: the way back.
    """

    def __init__(
        self,
        stages: tuple[StageEdges, ...],
        distance: Floats,
        line: Line,
        makers: Makers,
        back: WayBack,
    ) -> None:
        self.edge = np.concatenate([stage.edges for stage in stages])
        self.source = line.position[np.concatenate([stage.source for stage in stages])]
        self.target = line.position[np.concatenate([stage.target for stage in stages])]
        self.distance = distance[self.edge]
        self.mines, self.makers, returning = (
            stages[STAGES.index(pair)]
            for pair in (
                ("extraction", "manufacturing"),
                ("manufacturing", "use"),
                ("use", "collection"),
            )
        )
        self.returning, self.recipe = returning.span, makers.recipe
        mines = line.spans["extraction"]
        self.mine_count = mines.stop - mines.start
        self.direct = slice(0, returning.span.start)
        self.back = slice(self.returning.stop, len(self.edge))
        self.gate, self.share, gates = back.gate, back.share, back.gate_count
        self.place, self.places = back.place, len(back)
        # What hauls carry of what leaves a gate: all of it, if the shares are what they say.
        self.carried = np.bincount(self.gate, self.share, gates)
        self.gate_km = np.bincount(self.gate, self.share * self.distance[self.back], gates)
        # Gates, and where on the way back the nodes stand to which they belong.
        self.owners = tuple((gates, back.spans[kind]) for (kind, _), gates in back.gates.items())
        self.returning_place, self.users = returning.place, len(line.node[line.spans["use"]])
        self.scenario = line.scenario[self.source]
        self.gate_scenario = np.concatenate([back.scenario[span] for _, span in self.owners])

    def start(self, items: int) -> Road:
        """A road with room for so many items; what it carries is still to be written."""
        factories = self.recipe.shape[1]
        return Road(
            ordered=np.empty((len(MATERIALS), factories)),
            ordered_kg=np.empty(factories),
            ordered_share=np.empty(len(self.mines.edges)),
            made=np.empty((3, factories)),
            made_share=np.empty(len(self.makers.edges)),
            returned=np.empty((COLUMNS, items)),
            door=np.empty(items, np.int64),
            goods=np.empty((COLUMNS, self.places)),
            goods_kg=np.empty(self.places),
            portion=np.empty(len(self.carried)),
            hauls=self,
        )


def bring_shares(
    goods: Floats, place: Integers, share: Floats, target: Integers, coming: Floats
) -> None:
    """Add shares [e] of the goods at places [c, k] to what comes to targets [c, n]."""
    carried = np.empty(len(place))
    for left, total in zip(goods, coming, strict=True):
        # All places are valid; to check them would cost a buffer.
        np.take(left, place, out=carried, mode="wrap")
        carried *= share
        np.add.at(total, target, carried)
