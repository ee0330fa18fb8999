"""Plans to learn from: made by a simulator, checked one by one, normalised, some held out."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from edge_runtime.planner.residuals import residuals
from edge_runtime.planner.state import Normalisation, join_plans, split_plans
from edge_runtime.planner.validation import check_network
from jouleloop.errors import InputError
from train.planner.schedule import X0_LIMIT

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edge_runtime.planner.network import Network, Plans
    from edge_runtime.planner.residuals import Residuals

    Floats = NDArray[np.float64]

# Of the capacity, or of one where the coordinate is a share: what moves less is nearly constant.
STD_FLOOR = {"flows": 2e-3, "storage": 2e-3, "exchange": 2e-3, "quality": 0.03, "status": 0.25}
HELD_OUT_SHARE = 0.25
TOLERANCE = 1e-9  # of the capacity


@dataclass(frozen=True, eq=False)
class PlanData:
    """Training and held-out plans of one network, as state vectors.

    Args:
        network: of all of them.
        source: where it is from: kind, id, seed, period_hours, for the card; and `served`.
        normalisation: of the training plans.
        moving: which coordinates vary by more than their floor, bool [D].
        states: training state vectors, float32 [n, D].
        conditions: weights of cost and CO2 of each, float32 [n, 2].
        held_out: state vectors that no training sees, float32 [m, D].
        held_out_conditions: float32 [m, 2].
        rejected: plans that broke a bound or were freaks.
    """

    network: Network
    source: dict[str, Any]
    normalisation: Normalisation
    moving: NDArray[np.bool_]
    states: NDArray[np.float32]
    conditions: NDArray[np.float32]
    held_out: NDArray[np.float32]
    held_out_conditions: NDArray[np.float32]
    rejected: int

    @property
    def sha256(self) -> str:
        """Of every number that a training sees."""
        digest = hashlib.sha256()
        for array in (self.states, self.conditions, self.held_out, self.held_out_conditions):
            digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()

    def plans(self, states: NDArray[Any]) -> Plans:
        """State vectors as plans in kg and shares; nothing is projected."""
        restored = self.normalisation.restore(np.asarray(states, np.float64))
        return split_plans(self.network, restored)


def make_plan_data(
    network: Network, source: dict[str, Any], plans: Plans, conditions: Floats
) -> PlanData:
    """Check, reject, normalise and split what a simulator made.

    The last quarter is held out: the simulator's last copies, which share no run with the rest.

    Args:
        network: of the plans.
        source: where it is from.
        plans: n plans in the order in which they were made.
        conditions: weights of cost and CO2, [n, 2].

    Raises:
        InputError: a value that is no number, or hardly any plan within the constraints.
    """
    coordinates = join_plans(plans)
    _check_numbers(coordinates, "plans")
    _check_numbers(conditions, "conditions")
    check_network(network)
    broken = residuals(network, plans)
    within = broken.largest <= TOLERANCE
    if within.sum() < len(within) / 2:
        raise InputError(
            f"{int((~within).sum())} of {len(within)} plans break the constraints of their "
            f"network, at most half may; {_worst(broken)}",
            hint="give the network bounds that its own simulator can keep",
        )
    normalisation, moving = _normalise(network, coordinates[within])
    # A period further from the mean is a freak: eight bits would spend their range on it alone.
    usual = np.abs(normalisation.normalise(coordinates)).max(axis=1) <= X0_LIMIT
    kept = within & usual
    states = normalisation.normalise(coordinates[kept]).astype(np.float32)
    weights = conditions[kept].astype(np.float32)
    first = round(len(states) * (1.0 - HELD_OUT_SHARE))
    return PlanData(
        network=network,
        source=source,
        normalisation=normalisation,
        moving=moving,
        states=states[:first],
        conditions=weights[:first],
        held_out=states[first:],
        held_out_conditions=weights[first:],
        rejected=int(len(kept) - kept.sum()),
    )


def _worst(broken: Residuals) -> str:
    plan = int(broken.largest.argmax())
    return f"the worst breaks {broken.worst(plan)} by {broken.largest[plan]:.3g} of the capacity"


def _check_numbers(values: Floats, what: str) -> None:
    bad = np.argwhere(~np.isfinite(values))
    if bad.size:
        row, column = bad[0].tolist()
        raise InputError(
            f"the {what} to learn from hold {len(bad)} values that are NaN or infinite, the first "
            f"in row {row}, column {column}",
            hint="look for the simulator or the file that made them",
        )


def _normalise(network: Network, coordinates: Floats) -> tuple[Normalisation, NDArray[np.bool_]]:
    edges, nodes = len(network.sources), len(network.nodes)
    sizes = (edges, nodes, nodes, nodes, nodes)
    scales = (network.capacity,) * 3 + (1.0, 1.0)
    floor = np.concatenate(
        [
            np.full(size, share * scale)
            for size, share, scale in zip(sizes, STD_FLOOR.values(), scales, strict=True)
        ]
    )
    std = coordinates.std(axis=0)
    return Normalisation(coordinates.mean(axis=0), np.maximum(std, floor)), std > floor
