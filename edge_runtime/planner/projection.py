"""The nearest plan that keeps every constraint of a network.

Status is decided first, by a threshold; what is off carries no flow. For that status the plans that
keep the constraints are convex, and the nearest is approached by splitting
(edge_runtime/planner/splitting.py), brought onto a grid, settled exactly (settling.py) and completed:
storage and exchange are the nearest to the candidate's with s = A f + z. Where the status leaves no
plan, the nodes that a plan needs are switched on, and it is done again.

Every sum of a finished plan is one of whole units of the grid, so mass balances without any rounding
in float32 too. Shared by a Linux node, the trainer, and the C of export/planner.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from edge_runtime.planner.arithmetic import (
    CANDIDATE_LIMIT_BITS,
    Arithmetic,
    FixedArithmetic,
    FloatArithmetic,
)
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
    Numbers = NDArray[Any]

ITERATIONS = 20
MARGIN = 1.0 / 128.0  # of a storage box on either side, so that the completion lands inside it
ON = 0.5
BOUNDS = ("storage_min", "storage_max", "exchange_min", "exchange_max", "quality_previous")


@dataclass(frozen=True, eq=False)
class Projected:
    """What a projection did.

    Args:
        plans: float64 of whole units, quality in the arithmetic's precision; every constraint holds.
        switched_on: bool [n], nodes had to be on that the candidate had switched off.
        paths: int64 [n], how many paths settled the last units; 0 where splitting was enough.
    """

    plans: Plans
    switched_on: NDArray[np.bool_]
    paths: Integers


@dataclass(frozen=True, eq=False)
class _Grid:
    """Bounds of a request in units, int64 [N]."""

    storage_min: Integers
    storage_max: Integers
    exchange_min: Integers
    exchange_max: Integers


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
        iterations: int = ITERATIONS,
        margin: float = MARGIN,
        tolerance: float | None = None,
    ) -> Projected:
        """Project n candidates.

        Args:
            candidate: any finite numbers; beyond four times the largest bound they are cut.
            bounds: of this request, float64 [5, N] in the order of BOUNDS; None for the network's.
                Storage and exchange beyond the network's largest bound are cut to it.
            iterations: of the splitting; with `tolerance`, of a round of it.
            margin: of a storage box, kept free on either side during the splitting.
            tolerance: kg: repeat rounds until a step changes less; None for a single round.

        Raises:
            PlanError: a candidate of another network, or not finite.
            NetworkError: bounds that cross, or that no plan keeps: which, and by how much.
        """
        check_plans(self.network, candidate)
        given = self._bounds(bounds)
        grid = self._grid(given)
        wanted = self._wanted(candidate)
        status = np.asarray(candidate.status) >= ON
        flows = np.zeros((len(status), len(self.network.sources)), np.int64)
        paths = np.zeros(len(status), np.int64)
        switched_on = np.zeros(len(status), np.bool_)
        todo = np.arange(len(status))
        while len(todo):
            rows = tuple(part[todo] for part in wanted)
            opened = self._open(status[todo])
            reached = self._split(rows, opened, grid, iterations, margin, tolerance)
            again = []
            for row, index in enumerate(todo.tolist()):
                settled = self._settle(opened[row], grid, reached[row])
                flows[index], paths[index] = settled.flows, settled.paths
                if self._is_stuck(settled):
                    status[index] |= self._needed(grid, settled)
                    switched_on[index] = True
                    again.append(index)
            todo = np.array(again, np.int64)
        plans = self._complete(flows, wanted, grid, candidate.quality, status, given)
        return Projected(plans, switched_on, paths)

    def check_feasible(self, bounds: Floats | None = None) -> None:
        """Check that some plan keeps every constraint when every node is on.

        Raises:
            NetworkError: bounds that cross, or that no plan keeps: which, and by how much.
        """
        grid = self._grid(self._bounds(bounds))
        nothing = np.zeros(len(self.network.sources), np.int64)
        settled = self._settle(self.tables.flow_max, grid, nothing)
        if self._is_stuck(settled):
            raise self._infeasible(settled)

    @cached_property
    def own_bounds(self) -> Floats:
        """The network's own bounds, [5, N] in the order of BOUNDS."""
        return np.stack([getattr(self.network, name) for name in BOUNDS])

    @property
    def _real(self) -> type[np.float64 | np.float32]:
        """What candidates and bounds are held in; a device has them in float32."""
        is_float = isinstance(self.arithmetic, FloatArithmetic)
        return self.arithmetic.dtype if is_float else np.float32

    def _bounds(self, bounds: Floats | None) -> Floats:
        """Bounds in the precision of the arithmetic, checked."""
        if bounds is None:
            given = self.own_bounds
        else:
            given = np.asarray(bounds, np.float64)
            wanted = (len(BOUNDS), len(self.network.nodes))
            if given.shape != wanted:
                raise NetworkError(f"bounds have the shape {given.shape}; {wanted} are needed")
            check_network(_with_bounds(self.network, given))
        return given.astype(self._real).astype(np.float64)

    def _grid(self, bounds: Floats) -> _Grid:
        """Boxes on the grid, rounded inwards; a box without a grid point inside gets the nearest."""
        units = np.clip(bounds[:4] / self.tables.unit_kg, -self.tables.span, self.tables.span)
        units = units.astype(self._real)
        low, high = np.ceil(units[0::2]), np.floor(units[1::2])
        nearest = np.trunc(units[0::2] + np.copysign(self._real(0.5), units[0::2]))
        low, high = np.where(low > high, nearest, low), np.where(low > high, nearest, high)
        lows, highs = low.astype(np.int64), high.astype(np.int64)
        return _Grid(lows[0], highs[0], lows[1], highs[1])

    def _wanted(self, candidate: Plans) -> tuple[Numbers, Numbers, Numbers]:
        """Flows, storage and exchange in units, as the arithmetic holds numbers."""
        most = float(self.tables.span << CANDIDATE_LIMIT_BITS)
        parts = (candidate.flows, candidate.storage, candidate.exchange)
        units = [np.asarray(part, np.float64) / self.tables.unit_kg for part in parts]
        cut = [np.clip(part, -most, most).astype(self._real) for part in units]
        flows, storage, exchange = (self.arithmetic.number(part) for part in cut)
        return flows, storage, exchange

    def _open(self, on: NDArray[np.bool_]) -> Integers:
        """Largest flows, [n, E]: 0 where an end is off."""
        both = on[:, self.network.sources] & on[:, self.network.targets]
        opened: Integers = np.where(both, self.tables.flow_max, 0)
        return opened

    def _split(
        self,
        wanted: tuple[Numbers, ...],
        opened: Integers,
        grid: _Grid,
        iterations: int,
        margin: float,
        tolerance: float | None,
    ) -> Integers:
        """Flows near the nearest, on the grid, [n, E]."""
        number = self.arithmetic
        low, high = number.number(grid.storage_min[None]), number.number(grid.storage_max[None])
        free = number.times(number.constant(margin), high - low)
        boxes = Boxes(
            number.number(opened),
            low + free,
            high - free,
            number.number(grid.exchange_min[None]),
            number.number(grid.exchange_max[None]),
            number.number(self.tables.inflow_max),
        )
        candidate = (wanted[0], wanted[1], wanted[2])
        plan, duals, change = self._splitting.run(candidate, boxes, iterations, None)
        rounds = 1
        while tolerance is not None and change > tolerance / self.tables.unit_kg and rounds < 1000:
            plan, duals, change = self._splitting.run(candidate, boxes, iterations, (plan, duals))
            rounds += 1
        return plan[0].astype(np.int64)

    def _settle(self, opened: Integers, grid: _Grid, flows: Integers) -> Settled:
        net_min, net_max = grid.storage_min - grid.exchange_max, grid.storage_max - grid.exchange_min
        limits = Limits(
            opened.tolist(), self.tables.inflow_max.tolist(), net_min.tolist(), net_max.tolist()
        )
        return settle(self._graph, limits, flows)

    def _is_stuck(self, settled: Settled) -> bool:
        """Whether more is left than the rounding of bounds to the grid explains."""
        most = len(self.network.nodes) + len(self.network.sources)
        return max(settled.excess, settled.lack) > most

    def _needed(self, grid: _Grid, stuck: Settled) -> NDArray[np.bool_]:
        """Nodes that carry flow once every edge is open, [N]."""
        settled = self._settle(self.tables.flow_max, grid, stuck.flows)
        if self._is_stuck(settled):
            raise self._infeasible(settled)
        carries = settled.flows > 0
        needed = np.zeros(len(self.network.nodes), np.bool_)
        needed[self.network.sources[carries]] = True
        needed[self.network.targets[carries]] = True
        return needed

    def _infeasible(self, settled: Settled) -> NetworkError:
        names = [self.network.nodes[node] for node in settled.cut]
        shown = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
        if settled.excess:
            kilograms = settled.excess * self.tables.unit_kg
            what = "more than edges, storage_max and exchange_min can take away"
        else:
            kilograms = settled.lack * self.tables.unit_kg
            what = "less than storage_min and exchange_max ask for"
        return NetworkError(
            f"no plan keeps the constraints: {shown} {'get' if len(names) > 1 else 'gets'} at least "
            f"{kilograms:.6g} kg {what}",
            hint="widen a storage or exchange box there, or the edges that join it to the rest",
        )

    def _complete(
        self,
        flows: Integers,
        wanted: tuple[Numbers, Numbers, Numbers],
        grid: _Grid,
        quality: Floats,
        status: NDArray[np.bool_],
        bounds: Floats,
    ) -> Plans:
        """Storage and exchange nearest to the candidate's with s = A f + z; quality within bounds."""
        net = self._splitting.net_inflow(flows)
        storage, exchange = (_nearest_integer(part) for part in wanted[1:])
        low = np.maximum(grid.exchange_min, grid.storage_min - net)
        high = np.minimum(grid.exchange_max, grid.storage_max - net)
        middle = (exchange + storage - net) >> 1
        exchange = np.maximum(np.minimum(middle, high), low)
        real = self._real
        kept = real(1.0) - self.network.quality_loss.astype(real)
        limited = np.minimum(
            np.maximum(np.asarray(quality, real), real(0.0)), bounds[4].astype(real) * kept
        )
        return Plans(
            flows=flows * self.tables.unit_kg,
            storage=(net + exchange) * self.tables.unit_kg,
            exchange=exchange * self.tables.unit_kg,
            quality=limited.astype(np.float64),
            status=status.astype(np.float64),
        )


def _nearest_integer(values: Numbers) -> Integers:
    return FixedArithmetic().number(values) if values.dtype.kind == "f" else values


def _with_bounds(network: Network, bounds: Floats) -> Network:
    from dataclasses import replace

    return replace(network, **dict(zip(BOUNDS, bounds, strict=True)))
