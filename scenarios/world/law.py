"""The levels of all policies at every tick; outside [start, end) a policy is as if it were not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from scenarios.world.products import PRODUCT_INDEX, PRODUCTS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scenarios.world.schema import Policy, Scenario

Floats = np.ndarray[tuple[int, ...], np.dtype[np.float64]]
Flags = np.ndarray[tuple[int, ...], np.dtype[np.bool_]]


@dataclass(frozen=True, eq=False)
class Law:
    """Levels by tick and scenario, [t, b].

    Args:
        carbon_tax: USD per kg CO2e.
        virgin_tax: USD per kg of virgin material.
        landfill_tax: USD per kg landfilled.
        carbon_cap: kg CO2e per tick; infinite where there is none.
        recycled_content: least share of secondary mass in new products.
        collection_target: least share of returned mass that enters the loop.
        landfill_ban: per product class, [t, b, p].
    """

    carbon_tax: Floats
    virgin_tax: Floats
    landfill_tax: Floats
    carbon_cap: Floats
    recycled_content: Floats
    collection_target: Floats
    landfill_ban: Flags


def level(policy: Policy, tick: int) -> float | None:
    """Level of a policy at a tick, or None where it does not hold.

    It depends on nothing but the tick and the policy itself.
    """
    if not policy.start <= tick < policy.end:
        return None
    ticks, levels = zip(*((point.tick, point.level) for point in policy.points), strict=True)
    return float(np.interp(tick, ticks, levels))


def build_law(scenarios: Sequence[Scenario], ticks: int) -> Law:
    """Levels of the policies of all scenarios; taxes add up, of the rest the strictest holds."""
    shape = (ticks, len(scenarios))
    law = Law(
        carbon_tax=np.zeros(shape),
        virgin_tax=np.zeros(shape),
        landfill_tax=np.zeros(shape),
        carbon_cap=np.full(shape, np.inf),
        recycled_content=np.zeros(shape),
        collection_target=np.zeros(shape),
        landfill_ban=np.zeros((*shape, len(PRODUCTS)), bool),
    )
    for number, scenario in enumerate(scenarios):
        for policy in scenario.policies:
            _enact(law, policy, number, ticks)
    return law


def _enact(law: Law, policy: Policy, scenario: int, ticks: int) -> None:
    span = np.arange(policy.start, min(policy.end, ticks))
    corners, heights = zip(*((point.tick, point.level) for point in policy.points), strict=True)
    levels = np.interp(span, corners, heights)
    if policy.kind == "tax":
        getattr(law, f"{policy.subject}_tax")[span, scenario] += levels
    elif policy.kind == "cap":
        law.carbon_cap[span, scenario] = np.minimum(law.carbon_cap[span, scenario], levels)
    elif policy.kind == "ban":
        keys = policy.products or tuple(PRODUCT_INDEX)
        products = [PRODUCT_INDEX[key] for key in keys]
        # A ban is in force where its level is above zero.
        law.landfill_ban[np.ix_(span[levels > 0], [scenario], products)] = True
    else:
        table = getattr(law, policy.kind)
        table[span, scenario] = np.maximum(table[span, scenario], levels)
