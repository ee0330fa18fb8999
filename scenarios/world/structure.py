"""What a scenario's form cannot say: its graph holds together, and its law can be read."""

from __future__ import annotations

import itertools
from math import isclose
from typing import TYPE_CHECKING

from jouleloop.errors import ScenarioError
from scenarios.world.products import MASS_KG, PRODUCT_INDEX
from scenarios.world.schema import KINDS, SHARES, STAGES, SUBJECTS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from scenarios.world.schema import Policy, Scenario

MOST_UNITS = 10_000_000
_STAGES = frozenset(STAGES)
_TARGETS = {kind: [end for begin, end in STAGES if begin == kind] for kind in KINDS}


def check_structure(scenario: Scenario, where: str) -> None:
    """Check what holds between the parts of a scenario.

    Raises:
        ScenarioError: names the JSON path of the first thing that is wrong.
    """
    for path, reason in _problems(scenario):
        raise ScenarioError(f"{where}: {path}: {reason}", hint="mend it there, or take another")


def _problems(scenario: Scenario) -> Iterator[tuple[str, str]]:
    yield from _nodes(scenario)
    yield from _edges(scenario)
    yield from _cycles(scenario)
    yield from _returns(scenario)
    for position, policy in enumerate(scenario.policies):
        yield from _policy(policy, f"$.policies[{position}]")
    yield from _disruptions(scenario)


def _nodes(scenario: Scenario) -> Iterator[tuple[str, str]]:
    if len(scenario.index) < len(scenario.nodes):
        for position, node in enumerate(scenario.nodes):
            if scenario.index[node.id] != position:
                yield f"$.nodes[{position}].id", f"{node.id!r} is the id of an earlier node too"
    for position, node in enumerate(scenario.nodes):
        if node.demand_kg and node.kind != "use":
            yield f"$.nodes[{position}].demand_kg", f"a {node.kind} node wants no products"
    absent = set(KINDS) - {node.kind for node in scenario.nodes}
    if absent:
        yield "$.nodes", f"there is no {sorted(absent)[0]} node"


def _edges(scenario: Scenario) -> Iterator[tuple[str, str]]:
    index, kinds = scenario.index, [node.kind for node in scenario.nodes]
    seen: set[tuple[str, str]] = set()
    sends: set[tuple[str, str]] = set()
    for position, edge in enumerate(scenario.edges):
        source, target = edge.source, edge.target
        for end, name in (("source", source), ("target", target)):
            if name not in index:
                yield f"$.edges[{position}].{end}", f"no node is called {name!r}"
        stage = kinds[index[source]], kinds[index[target]]
        if stage not in _STAGES:
            yield f"$.edges[{position}]", f"a {stage[0]} node does not send to a {stage[1]} node"
        if (source, target) in seen:
            yield f"$.edges[{position}]", f"there are two from {source} to {target}"
        seen.add((source, target))
        sends.add((source, stage[1]))
    reached = {name for pair in seen for name in pair}
    for position, node in enumerate(scenario.nodes):
        if node.id not in reached:
            yield f"$.nodes[{position}]", f"{node.id} is isolated: no edge leads to or from it"
        for kind in _TARGETS[node.kind]:
            if (node.id, kind) not in sends:
                yield f"$.nodes[{position}]", f"{node.id} has no edge to a {kind} node"


def _cycles(scenario: Scenario) -> Iterator[tuple[str, str]]:
    index = scenario.index
    successors: list[list[int]] = [[] for _ in scenario.nodes]
    for edge in scenario.edges:
        successors[index[edge.source]].append(index[edge.target])
    component = components(successors)
    sizes = [0] * len(component)
    for number in component:
        sizes[number] += 1
    if max(sizes) < 2:
        yield "$.edges", "no cycle: nothing that is returned comes back into use"
    for position, node in enumerate(scenario.nodes):
        if node.capacity_kg == 0 and sizes[component[position]] > 1:
            reason = f"is 0, and {node.id} lies on a cycle, which then carries nothing"
            yield f"$.nodes[{position}].capacity_kg", reason


def components(successors: Sequence[Sequence[int]]) -> list[int]:
    """Number of the strongly connected component of every node (Tarjan 1972), without recursion.

    >>> components([[1], [0], [0]])
    [0, 0, 1]
    """
    order, low = [-1] * len(successors), [0] * len(successors)
    component = [-1] * len(successors)
    stack: list[int] = []
    clock = count = 0
    for root in range(len(successors)):
        if order[root] >= 0:
            continue
        work = [(root, iter(successors[root]))]
        order[root] = low[root] = clock
        clock += 1
        stack.append(root)
        while work:
            node, rest = work[-1]
            for following in rest:
                if order[following] < 0:
                    order[following] = low[following] = clock
                    clock += 1
                    stack.append(following)
                    work.append((following, iter(successors[following])))
                    break
                if component[following] < 0:
                    low[node] = min(low[node], order[following])
            else:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[node])
                if low[node] == order[node]:
                    while component[node] < 0:
                        component[stack.pop()] = count
                    count += 1
    return component


def _returns(scenario: Scenario) -> Iterator[tuple[str, str]]:
    products = scenario.returns.products
    for position, product in enumerate(products):
        if product.unu_key not in PRODUCT_INDEX:
            known = ", ".join(PRODUCT_INDEX)
            path = f"$.returns.products[{position}].unu_key"
            yield path, f"{product.unu_key!r} is no product class; they are {known}"
    if len({product.unu_key for product in products}) < len(products):
        yield "$.returns.products", "a product class is there twice"
    yield from _units(scenario)
    total = sum(product.share for product in products)
    if not isclose(total, 1.0, abs_tol=1e-6):
        yield "$.returns.products", f"the shares add up to {total:.6g}, not to 1"


def _units(scenario: Scenario) -> Iterator[tuple[str, str]]:
    """So many that a run would not fit in memory."""
    known = [p for p in scenario.returns.products if p.unu_key in PRODUCT_INDEX]
    unit_kg = sum(p.share * float(MASS_KG[PRODUCT_INDEX[p.unu_key]]) for p in known)
    demand_kg = sum(node.demand_kg for node in scenario.nodes)
    returned_kg = scenario.returns.ratio * demand_kg * scenario.ticks
    if returned_kg > MOST_UNITS * unit_kg:
        units = f"{returned_kg / unit_kg:.3g} units" if unit_kg else "no mass to a unit, but mass"
        yield "$.returns", f"{units} would come back in the run; at most {MOST_UNITS} can"


def _policy(policy: Policy, path: str) -> Iterator[tuple[str, str]]:
    if policy.subject not in SUBJECTS[policy.kind]:
        known = " or ".join(SUBJECTS[policy.kind])
        yield f"{path}.subject", f"a {policy.kind} is about {known}, not {policy.subject!r}"
    if policy.end <= policy.start:
        yield f"{path}.end", f"is {policy.end}, not after the start at {policy.start}"
    ticks = [point.tick for point in policy.points]
    if any(after <= before for before, after in itertools.pairwise(ticks)):
        yield f"{path}.points", "their ticks do not increase"
    for position, point in enumerate(policy.points):
        where = f"{path}.points[{position}]"
        if not policy.start <= point.tick < policy.end:
            yield f"{where}.tick", f"{point.tick} is not in [{policy.start}, {policy.end})"
        if policy.kind in SHARES and point.level > 1:
            yield f"{where}.level", f"{point.level:g} is no share"
    if policy.products and policy.kind != "ban":
        yield f"{path}.products", f"a {policy.kind} does not choose products"
    for position, key in enumerate(policy.products):
        if key not in PRODUCT_INDEX:
            yield f"{path}.products[{position}]", f"{key!r} is no product class"


_HIT = {"supply_outage": ("manufacturing",), "node_failure": KINDS, "demand_shock": ("use",)}


def _disruptions(scenario: Scenario) -> Iterator[tuple[str, str]]:
    for position, disruption in enumerate(scenario.disruptions):
        path = f"$.disruptions[{position}]"
        if disruption.end <= disruption.start:
            yield f"{path}.end", f"is {disruption.end}, not after {disruption.start}"
        for place, name in enumerate(disruption.nodes):
            if name not in scenario.index:
                yield f"{path}.nodes[{place}]", f"no node is called {name!r}"
            kind = scenario.nodes[scenario.index[name]].kind
            if kind not in _HIT[disruption.kind]:
                yield f"{path}.nodes[{place}]", f"a {disruption.kind} does not hit a {kind} node"
