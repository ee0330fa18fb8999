"""The projections in torch: batched, and differentiable where the trainer needs a gradient.

The arithmetic is that of edge_runtime/planner; here it is written with matrices, so the last bits
differ. Finished plans come from there, exactly, and gradients from here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from edge_runtime.planner.network import Plans
from edge_runtime.planner.projection import ITERATIONS, MARGIN, ON, Projector
from edge_runtime.planner.tables import RELAXATION, penalty_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edge_runtime.planner.network import Network

FAR = 1e30  # beyond every price


@dataclass(frozen=True, eq=False)
class TensorPlans:
    """As `Plans`, of tensors [n, E] and [n, N]."""

    flows: Tensor
    storage: Tensor
    exchange: Tensor
    quality: Tensor
    status: Tensor

    def detached(self) -> Plans:
        """The same plans in NumPy, float64."""
        return Plans(*(part.detach().double().cpu().numpy() for part in vars(self).values()))


def knapsack(wanted: Tensor, low: Tensor, high: Tensor, total: Tensor) -> Tensor:
    """The nearest numbers within boxes that add up to a total; see edge_runtime/planner/nodes.py.

    Args:
        wanted: [m, ...]; the numbers come first, so that each is one piece of memory.
        low: [m, ...], as wide as `wanted` or 1.
        high: as `low`.
        total: [...], as wide as `wanted[0]` or 1.
    """
    with torch.no_grad():
        prices = torch.cat([wanted - low, wanted - high])
        at = torch.zeros_like(prices)
        for number, least, most in zip(wanted, low, high, strict=True):
            at += torch.sub(number, prices).clamp_(least, most)
        # Products are several times faster than masks here.
        left = (prices - (at < total) * FAR).amax(0)
        right = prices.add_((at > total) * FAR).amin(0)
        # Between two neighbouring breakpoints the same numbers are free.
        reached = wanted - (left + right) / 2.0
        is_free = (reached > low) & (reached < high)
        count = is_free.sum(0)
        fallback = torch.where(left > -FAR / 2, left, right)
    # The price as a function of what is free, so that a gradient flows through it.
    fixed = torch.where(is_free, wanted, reached.clamp(low, high))
    exact = (fixed.sum(0) - total) / count.clamp(min=1)
    return (wanted - torch.where(count > 0, exact, fallback)).clamp(low, high)


def project_flows(wanted: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """Inflow, outflow and storage change of single nodes with mass balanced.

    Args:
        wanted: [..., 3].
        low: [..., 3], with fewer dimensions where bounds are those of many nodes.
        high: as `low`.
    """
    signs = torch.tensor([1.0, -1.0, -1.0], dtype=wanted.dtype, device=wanted.device)
    first, second = signs * low, signs * high
    parts = [
        part.movedim(-1, 0).contiguous()
        for part in (signs * wanted, torch.minimum(first, second), torch.maximum(first, second))
    ]
    while parts[1].dim() < parts[0].dim():  # bounds of one node stand for those of all
        parts[1], parts[2] = parts[1].unsqueeze(1), parts[2].unsqueeze(1)
    return signs * knapsack(parts[0], parts[1], parts[2], wanted.new_zeros(())).movedim(0, -1)


def project_quality(wanted: Tensor, loss: float) -> Tensor:
    """Quality and previous quality of single nodes, [..., 2]; see edge_runtime/planner/nodes.py."""
    quality, previous = wanted[..., 0], wanted[..., 1]
    kept = 1.0 - loss
    along = ((kept * quality + previous) / (kept * kept + 1.0)).clamp(0.0, 1.0)
    is_above = quality > kept * previous
    return torch.stack(
        (
            torch.where(is_above, kept * along, quality.clamp(0.0, kept)),
            torch.where(is_above, along, previous.clamp(0.0, 1.0)),
        ),
        dim=-1,
    )


def project_states(wanted: Tensor, low: Tensor, high: Tensor, loss: float) -> Tensor:
    """States of single nodes that keep mass, energy and quality, nearest to the wanted ones.

    Args:
        wanted: [..., 8]: inflow, outflow, storage change; energy in, useful, lost; quality and
            previous quality.
        low: [8].
        high: [8].
        loss: of quality per period, in [0, 1).
    """
    pairs = (2, 3)  # mass and energy
    flows = project_flows(
        wanted[..., :6].reshape(*wanted.shape[:-1], *pairs),
        low[:6].reshape(pairs),
        high[:6].reshape(pairs),
    )
    return torch.cat([flows.flatten(-2), project_quality(wanted[..., 6:], loss)], dim=-1)


class TensorProjector(torch.nn.Module):
    """Projects plans on one network.

    Args:
        network: any; validated by the projector that finishes plans.
        iterations: of the splitting.
        dtype: float32 or float64.
    """

    balance: Tensor
    inflow: Tensor
    inflow_max: Tensor
    flow_max: Tensor
    low: Tensor
    high: Tensor
    quality_max: Tensor
    sources: Tensor
    targets: Tensor
    in_edges: Tensor

    def __init__(
        self, network: Network, iterations: int = ITERATIONS, dtype: torch.dtype = torch.float32
    ) -> None:
        super().__init__()
        self.exact = Projector(network)
        self.iterations, self.dtype = iterations, dtype
        self._pull = 1.0 / (1.0 + penalty_of(network))
        nodes, edges = len(network.nodes), len(network.sources)
        self._sizes = [edges, nodes, nodes]
        missing = np.hstack([network.incidence, -np.eye(nodes), np.eye(nodes)])
        onto = np.eye(edges + 2 * nodes) - missing.T @ np.linalg.inv(missing @ missing.T) @ missing
        free = MARGIN * (network.storage_max - network.storage_min)
        constants = {
            "balance": onto,
            "inflow": np.hstack([network.inflow, np.zeros((nodes, 2 * nodes))]).T,
            "inflow_max": network.inflow_max,
            "flow_max": network.flow_max,
            "low": np.concatenate(
                [np.zeros(edges), network.storage_min + free, network.exchange_min]
            ),
            "high": np.concatenate(
                [network.flow_max, network.storage_max - free, network.exchange_max]
            ),
            "quality_max": network.quality_previous * (1.0 - network.quality_loss),
        }
        for name, values in constants.items():
            self.register_buffer(name, torch.tensor(values, dtype=dtype))
        for name, index in {
            "sources": network.sources,
            "targets": network.targets,
            "in_edges": self.exact.tables.in_edges,
        }.items():
            self.register_buffer(name, torch.tensor(index))

    def forward(self, candidate: TensorPlans) -> TensorPlans:
        """Project n candidates exactly; the gradient is that of the splitting.

        Args:
            candidate: kg and shares, finite.

        Raises:
            PlanError: not finite, or of another network.
            NetworkError: no plan keeps the constraints.
        """
        flows, storage, exchange = self.split(candidate)
        done = self.exact.project(candidate.detached(), near=flows.detach().double().cpu().numpy())

        def finish(near: Tensor, exact: NDArray[np.float64]) -> Tensor:
            values = torch.as_tensor(exact, dtype=self.dtype, device=near.device)
            finished: Tensor = _Replace.apply(near, values)  # type: ignore[no-untyped-call]  # torch types it so
            return finished

        return TensorPlans(
            finish(flows, done.plans.flows),
            finish(storage, done.plans.storage),
            finish(exchange, done.plans.exchange),
            candidate.quality.to(self.dtype).clamp(min=0.0).minimum(self.quality_max),
            torch.as_tensor(done.plans.status, dtype=self.dtype, device=flows.device),
        )

    def split(self, candidate: TensorPlans) -> tuple[Tensor, Tensor, Tensor]:
        """Flows, storage and exchange near the nearest plan's, by splitting."""
        is_on = candidate.status >= ON
        opened = self.flow_max * (is_on[:, self.sources] & is_on[:, self.targets])
        high = torch.cat([opened, self.high[len(self.flow_max) :].expand(len(opened), -1)], dim=-1)
        parts = (candidate.flows, candidate.storage, candidate.exchange)
        wanted = torch.cat([part.to(self.dtype) for part in parts], dim=-1)
        plan = self._into_boxes(wanted, high)
        duals = torch.zeros_like(plan)
        for _ in range(self.iterations):
            free = plan - duals
            balanced = torch.lerp(free, wanted, self._pull) @ self.balance
            moved = torch.lerp(plan, balanced, RELAXATION) + duals
            plan = self._into_boxes(moved, high)
            duals = moved - plan
        flows, storage, exchange = torch.split(plan, self._sizes, dim=-1)
        return flows, storage, exchange

    def _into_boxes(self, plan: Tensor, high: Tensor) -> Tensor:
        """Within boxes and energy rows."""
        limited = torch.minimum(plan.clamp(min=self.low), high)
        rows, nodes = torch.nonzero(limited @ self.inflow > self.inflow_max).T
        if len(rows) == 0:
            return limited
        # Where a node has fewer edges than another, a last column of zeros stands in.
        edges = self.in_edges[nodes]
        edges = edges.where(edges < len(self.flow_max), plan.shape[-1])
        at = (rows.unsqueeze(-1), edges)
        wanted, most = (torch.nn.functional.pad(part, (0, 1))[at].T for part in (plan, high))
        lowered = knapsack(wanted, torch.zeros_like(most), most, self.inflow_max[nodes]).T
        return torch.nn.functional.pad(limited, (0, 1)).index_put(at, lowered)[:, :-1]


class _Replace(torch.autograd.Function):
    """The exact values forwards; backwards the gradient of what they are near to."""

    @staticmethod
    def forward(ctx: object, near: Tensor, exact: Tensor) -> Tensor:
        del ctx, near
        return exact

    @staticmethod
    def backward(ctx: object, gradient: Tensor) -> tuple[Tensor, None]:
        del ctx
        return gradient, None
