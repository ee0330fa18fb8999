"""The verdict on plans: could the network have done this?

A plan is inverted (train/inverse.py); it is verified where the residual is no larger than that of
99 of 100 plans that the simulator made itself. How well that tells good plans from broken ones is
measured on plans that were corrupted on purpose.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from edge_runtime.planner.network import Plans
from edge_runtime.planner.projection import Projector
from edge_runtime.planner.residuals import residuals
from train.inverse import InverseSimulation

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from edge_runtime.planner.network import Network
    from edge_runtime.planner.residuals import Residuals
    from train.inverse import Inverted

    Floats = NDArray[np.float64]

SIMULATED = 300  # plans behind the threshold
QUANTILE = 0.99
FLOOR = 1e-6  # of capacity: plans in float32 that keep 1e-5 of it in every constraint reach this
CORRUPTION = 0.01  # of capacity
CHUNK = 50  # plans between two strokes of the progress bar
REFINEMENTS = 20


@dataclass(frozen=True, eq=False)
class Verification:
    """The verdict on n plans.

    Args:
        inverted: residuals and the plans that come nearest.
        threshold: the largest residual of a verified plan.
        constraints: of the same plans, for the constraint that is to blame.
    """

    inverted: Inverted
    threshold: float
    constraints: Residuals

    @property
    def is_verified(self) -> NDArray[np.bool_]:
        """Bool [n]."""
        verified: NDArray[np.bool_] = self.inverted.residual <= self.threshold
        return verified

    def as_record(self) -> dict[str, Any]:
        """The record for JSON."""
        verified = self.is_verified
        samples = [
            {
                "residual": float(self.inverted.residual[plan]),
                "verified": bool(verified[plan]),
                "degrees_of_freedom": int(self.inverted.degrees_of_freedom[plan]),
                "constraint_residual": float(self.constraints.largest[plan]),
                "worst_constraint": self.constraints.worst(plan),
            }
            for plan in range(len(verified))
        ]
        return {
            "samples_total": len(verified),
            "samples_verified": int(verified.sum()),
            "share_verified": float(verified.mean()) if len(verified) else None,
            "threshold": self.threshold,
            "threshold_source": f"quantile {QUANTILE} of {SIMULATED} simulated plans, at least "
            f"{FLOOR:g} of capacity",
            "coordinates": self.inverted.coordinates,
            "residual_largest": float(self.inverted.residual.max()) if len(verified) else None,
            "samples": samples,
        }


def verify_plans(
    network: Network,
    plans: Plans,
    *,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Verification:
    """Verify plans by inverse simulation.

    Args:
        network: validated.
        plans: checked, of this network.
        seed: of the simulated plans and of the inversion's starts.
        progress: called with (plans inverted, plans in all).

    Raises:
        NetworkError: no plan keeps the network's constraints.
    """
    inversion = InverseSimulation(network, seed=seed)
    threshold = threshold_of(network, inversion, seed)
    count, parts = len(plans.flows), []
    for at in range(0, max(count, 1), CHUNK):
        parts.append(inversion.invert(_rows(plans, slice(at, at + CHUNK))))
        if progress is not None:
            progress(min(at + CHUNK, count), count)
    inverted = replace(
        parts[0],
        residual=np.concatenate([part.residual for part in parts]),
        rank=np.concatenate([part.rank for part in parts]),
        reached=_joined([part.reached for part in parts]),
    )
    return Verification(inverted, threshold, residuals(network, plans))


def simulated_plans(network: Network, count: int, seed: int) -> Plans:
    """Plans under random controls, in float32 as a device writes them, stores within bounds."""
    inversion = InverseSimulation(network)
    random = np.random.default_rng(np.random.SeedSequence([seed, count]))
    nodes, edges = len(network.nodes), len(network.sources)
    status = (random.random((count, nodes)) < 0.9).astype(np.float64)
    controls = torch.as_tensor(random.uniform(0.0, np.pi / 2.0, (count, edges + nodes)))
    opened = torch.as_tensor(status[:, network.sources] * status[:, network.targets])
    run = inversion.simulator.run(controls, opened)
    most = network.quality_previous * (1.0 - network.quality_loss)
    made = Plans(
        run.flows.numpy() * network.capacity,
        run.storage.numpy() * network.capacity,
        run.exchange.numpy() * network.capacity,
        random.random((count, nodes)) * most,
        status,
    )
    kept = Projector(network).project(made).plans
    return Plans(*(part.astype(np.float32).astype(np.float64) for part in vars(kept).values()))


def threshold_of(network: Network, inversion: InverseSimulation, seed: int) -> float:
    """The residual that 99 of 100 simulated plans do not exceed."""
    simulated = inversion.invert(simulated_plans(network, SIMULATED, seed))
    return max(float(np.quantile(simulated.residual, QUANTILE)), FLOOR)


def corrupted_plans(network: Network, plans: Plans, seed: int, size: float = CORRUPTION) -> Plans:
    """Plans of which each breaks one constraint by about `size` of capacity, in turn.

    Mass lost in a store, a flow above its largest, a flow of a node that is off, a border crossed
    beyond its box, quality gained.
    """
    random = np.random.default_rng(np.random.SeedSequence([seed, 1]))
    broken = Plans(*(part.copy() for part in vars(plans).values()))
    by = size * network.capacity * random.uniform(0.5, 1.5, len(plans.flows))
    for plan, amount in enumerate(by.tolist()):
        node = int(random.integers(len(network.nodes)))
        edge = int(random.integers(len(network.sources))) if len(network.sources) else None
        kind = plan % 5
        if kind == 0 or edge is None:
            broken.storage[plan, node] += amount
        elif kind == 1:
            broken.flows[plan, edge] = network.flow_max[edge] + amount
        elif kind == 2:
            broken.status[plan, network.sources[edge]] = 0.0
            broken.flows[plan, edge] += amount
        elif kind == 3:
            broken.exchange[plan, node] = network.exchange_max[node] + amount
        else:
            most = network.quality_previous[node] * (1.0 - network.quality_loss[node])
            broken.quality[plan, node] = most + amount / network.capacity
    return broken


def area_under_roc(good: Floats, bad: Floats) -> float:
    """The chance that a bad plan's residual is above a good one's; ties count half."""
    above = (bad[:, None] > good[None]).mean()
    return float(above + 0.5 * (bad[:, None] == good[None]).mean())


def refine(
    network: Network, plans: Plans, threshold: float, *, steps: int = REFINEMENTS, seed: int = 0
) -> tuple[Plans, Floats]:
    """Move plans down the gradient of their residual until they are verified.

    Half the squared residual falls fastest towards the plan that the best controls reach (the
    controls being optimal, only the direct dependence counts), so a step goes there.

    Returns:
        The plans and their residuals.
    """
    inversion = InverseSimulation(network, seed=seed)
    inverted = inversion.invert(plans)
    residual, reached = inverted.residual.copy(), inverted.reached
    plans = Plans(*(part.copy() for part in vars(plans).values()))
    for _ in range(steps):
        rows = np.flatnonzero(residual > threshold)
        if len(rows) == 0:
            break
        for name, part in vars(plans).items():
            part[rows] = getattr(reached, name)[rows]
        again = inversion.invert(_rows(plans, rows))
        residual[rows] = again.residual
        for name, part in vars(reached).items():
            part[rows] = getattr(again.reached, name)
    return plans, residual


def _rows(plans: Plans, rows: Any) -> Plans:
    return Plans(*(part[rows] for part in vars(plans).values()))


def _joined(parts: list[Plans]) -> Plans:
    return Plans(*(np.concatenate([getattr(p, name) for p in parts]) for name in vars(parts[0])))
