"""The nearest plan that keeps every constraint of a network.

Status is decided first, by a threshold; what is off carries no flow. For that status the plans that
keep the constraints are convex, and the nearest is approached by splitting (splitting.py), brought
onto a grid, settled exactly (settling.py) and completed (grid.py): storage and exchange are the
nearest to the candidate's with s = A f + z. Where the status leaves no plan, the nodes that a plan
needs are switched on, and it is done again.

Every sum of a finished plan is one of whole units of the grid, so mass balances without any
rounding, in float32 too. Shared by a Linux node and the trainer; export/planner has it in C.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from edge_runtime.planner.arithmetic import (
    CANDIDATE_LIMIT_BITS,
    Arithmetic,
    FloatArithmetic,
    nearest,
)
from edge_runtime.planner.grid import GridBoxes, boxes_on_grid, complete
from edge_runtime.planner.network import Plans
from edge_runtime.planner.residuals import check_plans
from edge_runtime.planner.settling import Graph, Limits, Settled, settle
from edge_runtime.planner.splitting import Boxes, Splitting
from edge_runtime.planner.tables import make_tables
from edge_runtime.planner.validation import check_network
from jouleloop.errors import NetworkError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edge_runtime.planner.network import Network

    Floats = NDArray[np.float64]
    Integers = NDArray[np.int64]
    Parts = tuple[NDArray[Any], NDArray[Any], NDArray[Any]]  # flows, storage, exchange

ITERATIONS = 20
# Of a storage box on either side, so that most plans are complete without settling. A wider one
# moves plans away from the nearest: 1/128 ended five times as far from it.
MARGIN = 1.0 / 1024.0
ON = 0.5
MOST_NAMES = 6  # in a message
BOUNDS = ("storage_min", "storage_max", "exchange_min", "exchange_max", "quality_previous")


@dataclass(frozen=True)
class Effort:
    """How near to the nearest plan a projection comes.

    Args:
        iterations: of the splitting, at most.
        margin: of a storage box, kept free on either side during the splitting.
        tolerance_kg: a step that changes less is the last; None for all iterations.
    """

    iterations: int = ITERATIONS
    margin: float = MARGIN
    tolerance_kg: float | None = None


DEFAULT_EFFORT = Effort()  # what a device does


@dataclass(frozen=True, eq=False)
class Projected:
    """What a projection did.

    Args:
        plans: float64 of whole units, quality in the arithmetic's precision; each constraint holds.
        switched_on: bool [n], nodes had to be on that the candidate had switched off.
        paths: int64 [n], how many paths settled the last units; 0 where splitting was enough.
    """

    plans: Plans
    switched_on: NDArray[np.bool_]
    paths: Integers


class Projector:
    """Projects plans on one network.

    Args:
        network: any; it is validated.
        arithmetic: float64 is the specification; float32 and fixed point have the bits of the C.

    Raises:
        NetworkError: the network is broken, or the arithmetic is too coarse for it.
    """

    def __init__(self, network: Network, arithmetic: Arithmetic | None = None) -> None:
        check_network(network)
        self.network = network
        self.arithmetic: Arithmetic = arithmetic or FloatArithmetic()
        self.tables = make_tables(network, self.arithmetic)
        self._splitting = Splitting(network, self.tables, self.arithmetic)
        self._graph = Graph(
            network.sources.tolist(),
            network.targets.tolist(),
            [np.flatnonzero(network.targets == n).tolist() for n in range(len(network.nodes))],
            [np.flatnonzero(network.sources == n).tolist() for n in range(len(network.nodes))],
        )

    def project(
        self,
        candidate: Plans,
        bounds: Floats | None = None,
        *,
        effort: Effort = DEFAULT_EFFORT,
        near: Floats | None = None,
    ) -> Projected:
        """Project n candidates.

        Args:
            candidate: any finite numbers; beyond four times the largest bound they are cut.
            bounds: of this request, float64 [5, N] in the order of BOUNDS; None for the network's.
            effort: how near to come.
            near: flows near the nearest plan's, kg [n, E], found otherwise; the splitting is left
                out then.

        Raises:
            PlanError: a candidate of another network, or not finite.
            NetworkError: bounds that cross, or that no plan keeps: which, and by how much.
        """
        check_plans(self.network, candidate)
        given = self._bounds(bounds)
        grid = boxes_on_grid(self.network, self.tables, self.arithmetic, given)
        wanted = self._wanted(candidate)
        status = np.asarray(candidate.status) >= ON
        before = status.copy()
        flows, paths = self._find_flows(wanted, status, grid, effort, near)
        storage, exchange = complete(
            self._splitting.net_inflow(flows), (nearest(wanted[1]), nearest(wanted[2])), grid
        )
        unit_kg = np.float64(self.tables.unit_kg)
        plans = Plans(
            flows=unit_kg * flows,
            storage=unit_kg * storage,
            exchange=unit_kg * exchange,
            quality=self._limit_quality(candidate.quality, given[4]),
            status=status.astype(np.float64),
        )
        return Projected(plans, (status != before).any(axis=1), paths)

    def _find_flows(
        self,
        wanted: Parts,
        status: NDArray[np.bool_],
        grid: GridBoxes,
        effort: Effort,
        near: Floats | None,
    ) -> tuple[Integers, Integers]:
        """Flows in units, [n, E], and how many paths settled them; switches on what must be."""
        flows = np.zeros((len(status), len(self.network.sources)), np.int64)
        paths = np.zeros(len(status), np.int64)
        todo = np.arange(len(status))
        while len(todo):
            opened = self._open(status[todo])
            rows = (wanted[0][todo], wanted[1][todo], wanted[2][todo])
            if near is None:
                flows[todo] = self._split(rows, opened, grid, effort)
            else:
                units = np.asarray(near)[todo] / self.tables.unit_kg
                flows[todo] = np.floor(np.clip(units, 0, opened)).astype(np.int64)
                near = None  # no more so where nodes were switched on
            again = []
            for row in np.flatnonzero(self._is_unsettled(flows[todo], grid)).tolist():
                index = int(todo[row])
                settled = self._settle(opened[row], grid, flows[index])
                flows[index], paths[index] = settled.flows, settled.paths
                if self._is_stuck(settled):
                    status[index] |= self._needed(grid, settled)
                    again.append(index)
            todo = np.array(again, np.int64)
        return flows, paths

    def _is_unsettled(self, flows: Integers, grid: GridBoxes) -> NDArray[np.bool_]:
        """Plans with a node that cannot take its net inflow, or takes in too much; bool [n]."""
        net = self._splitting.net_inflow(flows)
        inflow = self._splitting.inflow(flows)
        broken = (
            (net < grid.storage_min - grid.exchange_max)
            | (net > grid.storage_max - grid.exchange_min)
            | (inflow > self.tables.inflow_max)
        )
        return np.asarray(broken.any(axis=1))

    def check_feasible(self, bounds: Floats | None = None) -> None:
        """Check that some plan keeps every constraint when every node is on.

        Raises:
            NetworkError: bounds that cross, or that no plan keeps: which, and by how much.
        """
        given = self._bounds(bounds)
        grid = boxes_on_grid(self.network, self.tables, self.arithmetic, given)
        nothing = np.zeros(len(self.network.sources), np.int64)
        settled = self._settle(self.tables.flow_max, grid, nothing)
        if self._is_stuck(settled):
            raise self._infeasible(settled)

    @cached_property
    def own_bounds(self) -> Floats:
        """The network's own bounds, [5, N] in the order of BOUNDS."""
        return np.stack([getattr(self.network, name) for name in BOUNDS])

    def _bounds(self, bounds: Floats | None) -> Floats:
        """Bounds in the precision of the arithmetic, checked."""
        if bounds is None:
            given = self.own_bounds
        else:
            given = np.asarray(bounds, np.float64)
            wanted = (len(BOUNDS), len(self.network.nodes))
            if given.shape != wanted:
                raise NetworkError(f"bounds have the shape {given.shape}; {wanted} are needed")
            check_network(replace(self.network, **dict(zip(BOUNDS, given, strict=True))))
        return given.astype(self.arithmetic.dtype).astype(np.float64)

    def _wanted(self, candidate: Plans) -> Parts:
        """Flows, storage and exchange in units, as the arithmetic holds numbers."""
        most = float(self.tables.span << CANDIDATE_LIMIT_BITS)
        parts = (candidate.flows, candidate.storage, candidate.exchange)
        units = [np.asarray(part, np.float64) / self.tables.unit_kg for part in parts]
        cut = [np.clip(part, -most, most).astype(self.arithmetic.dtype) for part in units]
        flows, storage, exchange = (self.arithmetic.number(part) for part in cut)
        return flows, storage, exchange

    def _open(self, on: NDArray[np.bool_]) -> Integers:
        """Largest flows, [n, E]: 0 where an end is off."""
        both = on[:, self.network.sources] & on[:, self.network.targets]
        opened: Integers = np.where(both, self.tables.flow_max, 0)
        return opened

    def _split(self, wanted: Parts, opened: Integers, grid: GridBoxes, effort: Effort) -> Integers:
        """Flows near the nearest, on the grid, [n, E]."""
        number = self.arithmetic
        low, high = number.number(grid.storage_min[None]), number.number(grid.storage_max[None])
        free = number.times(number.constant(effort.margin), high - low)
        boxes = Boxes(
            number.number(opened),
            low + free,
            high - free,
            number.number(grid.exchange_min[None]),
            number.number(grid.exchange_max[None]),
            number.number(self.tables.inflow_max),
        )
        enough = -1.0 if effort.tolerance_kg is None else effort.tolerance_kg / self.tables.unit_kg
        flows: Integers = self._splitting.run(wanted, boxes, effort.iterations, enough)[0].astype(
            np.int64
        )
        return flows

    def _settle(self, opened: Integers, grid: GridBoxes, flows: Integers) -> Settled:
        net_min, net_max = (
            grid.storage_min - grid.exchange_max,
            grid.storage_max - grid.exchange_min,
        )
        limits = Limits(
            opened.tolist(), self.tables.inflow_max.tolist(), net_min.tolist(), net_max.tolist()
        )
        return settle(self._graph, limits, flows)

    def _is_stuck(self, settled: Settled) -> bool:
        """Whether more is left than the rounding of bounds to the grid explains."""
        most = len(self.network.nodes) + len(self.network.sources)
        return max(settled.excess, settled.lack) > most

    def _needed(self, grid: GridBoxes, stuck: Settled) -> NDArray[np.bool_]:
        """Nodes that carry flow once every edge is open, [N]."""
        settled = self._settle(self.tables.flow_max, grid, stuck.flows)
        if self._is_stuck(settled):
            raise self._infeasible(settled)
        carries = settled.flows > 0
        needed = np.zeros(len(self.network.nodes), np.bool_)
        needed[self.network.sources[carries]] = True
        needed[self.network.targets[carries]] = True
        return needed

    def _limit_quality(self, quality: Floats, previous: Floats) -> Floats:
        """Quality within 0 and what its loss leaves of the previous one."""
        real = self.arithmetic.dtype
        kept = np.subtract(1.0, self.network.quality_loss, dtype=real)
        most = previous.astype(real) * kept
        limited = np.minimum(np.maximum(np.asarray(quality, real), real(0.0)), most)
        as_double: Floats = limited.astype(np.float64)
        return as_double

    def _infeasible(self, settled: Settled) -> NetworkError:
        names = [self.network.nodes[node] for node in settled.cut]
        if settled.excess:
            kilograms = settled.excess * self.tables.unit_kg
            what = "more than edges, storage_max and exchange_min can take away"
        else:
            kilograms = settled.lack * self.tables.unit_kg
            what = "less than storage_min and exchange_max ask for"
        return NetworkError(
            f"no plan keeps the constraints: {_listed(names)} "
            f"{'get' if len(names) > 1 else 'gets'} at least {kilograms:.6g} kg {what}",
            hint="widen a storage or exchange box there, or the edges that join it to the rest",
        )


def _listed(names: list[str]) -> str:
    """Names for a sentence: `a`, `a and b`, `a, b and 7 more`."""
    if len(names) > MOST_NAMES:
        names = [*names[: MOST_NAMES - 1], f"{len(names) - MOST_NAMES + 1} more"]
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
