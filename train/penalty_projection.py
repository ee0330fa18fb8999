"""The projection that an article proposes, kept as the comparison: penalties and L-BFGS.

It minimises squared violations from the candidate on, with no term that holds it near, over the
whole batch at once, then clamps to the boxes. What comes out keeps no constraint exactly.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

LEARNING_RATE, ITERATIONS = 0.1, 20


def lbfgs(start: Tensor, penalty: Callable[[Tensor], Tensor]) -> Tensor:
    """Minimise a penalty from a start."""
    values = start.detach().clone().requires_grad_()
    optimiser = torch.optim.LBFGS([values], lr=LEARNING_RATE, max_iter=ITERATIONS)

    def closure() -> Tensor:
        optimiser.zero_grad()
        loss = penalty(values)
        loss.backward()  # type: ignore[no-untyped-call]  # torch has no types there
        return loss

    optimiser.step(closure)  # type: ignore[no-untyped-call]  # torch has no types there
    return values.detach()


def project_states_by_penalty(wanted: Tensor, low: Tensor, high: Tensor, loss: float) -> Tensor:
    """States of single nodes, [..., 8], as `train.projection.project_states`; all holds about."""

    def penalty(values: Tensor) -> Tensor:
        mass = values[..., 0] - values[..., 1] - values[..., 2]
        energy = values[..., 3] - values[..., 4] - values[..., 5]
        gained = torch.relu(values[..., 6] - (1.0 - loss) * values[..., 7])
        return (mass**2 + energy**2 + gained**2).sum()

    return lbfgs(wanted, penalty).clamp(low, high)


def project_plans_by_penalty(
    wanted: Tensor, balance: Tensor, inflow: Tensor, inflow_max: Tensor, box: tuple[Tensor, Tensor]
) -> Tensor:
    """Flows, storage and exchange side by side, [n, E + 2 N]; nothing holds exactly but the boxes.

    Args:
        wanted: [n, E + 2 N].
        balance: [N, E + 2 N], whose product with a plan is 0 where mass balances.
        inflow: [N, E + 2 N].
        inflow_max: [N].
        box: least and largest, [E + 2 N].
    """

    def penalty(values: Tensor) -> Tensor:
        mass = (values @ balance.T) ** 2
        energy = torch.relu(values @ inflow.T - inflow_max) ** 2
        return mass.sum() + energy.sum()

    return lbfgs(wanted, penalty).clamp(*box)
