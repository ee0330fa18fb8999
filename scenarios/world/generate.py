"""Random scenarios, each from a seed of its own."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from jouleloop.errors import ScenarioError
from scenarios.world.arrays import build_world
from scenarios.world.file import seal
from scenarios.world.graph import DISTANCE_KM, KIND, draw_topology, nominal_loads
from scenarios.world.linear_programs import require_feasible
from scenarios.world.products import PRODUCTS
from scenarios.world.schema import FORMAT, KINDS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from scenarios.world.graph import Floats, Integers, Topology
    from scenarios.world.schema import Scenario

FEWEST_NODES, MOST_NODES = len(KINDS), 100_000
OUTAGE_TICKS = 72
RECOVERY_WINDOW_TICKS = 48
FACILITIES = 3
CHUNK = 25  # scenarios per linear program: one call's overhead shared
_TIDY = "%.6g"


def scenario_seeds(count: int, seed: int) -> tuple[int, ...]:
    """Independent seeds; the first k do not depend on how many follow.

    Raises:
        ScenarioError: a count or a seed out of range.
    """
    if count < 1:
        raise ScenarioError(f"{count} scenarios were asked for", hint="ask for at least 1")
    if seed < 0:
        raise ScenarioError(f"seed {seed} is negative", hint="a seed is 0 or more")
    children = np.random.SeedSequence(seed).spawn(count)
    # 53 bits survive every reader of JSON.
    return tuple(int(child.generate_state(1, np.uint64)[0] >> 11) for child in children)


def make_scenarios(
    count: int, *, seed: int, nodes: int = 50, ticks: int = 240
) -> Iterator[Scenario]:
    """Random scenarios, each checked for form, structure and a feasible flow.

    Args:
        count: how many, >= 1.
        seed: >= 0.
        nodes: of each, 7..100000.
        ticks: hours of each run.

    Raises:
        ScenarioError: an argument out of range.
        MissingToolError: SciPy is not installed.
    """
    seeds = scenario_seeds(count, seed)
    for start in range(0, count, CHUNK):
        chunk = [make_scenario(own, nodes=nodes, ticks=ticks) for own in seeds[start:][:CHUNK]]
        require_feasible(chunk)
        yield from chunk


def make_scenario(seed: int, *, nodes: int = 50, ticks: int = 240) -> Scenario:
    """The scenario with this seed of its own; flow-feasible by construction, not yet by proof."""
    if not FEWEST_NODES <= nodes <= MOST_NODES:
        raise ScenarioError(
            f"{nodes} nodes were asked for", hint=f"ask for {FEWEST_NODES} to {MOST_NODES}"
        )
    if not 1 <= ticks <= 100_000:
        raise ScenarioError(f"{ticks} ticks were asked for", hint="ask for 1 to 100000")
    random = np.random.default_rng(seed)
    topology = draw_topology(random, nodes)
    names = _names(topology.kind)
    ratio = _tidy(random.uniform(0.5, 0.95))
    capacity = _tidy_all(random.lognormal(3.0, 0.5, nodes))
    demand = _draw_demand(random, topology, capacity, ratio)
    record = {
        "format": FORMAT,
        "seed": seed,
        "ticks": ticks,
        "tick_hours": 1.0,
        "recovery_window_ticks": RECOVERY_WINDOW_TICKS,
        "nodes": _node_records(random, topology, names, capacity, demand),
        "edges": _edge_records(random, topology, names),
        "returns": _draw_returns(random, ratio),
        "policies": _draw_policies(random, ticks, topology, capacity, demand, ratio),
        "disruptions": _draw_disruptions(random, ticks, topology.kind, names),
    }
    return seal(record)


def with_schedule(scenario: Scenario, seed: int) -> Scenario:
    """The same chain under other policies, disruptions and returns, all drawn from a seed."""
    random = np.random.default_rng(seed)
    world = build_world([scenario])
    topology, ratio = world.topology, scenario.returns.ratio
    names = [node.id for node in scenario.nodes]
    record = as_record(scenario) | {
        "seed": int(random.integers(2**53)),
        "policies": _draw_policies(
            random, scenario.ticks, topology, world.capacity, world.demand, ratio
        ),
        "disruptions": _draw_disruptions(random, scenario.ticks, topology.kind, names),
    }
    del record["id"]
    return seal(record)


def write_scenarios(
    folder: Path,
    count: int,
    *,
    seed: int,
    nodes: int = 50,
    ticks: int = 240,
    progress: Callable[[int, int], None] | None = None,
) -> list[tuple[str, str]]:
    """Write random scenarios as files called by the first twelve digits of their id.

    Returns:
        Name of the file and id, per scenario, in the order of their seeds.

    Raises:
        ScenarioError: an argument out of range.
        OSError: the folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for scenario in make_scenarios(count, seed=seed, nodes=nodes, ticks=ticks):
        path = folder / f"{scenario.id[:12]}.json"
        partial = path.with_suffix(".partial")
        try:
            # One encoding per value: reading it gives the number that was hashed.
            partial.write_text(json.dumps(as_record(scenario)), encoding="utf-8")
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)
        written.append((path.name, scenario.id))
        if progress is not None:
            progress(len(written), count)
    return written


def as_record(scenario: Scenario) -> dict[str, Any]:
    """The JSON object of a scenario that `make_scenario` made: what its id was taken of."""
    return scenario.model_dump(mode="json", exclude_unset=True)


def _tidy(value: float) -> float:
    """Six significant digits: files stay small, and nobody takes noise for precision."""
    return float(_TIDY % value)


def _tidy_all(values: Floats) -> Floats:
    return np.array([float(_TIDY % value) for value in values.tolist()])


def _names(kind: Integers) -> list[str]:
    seen = [0] * len(KINDS)
    names = []
    for number in kind.tolist():
        names.append(f"{KINDS[number]}-{seen[number]}")
        seen[number] += 1
    return names


def _draw_demand(
    random: np.random.Generator, topology: Topology, capacity: Floats, ratio: float
) -> Floats:
    """Demand in proportion to what use nodes can take, so high that the busiest node is near full.

    The nominal flow is the witness: it meets this demand within every capacity.
    """
    is_use = topology.kind == KIND["use"]
    wanted = np.where(is_use, capacity * random.uniform(0.5, 1.0, len(capacity)), 0.0)
    busiest = (nominal_loads(topology, capacity, wanted, ratio) / capacity).max()
    return _tidy_all(wanted * random.uniform(0.6, 0.9) / busiest)


def _node_records(
    random: np.random.Generator,
    topology: Topology,
    names: list[str],
    capacity: Floats,
    demand: Floats,
) -> list[dict[str, Any]]:
    energy = _tidy_all(random.uniform(0.5, 5.0, len(names))).tolist()
    carbon = _tidy_all(random.uniform(0.1, 2.0, len(names))).tolist()
    records = [
        {
            "id": name,
            "kind": KINDS[kind],
            "capacity_kg": most,
            "energy_mj_per_kg": joules,
            "carbon_kg_per_kg": emitted,
        }
        for name, kind, most, joules, emitted in zip(
            names, topology.kind.tolist(), capacity.tolist(), energy, carbon, strict=True
        )
    ]
    for node in np.flatnonzero(demand).tolist():
        records[node]["demand_kg"] = float(demand[node])
    return records


def _edge_records(
    random: np.random.Generator, topology: Topology, names: list[str]
) -> list[dict[str, Any]]:
    low, high = DISTANCE_KM[topology.stage].T
    distance = _tidy_all(random.uniform(low, high)).tolist()
    return [
        {"source": names[source], "target": names[target], "distance_km": far}
        for source, target, far in zip(
            topology.source.tolist(), topology.target.tolist(), distance, strict=True
        )
    ]


def _draw_returns(random: np.random.Generator, ratio: float) -> dict[str, Any]:
    chosen = np.sort(random.choice(len(PRODUCTS), size=random.integers(3, 7), replace=False))
    shares = random.dirichlet(np.full(len(chosen), 3.0)).round(4)
    shares[int(shares.argmax())] += 1.0 - shares.sum()
    return {
        "ratio": ratio,
        "age_correlation": _tidy(random.uniform(0.4, 0.8)),
        "products": [
            {"unu_key": PRODUCTS[index].unu_key, "share": _tidy(share)}
            for index, share in zip(chosen.tolist(), shares.tolist(), strict=True)
        ],
    }


def _draw_policies(
    random: np.random.Generator,
    ticks: int,
    topology: Topology,
    capacity: Floats,
    demand: Floats,
    ratio: float,
) -> list[dict[str, Any]]:
    """One to three policies of different kinds."""
    emission_scale = 1.05 * float(nominal_loads(topology, capacity, demand, ratio).sum())
    drawn: list[tuple[str, str, float, float]] = [
        ("tax", "carbon", 0.02, 0.25),
        ("tax", "virgin", 0.1, 1.0),
        ("tax", "landfill", 0.05, 0.6),
        ("cap", "carbon", 0.8 * emission_scale, 1.4 * emission_scale),
        ("recycled_content", "products", 0.05, 0.25),
        ("ban", "landfill", 1.0, 1.0),
        ("collection_target", "returns", 0.5, 0.9),
    ]
    chosen = np.sort(random.choice(len(drawn), size=random.integers(1, 4), replace=False))
    return [_draw_policy(random, ticks, *drawn[index]) for index in chosen.tolist()]


def _draw_policy(
    random: np.random.Generator, ticks: int, kind: str, subject: str, low: float, high: float
) -> dict[str, Any]:
    start = int(random.integers(0, max(1, ticks // 2)))
    end = int(random.integers(start + 1, ticks, endpoint=True))
    levels = [_tidy(level) for level in random.uniform(low, high, 2).tolist()]
    points = [{"tick": start, "level": levels[0]}]
    if end - start > 1 and low != high:
        points.append({"tick": end - 1, "level": levels[1]})
    policy: dict[str, Any] = {"kind": kind, "subject": subject}
    return policy | {"start": start, "end": end, "points": points}


def _draw_disruptions(
    random: np.random.Generator, ticks: int, kind: Integers, names: list[str]
) -> list[dict[str, Any]]:
    """The neodymium case at three facilities for 72 h, and at times something more."""
    start = int(random.integers(ticks // 4, ticks // 2, endpoint=True))
    makers = np.flatnonzero(kind == KIND["manufacturing"])
    hit = np.sort(random.choice(makers, size=min(FACILITIES, len(makers)), replace=False))
    drawn: list[dict[str, Any]] = [
        {
            "kind": "supply_outage",
            "start": start,
            "end": start + OUTAGE_TICKS,
            "nodes": [names[node] for node in hit.tolist()],
            "material": "rare_earths",
        }
    ]
    failing, shocked, when, fails, shocks = random.random(5)
    begin = int(when * ticks * 0.75)
    if fails < 0.5:
        node = int(failing * len(names))
        drawn.append(
            {"kind": "node_failure", "start": begin, "end": begin + 24, "nodes": [names[node]]}
        )
    if shocks < 0.5:
        users = np.flatnonzero(kind == KIND["use"])
        node = int(users[int(shocked * len(users))])
        drawn.append(
            {
                "kind": "demand_shock",
                "start": begin,
                "end": begin + 36,
                "nodes": [names[node]],
                "factor": 1.8,
            }
        )
    return drawn
