"""What is in a scenario, for people and for JSON."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from scenarios.world.linear_programs import recovery_paths
from scenarios.world.products import PRODUCT_INDEX, PRODUCTS
from scenarios.world.schema import KINDS

if TYPE_CHECKING:
    from scenarios.world.schema import Disruption, Policy, Scenario

SHOWN_FLOWS = 5


def summarise(scenario: Scenario) -> dict[str, Any]:
    """Counts, sums, and the rest in words.

    Raises:
        MissingToolError: SciPy, which finds the recovery paths, is not installed.
    """
    plan = recovery_paths(scenario)
    kinds = {
        kind: {
            "nodes": len(members),
            "capacity_kg": sum(node.capacity_kg for node in members),
            "demand_kg": sum(node.demand_kg for node in members),
        }
        for kind in KINDS
        if (members := [node for node in scenario.nodes if node.kind == kind])
    }
    paths = ", ".join(f"{a} → {b} {kg:.0f} kg" for a, b, kg in plan.flows[:SHOWN_FLOWS])
    lines = [
        f"seed {scenario.seed}, {scenario.ticks} ticks of {scenario.tick_hours:g} h, "
        f"{len(scenario.edges)} edges",
        f"returns: {scenario.returns.ratio:.0%} of what is delivered, as "
        + ", ".join(
            f"{p.share:.0%} {PRODUCTS[PRODUCT_INDEX[p.unu_key]].name}"
            for p in scenario.returns.products
        ),
        *map(_policy, scenario.policies),
        *map(_disruption, scenario.disruptions),
        f"around what fails, {plan.served:.1%} of the demand can be met within "
        f"{scenario.recovery_window_ticks} ticks for {plan.cost_usd:.0f} USD: {paths}, ...",
    ]
    return {
        "id": scenario.id,
        "seed": scenario.seed,
        "ticks": scenario.ticks,
        "edges": len(scenario.edges),
        "kinds": kinds,
        "recovery": asdict(plan),
        "lines": lines,
    }


def _policy(policy: Policy) -> str:
    levels = " → ".join(f"{point.level:g}" for point in policy.points)
    return f"policy: {policy.kind} on {policy.subject}, ticks {policy.start}-{policy.end}: {levels}"


def _disruption(disruption: Disruption) -> str:
    what = disruption.material or (f"× {disruption.factor:g}" if disruption.factor else "")
    where = ", ".join(disruption.nodes)
    span = f"ticks {disruption.start}-{disruption.end}"
    return f"disruption: {disruption.kind} {what} at {where}, {span}".replace("  ", " ")
