"""What if virgin material were taxed: what a planner that minds its money would weigh then.

Plans are drawn under many weights. Of those that deliver about as much as today's, the cheapest per
kilogram delivered, tax included, say which weights of cost and CO2 the tax calls for; fresh plans
drawn under those weights say what it does, and what it brings in.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from edge_runtime.planner.intervals import outcomes
from edge_runtime.planner.planner import virgin_kg
from jouleloop.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from edge_runtime.planner.network import Plans
    from edge_runtime.planner.planner import Planner

    Floats = NDArray[np.float64]

GRID = (0.0, 0.25, 0.5, 0.75, 1.0)  # weights that are tried, of each
DELIVERED_SHARE = 0.95  # of today's mean: a plan that delivers less is no answer to a tax
CHEAPEST_SHARE = 0.05  # of those plans, whose weights are taken


@dataclass(frozen=True, eq=False)
class Response:
    """What one tax does.

    Args:
        tax_usd_per_kg: on material that enters over the border.
        weights: of cost and CO2 that it calls for.
        delivered_kg: mean of plans under these weights.
        usd_per_kg: cost of a kilogram delivered, the tax included.
        virgin_per_kg: virgin material per kilogram delivered.
        paid_usd: tax of a plan, mean.
        worth: mean cost without tax (USD), CO2 (kg) and circularity, [3].
        low: of the interval of such plans, [3].
        high: likewise.
    """

    tax_usd_per_kg: float
    weights: tuple[float, float]
    delivered_kg: float
    usd_per_kg: float
    virgin_per_kg: float
    paid_usd: float
    worth: Floats
    low: Floats
    high: Floats


def what_if(
    planner: Planner,
    taxes: Sequence[float],
    condition: tuple[float, float],
    *,
    count: int,
    level: str,
    seed: int,
) -> tuple[Response, ...]:
    """Responses to taxes on virgin material.

    Every tax meets the same plans and the same noise: differences are not those of a draw.

    Args:
        planner: draws feasible plans.
        taxes: US dollars per kg, not negative.
        condition: today's weights, whose deliveries are to be kept up.
        count: plans per pair of weights; 25 pairs are tried.
        level: of the intervals.
        seed: of the draw.

    Raises:
        InputError: a tax, weight, count or level out of range.
    """
    for tax in taxes:
        if not (tax >= 0.0 and np.isfinite(tax)):
            raise InputError(f"a tax of {tax:g} USD/kg was asked for", hint="it is 0 or more")
    today = planner.draw_alike(condition, count, seed)
    pairs = np.repeat(np.array(list(product(GRID, GRID))), count, axis=0)
    plans = planner.draw(pairs, seed)
    delivered = planner.delivered_kg(plans)
    enough = delivered >= DELIVERED_SHARE * planner.delivered_kg(today).mean()
    responses = []
    for tax in taxes:
        per_kg = _usd_per_kg(planner, plans, tax)
        best = np.argsort(np.where(enough, per_kg, np.inf), kind="stable")
        chosen = best[: max(1, round(CHEAPEST_SHARE * int(enough.sum())))]
        first, second = pairs[chosen].mean(axis=0).tolist()
        responses.append(_respond(planner, tax, (first, second), count, level, seed))
    return tuple(responses)


def _usd_per_kg(planner: Planner, plans: Plans, tax: float) -> Floats:
    cost = outcomes(planner.network, plans)[:, 0] + tax * virgin_kg(plans)
    per_kg: Floats = cost / np.maximum(planner.delivered_kg(plans), 1e-12)
    return per_kg


def _respond(
    planner: Planner, tax: float, weights: tuple[float, float], count: int, level: str, seed: int
) -> Response:
    plans = planner.draw_alike(weights, count, seed)
    low, high = planner.interval(plans, level)
    delivered, virgin = planner.delivered_kg(plans), virgin_kg(plans)
    return Response(
        tax_usd_per_kg=float(tax),
        weights=weights,
        delivered_kg=float(delivered.mean()),
        usd_per_kg=float(_usd_per_kg(planner, plans, tax).mean()),
        virgin_per_kg=float((virgin / np.maximum(delivered, 1e-12)).mean()),
        paid_usd=float(tax * virgin.mean()),
        worth=outcomes(planner.network, plans).mean(axis=0),
        low=low,
        high=high,
    )
