"""The physics penalty of a hybrid loss: a baseline that pulls towards the constraints softly."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Callable

    from train.planner.data import PlanData


def physics_penalty(data: PlanData, device: str) -> Callable[[torch.Tensor], torch.Tensor]:
    """Mean square violation of mass, bounds and quality by normalised states, per row.

    Kg count in standard deviations of a typical flow, shares as they are.

    Args:
        data: network and normalisation.
        device: where the states will be.
    """
    network = data.network

    def constant(values: object) -> torch.Tensor:
        return torch.as_tensor(values, dtype=torch.float32, device=device)

    edges, nodes = len(network.sources), len(network.nodes)
    mean, std = constant(data.normalisation.mean), constant(data.normalisation.std)
    incidence = constant(network.incidence)
    scale = float(data.normalisation.std[:edges].mean())
    low = torch.cat(
        [torch.zeros(edges, device=device)]
        + [constant(part) for part in (network.storage_min, network.exchange_min)]
        + [torch.zeros(2 * nodes, device=device)]
    )
    best = network.quality_previous * (1.0 - network.quality_loss)
    parts = (network.flow_max, network.storage_max, network.exchange_max, best)
    high = torch.cat([*(constant(part) for part in parts), torch.ones(nodes, device=device)])
    unit = torch.ones(len(low), device=device)
    unit[: edges + 2 * nodes] = scale

    def penalty(states: torch.Tensor) -> torch.Tensor:
        x = states * std + mean
        flows, storage, exchange = x[:, :edges], x[:, edges:][:, :nodes], x[:, edges + nodes :]
        balance = flows @ incidence.T + exchange[:, :nodes] - storage
        beyond = torch.relu(low - x) + torch.relu(x - high)
        return ((balance / scale) ** 2).mean(dim=1) + ((beyond / unit) ** 2).mean(dim=1)

    return penalty
