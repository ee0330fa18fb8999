"""The linear programs of the world, by SciPy's HiGHS: feasible flow, exact bound, recovery paths.

This file alone calls SciPy, so that the rest needs NumPy alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from jouleloop.errors import ScenarioError
from jouleloop.programs import require_package
from scenarios.world.arrays import World, build_world
from scenarios.world.graph import (
    DISASSEMBLY_YIELD,
    KIND,
    MANUFACTURING_YIELD,
    RECYCLING_YIELD,
    REMANUFACTURING_YIELD,
    Floats,
    Integers,
    nominal_flow,
)
from scenarios.world.products import Disposition
from scenarios.world.returns import sample_items
from scenarios.world.schema import STAGES
from scenarios.world.values import ENERGY_USD_PER_MJ, HAUL_USD_PER_KG_KM, item_values

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scenarios.world.returns import Items
    from scenarios.world.schema import Scenario

# A flow is no circular one unless it brings back this share of the demand.
LEAST_CIRCULAR_SHARE = 0.05
ROUNDING = 1e-12  # of a sum of flows; HiGHS itself allows 1e-7

_YIELD = np.ones(len(KIND))
_YIELD[KIND["manufacturing"]] = MANUFACTURING_YIELD
_YIELD[KIND["disassembly"]] = DISASSEMBLY_YIELD
_YIELD[KIND["remanufacturing"]] = REMANUFACTURING_YIELD
_YIELD[KIND["recycling"]] = RECYCLING_YIELD.mean()

CIRCULAR = ("collection", "use"), ("remanufacturing", "use"), ("recycling", "manufacturing")


def require_feasible(scenarios: Sequence[Scenario], names: Sequence[str] | None = None) -> None:
    """Check that each scenario has a steady flow that meets its demand within its capacities.

    What cannot be used may be disposed of, but at least 5 % of the demand must be met by mass that
    comes back. All scenarios are one program: side by side they share nothing. A point that meets
    every constraint proves that there is a flow, and the nominal flow is mostly one; HiGHS is asked
    where it is not.

    Args:
        scenarios: of any lengths.
        names: what to call each in an error; its id when left out.

    Raises:
        ScenarioError: names the first scenario without such a flow.
        MissingToolError: SciPy is not installed.
    """
    if _is_feasible(scenarios):
        return
    if len(scenarios) == 1:
        name = names[0] if names else f"scenario {scenarios[0].id[:12]}"
        raise ScenarioError(
            f"{name}: $.nodes: no steady flow meets the demand of the use nodes, takes their "
            f"returns and brings {LEAST_CIRCULAR_SHARE:.0%} of the demand back within the "
            "capacities",
            hint="raise a capacity, lower a demand, or add an edge",
        )
    half = len(scenarios) // 2
    require_feasible(scenarios[:half], names[:half] if names else None)
    require_feasible(scenarios[half:], names[half:] if names else None)


def _is_feasible(scenarios: Sequence[Scenario]) -> bool:
    require_package("scipy")
    from scipy.sparse import csr_matrix, vstack

    aligned = [s.model_copy(update={"ticks": 1, "tick_hours": 1.0}) for s in scenarios]
    world = build_world(aligned)
    kind, edges, nodes = world.topology.kind, world.edges, world.nodes
    source, target = world.topology.source, world.topology.target
    columns = np.arange(edges)
    flow_in = csr_matrix((np.ones(edges), (target, columns)), (nodes, edges))
    flow_out = csr_matrix((np.ones(edges), (source, columns)), (nodes, edges))
    kept = csr_matrix((_YIELD[kind[target]], (target, columns)), (nodes, edges))
    is_use, is_source = kind == KIND["use"], kind == KIND["extraction"]
    inner = np.flatnonzero(~is_use & ~is_source)
    use = np.flatnonzero(is_use)
    returned = world.ratio[world.scenario] * world.demand
    circular = np.isin(world.topology.stage, [STAGES.index(stage) for stage in CIRCULAR])
    owner = world.scenario[source]
    returning = csr_matrix(
        (np.ones(int(circular.sum())), (owner[circular], columns[circular])),
        (len(scenarios), edges),
    )
    wanted = LEAST_CIRCULAR_SHARE * world.sum_nodes(world.demand)
    # A x <= b: no node makes mass, uses send their returns at most, demand is met, capacity holds.
    matrix = vstack(
        [
            flow_out[inner] - kept[inner],
            flow_out[use],
            -flow_in[use],
            flow_in[~is_source],
            flow_out[is_source],
            -returning,
        ]
    )
    limits = np.concatenate(
        [
            np.zeros(len(inner)),
            returned[use],
            -world.demand[use],
            world.capacity[~is_source],
            world.capacity[is_source],
            -wanted,
        ]
    )
    _, witness = nominal_flow(
        world.topology, world.capacity, world.demand, world.ratio[world.scenario]
    )
    if (matrix @ witness <= limits + ROUNDING * (1.0 + np.abs(limits))).all():
        return True
    return bool(_solve(np.zeros(edges), matrix, limits).status == 0)


def _solve(
    cost: Floats, matrix: Any, limits: Floats, *, most: Floats | None = None, **equalities: Any
) -> Any:
    """Minimise cost · x over matrix x <= limits and 0 <= x <= most."""
    from scipy.optimize import linprog

    high = np.full(len(cost), np.inf) if most is None else most
    bounds = np.stack([np.zeros(len(cost)), high], axis=1)
    return linprog(cost, A_ub=matrix, b_ub=limits, bounds=bounds, method="highs", **equalities)


def best_dispositions(world: World, items: Items) -> Integers:
    """The dispositions of all items that are worth most together within the capacities, int64 [k].

    The program knows every return of the run, and sees capacity over the whole run: what is sent
    to disassembly, to remanufacturing and to recycling may not exceed what those nodes together
    can process in all ticks. So its value is an upper bound on what any controller can reach. A
    basic solution splits at most as many items as there are capacities; these get their largest
    part.

    Raises:
        MissingToolError: SciPy is not installed.
    """
    chosen = np.zeros(len(items), np.int64)
    for number in range(len(world.scenarios)):
        mine = np.flatnonzero(items.scenario == number)
        if len(mine):
            chosen[mine] = solve_bound(world, items, number).shares.argmax(axis=1)
    return chosen


@dataclass(frozen=True, eq=False)
class Bound:
    """The relaxed optimum of one scenario.

    Args:
        value_usd: of all first returns together.
        shares: of each disposition of each item, [k, 4].
    """

    value_usd: float
    shares: Floats


def first_values(world: World, items: Items, members: Integers) -> Floats:
    """What each disposition of each item's first return is worth on its day, USD, [k, 4].

    Dispositions that the law forbids on that day are worth minus infinity.
    """
    tick, scenario = items.first_return[members], items.scenario[members]
    product = items.product[members]
    law = world.law
    value = item_values(
        product,
        items.quality[members],
        law.landfill_tax[tick, scenario],
        law.virgin_tax[tick, scenario],
    )
    value[law.landfill_ban[tick, scenario, product], Disposition.DISPOSE] = -np.inf
    return value


def solve_bound(world: World, items: Items, number: int) -> Bound:
    """The upper bound on the value of the first returns of one scenario of a batch.

    Raises:
        MissingToolError: SciPy is not installed.
    """
    require_package("scipy")
    from scipy.sparse import csr_matrix, identity, kron

    members = np.flatnonzero(items.scenario == number)
    value = first_values(world, items, members)
    count = len(members)
    mass = items.mass_kg(members)
    allowed = np.isfinite(value)
    # Kilograms that one item brings to disassembly, remanufacturing and recycling.
    dismantled = np.array([0.0, 1.0, 1.0, 0.0])
    remade = np.array([0.0, DISASSEMBLY_YIELD, 0.0, 0.0])
    recycled = np.array([0.0, 0.0, DISASSEMBLY_YIELD, 0.0])
    rows = np.stack([np.outer(mass, load).ravel() for load in (dismantled, remade, recycled)])
    limits = [_run_capacity(world, number, kind) for kind in BOUND_KINDS]
    solution = _solve(
        -np.where(allowed, value, 0.0).ravel(),
        csr_matrix(rows),
        np.array(limits),
        A_eq=kron(identity(count), np.ones((1, len(Disposition)))).tocsr(),
        b_eq=np.ones(count),
        most=np.where(allowed, 1.0, 0.0).ravel(),
    )
    if solution.status != 0:
        owner = world.scenarios[number].id[:12]
        raise ScenarioError(
            f"scenario {owner} has no dispositions within its capacities: {solution.message}",
            hint="raise the capacity of disassembly or recycling",
        )
    return Bound(-float(solution.fun), solution.x.reshape(count, len(Disposition)))


@lru_cache(maxsize=64)
def bound_usd(scenario: Scenario) -> float:
    """The upper bound on the value of a scenario's first returns, USD; solved once a process.

    Raises:
        MissingToolError: SciPy is not installed.
    """
    world = build_world((scenario,))
    return solve_bound(world, sample_items(world), 0).value_usd


BOUND_KINDS = ("disassembly", "remanufacturing", "recycling")


def _run_capacity(world: World, number: int, kind: str) -> float:
    nodes = world.kind(kind)
    return float(world.capacity[nodes[world.scenario[nodes] == number]].sum()) * world.ticks


@dataclass(frozen=True)
class RecoveryPlan:
    """How demand can be met around what has failed.

    Args:
        failed: nodes that are left out.
        cut: edges that carry nothing because of an outage: (source, target).
        served: share of the window's demand that can be met, 0..1.
        cost_usd: of the cheapest flow that does so: hauls and process energy.
        flows: (source, target, kg in the window), largest first.
    """

    failed: tuple[str, ...]
    cut: tuple[tuple[str, str], ...]
    served: float
    cost_usd: float
    flows: tuple[tuple[str, str, float], ...]


def recovery_paths(scenario: Scenario) -> RecoveryPlan:
    """The cheapest flow that serves the most demand within the recovery window.

    Nodes that fail in any disruption are left out, and so are the edges from extraction to
    factories that a supply outage hits. As many returns as usual come back.

    Raises:
        MissingToolError: SciPy is not installed.
    """
    require_package("scipy")
    from scipy.sparse import csr_matrix, hstack, identity, vstack

    world = build_world([scenario])
    kind, edges, nodes = world.topology.kind, world.edges, world.nodes
    source, target = world.topology.source, world.topology.target
    failed, starved = (
        np.isin(
            np.arange(nodes),
            [scenario.index[n] for d in scenario.disruptions if d.kind == sort for n in d.nodes],
        )
        for sort in ("node_failure", "supply_outage")
    )
    cut = (kind[source] == KIND["extraction"]) & starved[target]
    window = float(scenario.recovery_window_ticks)
    columns = np.arange(edges)
    flow_in = csr_matrix((np.ones(edges), (target, columns)), (nodes, edges))
    flow_out = csr_matrix((np.ones(edges), (source, columns)), (nodes, edges))
    kept = csr_matrix((_YIELD[kind[target]], (target, columns)), (nodes, edges))
    is_use, is_source = kind == KIND["use"], kind == KIND["extraction"]
    inner = np.flatnonzero(~is_use & ~is_source)
    use = np.flatnonzero(is_use)
    capacity = np.where(failed, 0.0, world.capacity) * window
    # One more column per use node: what it goes without.
    without = hstack([csr_matrix((len(use), edges)), -identity(len(use))])
    none = csr_matrix((nodes, len(use)))
    matrix = vstack(
        [
            hstack([flow_out[inner] - kept[inner], none[inner]]),
            hstack([flow_out[use], none[use]]),
            hstack([-flow_in[use], none[use]]) + without,
            hstack([flow_in[~is_source], none[~is_source]]),
            hstack([flow_out[is_source], none[is_source]]),
        ]
    )
    demand = world.demand[use] * window
    limits = np.concatenate(
        [
            np.zeros(len(inner)),
            world.ratio[0] * demand,
            -demand,
            capacity[~is_source],
            capacity[is_source],
        ]
    )
    price = HAUL_USD_PER_KG_KM * world.distance + ENERGY_USD_PER_MJ * world.energy[target]
    # To go without a kilogram is dearer than any path to it.
    cost = np.concatenate([price, np.full(len(use), 100.0 * float(price.max()) + 1.0)])
    most = np.concatenate([np.where(cut, 0.0, np.inf), demand])
    flow = _solve(cost, matrix.tocsr(), limits, most=most).x
    return _plan(scenario, failed, cut, flow, price, float(demand.sum()))


def _plan(
    scenario: Scenario,
    failed: np.ndarray[tuple[int, ...], np.dtype[np.bool_]],
    cut: np.ndarray[tuple[int, ...], np.dtype[np.bool_]],
    flow: Floats,
    price: Floats,
    demand_kg: float,
) -> RecoveryPlan:
    edges = scenario.edges
    moved = flow[: len(edges)]
    order = np.argsort(-moved, kind="stable")
    unmet = float(flow[len(edges) :].sum())
    return RecoveryPlan(
        failed=tuple(scenario.nodes[node].id for node in np.flatnonzero(failed).tolist()),
        cut=tuple((edges[e].source, edges[e].target) for e in np.flatnonzero(cut).tolist()),
        served=1.0 if demand_kg <= 0 else float(np.clip(1.0 - unmet / demand_kg, 0.0, 1.0)),
        cost_usd=float(moved @ price),
        flows=tuple(
            (edges[e].source, edges[e].target, float(moved[e]))
            for e in order.tolist()
            if moved[e] > 1e-6
        ),
    )
