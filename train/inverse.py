"""Inverse simulation: which controls lead to a plan, and how near do they come.

Levenberg-Marquardt from several starts, in a batch; the best residual is the verdict. A plan of the
network is reached but for rounding; one that breaks a constraint is not, since the simulator keeps
all of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from edge_runtime.planner.network import Plans
from train.simulator import Simulator
from train.threads import one_thread

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edge_runtime.planner.network import Network

    Floats = NDArray[np.float64]

RESTARTS, STEPS = 3, 25
JITTER = 0.3  # of controls, radians, at every start but the first
FIRST_DAMPING, MOST_DAMPING = 1e-3, 1e3
LEAST_GAIN = 1e-4  # of the squared distance; a step that gains less is the last
DONE = 1e-14  # squared distance, of capacity: reached but for float32's rounding
BATCH = 256


@dataclass(frozen=True, eq=False)
class Inverted:
    """What inverse simulation found for n plans.

    Args:
        residual: root mean square distance of the best simulated plan, in units of capacity (of
            quality: in quality), float64 [n].
        reached: the plans that the best controls lead to.
        rank: of the simulator there, int64 [n]: directions in which its controls can move a plan.
        coordinates: of a plan that are compared.
    """

    residual: Floats
    reached: Plans
    rank: NDArray[np.int64]
    coordinates: int

    @property
    def degrees_of_freedom(self) -> NDArray[np.int64]:
        """Independent checks that each residual makes: coordinates less what controls can move."""
        return self.coordinates - self.rank


class InverseSimulation:
    """Inverts plans of one network.

    Args:
        network: validated.
        restarts: starts per plan, >= 1; the first from the plan itself.
        seed: of the other starts.
    """

    def __init__(self, network: Network, *, restarts: int = RESTARTS, seed: int = 0) -> None:
        self.network, self.simulator = network, Simulator(network)
        self._restarts, self._seed = restarts, seed

    def invert(self, plans: Plans) -> Inverted:
        """Invert n plans; the same plan gives the same residual in any batch."""
        count = len(plans.flows)
        with one_thread():
            parts = [
                self._invert(_rows(plans, slice(at, at + BATCH)))
                for at in range(0, max(count, 1), BATCH)
            ]
        joined = Plans(
            *(
                np.concatenate([getattr(part.reached, name) for part in parts])
                for name in vars(plans)
            )
        )
        return Inverted(
            np.concatenate([part.residual for part in parts]),
            joined,
            np.concatenate([part.rank for part in parts]),
            parts[0].coordinates,
        )

    def _invert(self, plans: Plans) -> Inverted:
        scale = self.network.capacity
        status = np.where(plans.status >= 0.5, 1.0, 0.0)
        opened = torch.as_tensor(
            status[:, self.network.sources] * status[:, self.network.targets], dtype=torch.float64
        )
        flows, storage, exchange = (
            torch.as_tensor(part / scale, dtype=torch.float64)
            for part in (plans.flows, plans.storage, plans.exchange)
        )
        target = torch.cat([flows, storage, exchange, torch.zeros_like(storage)], dim=-1)
        start = self.simulator.controls_of(flows, exchange, opened)
        # The same jitter for every plan, so that a plan's residual is its own.
        random = torch.Generator().manual_seed(self._seed)
        best, controls = self._descend(start, opened, target)
        for _ in range(self._restarts - 1):
            jitter = JITTER * torch.randn(start.shape[-1], generator=random, dtype=torch.float64)
            rows = torch.nonzero(best > DONE).squeeze(-1)
            again, other = self._descend(start[rows] + jitter, opened[rows], target[rows])
            better = again < best[rows]
            controls[rows] = torch.where(better.unsqueeze(-1), other, controls[rows])
            best[rows] = torch.minimum(again, best[rows])
        return self._judge(plans, status, target, controls, opened)

    def _descend(self, start: Tensor, opened: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """Levenberg-Marquardt; returns squared distances and controls."""
        controls = start.clone()
        missed = self.simulator.run(controls, opened).state - target
        loss = (missed**2).sum(-1)
        damping = torch.full_like(loss, FIRST_DAMPING)
        rows = torch.nonzero(loss > DONE).squeeze(-1)
        for _ in range(STEPS):
            if len(rows) == 0:
                break
            step = self._step(controls[rows], opened[rows], missed[rows], damping[rows])
            tried = controls[rows] - step
            tried_missed = self.simulator.run(tried, opened[rows]).state - target[rows]
            tried_loss = (tried_missed**2).sum(-1)
            before = loss[rows]
            better = tried_loss < before
            kept = rows[better]
            controls[kept], missed[kept] = tried[better], tried_missed[better]
            loss[kept] = tried_loss[better]
            damping[rows] = damping[rows] * torch.where(better, 0.2, 5.0)
            gained = before - tried_loss > LEAST_GAIN * before
            rows = rows[(gained | ~better) & (damping[rows] < MOST_DAMPING) & (loss[rows] > DONE)]
        return loss, controls

    def _step(self, controls: Tensor, opened: Tensor, missed: Tensor, damping: Tensor) -> Tensor:
        jacobian = self.simulator.jacobian(controls, opened)
        normal = jacobian.mT @ jacobian
        slope = (jacobian.mT @ missed.unsqueeze(-1)).squeeze(-1)
        # Relative to the steepest control; the least keeps a matrix of zeros solvable.
        size = damping * (normal.diagonal(0, -2, -1).amax(-1) + 1e-12)
        step: Tensor = torch.linalg.solve(
            normal + size[:, None, None] * torch.eye(normal.shape[-1], dtype=normal.dtype), slope
        )
        return step

    def _judge(
        self, plans: Plans, status: Floats, target: Tensor, controls: Tensor, opened: Tensor
    ) -> Inverted:
        scale = self.network.capacity
        reached = self.simulator.run(controls, opened)
        most = self.network.quality_previous * (1.0 - self.network.quality_loss)
        # Each quality is a control of its own, so the nearest that can be reached is known.
        quality = np.clip(plans.quality, 0.0, most)
        misses = np.concatenate(
            [
                (reached.state - target).numpy(),
                quality - plans.quality,
                status - plans.status,
            ],
            axis=1,
        )
        nodes, edges = len(self.network.nodes), len(self.network.sources)
        return Inverted(
            residual=np.sqrt((misses**2).sum(axis=1) / max(misses.shape[1], 1)),
            reached=Plans(
                reached.flows.numpy() * scale,
                reached.storage.numpy() * scale,
                reached.exchange.numpy() * scale,
                quality,
                status,
            ),
            rank=self._rank(controls, opened),
            coordinates=edges + 3 * nodes,
        )

    def _rank(self, controls: Tensor, opened: Tensor) -> NDArray[np.int64]:
        """Open edges, borders and qualities with room; less one for each node that is throttled.

        Where the energy does not suffice, a common factor of the activities changes nothing.
        """
        open_flow = self.simulator.flow_max * opened
        activity = torch.sin(controls[..., : len(self.network.sources)]) ** 2
        arriving = (open_flow * activity) @ self.simulator.inflow.T
        moves = (open_flow > 0).sum(-1) - (arriving > self.simulator.inflow_max).sum(-1)
        borders = int((self.network.exchange_max > self.network.exchange_min).sum())
        qualities = int((self.network.quality_previous > 0.0).sum())
        return moves.numpy().astype(np.int64) + borders + qualities


def _rows(plans: Plans, rows: Any) -> Plans:
    return Plans(*(part[rows] for part in vars(plans).values()))
