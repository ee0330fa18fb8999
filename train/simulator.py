"""A differentiable simulator of one period: controls in, a plan out, mass closed by construction.

Edges are driven by activities and borders by openings. What flows over an edge is its activity's
share of the largest flow, throttled where its target has not the energy for all that comes in; what
crosses a border lies in its box; storage takes up the difference, so A f + z = s always. The one
thing that controls can get wrong is a store that overflows or runs dry, which is an output too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from edge_runtime.planner.network import Network


@dataclass(frozen=True, eq=False)
class Simulated:
    """What controls lead to, each [..., E] or [..., N], in units of capacity.

    Args:
        flows: over edges.
        storage: change of stock.
        exchange: over the border, into the node.
        overflow: of stores beyond their boxes, signed; 0 where the plan can be run.
    """

    flows: Tensor
    storage: Tensor
    exchange: Tensor
    overflow: Tensor

    @property
    def state(self) -> Tensor:
        """Side by side, [..., E + 3 N]."""
        parts = (self.flows, self.storage, self.exchange, self.overflow)
        return torch.cat(parts, dim=-1)


class Simulator:
    """The simulator of one network, float64.

    Args:
        network: validated.
    """

    def __init__(self, network: Network) -> None:
        def tensor(values: object) -> Tensor:
            return torch.as_tensor(values, dtype=torch.float64)

        scale = network.capacity
        self.network = network
        self.incidence, self.inflow = tensor(network.incidence), tensor(network.inflow)
        self.flow_max = tensor(network.flow_max / scale)
        self.inflow_max = tensor(network.inflow_max / scale)
        self.storage_min = tensor(network.storage_min / scale)
        self.storage_max = tensor(network.storage_max / scale)
        self.exchange_min = tensor(network.exchange_min / scale)
        self.exchange_max = tensor(network.exchange_max / scale)
        self.targets = torch.as_tensor(network.targets)
        self.controls = len(network.sources) + len(network.nodes)

    def run(self, controls: Tensor, opened: Tensor) -> Simulated:
        """Simulate.

        Args:
            controls: [..., E + N], any numbers: an activity is sin² of its control, so that both
                ends of its range can be reached.
            opened: [..., E], 1 where both ends of an edge are on.
        """
        share = torch.sin(controls) ** 2
        activity, opening = share[..., : len(self.flow_max)], share[..., len(self.flow_max) :]
        asked = self.flow_max * opened * activity
        arriving = asked @ self.inflow.T
        # Energy that does not suffice is shared by all that comes in.
        throttle = (self.inflow_max / arriving.clamp(min=1e-12)).clamp(max=1.0)
        flows = asked * throttle[..., self.targets]
        exchange = self.exchange_min + (self.exchange_max - self.exchange_min) * opening
        storage = flows @ self.incidence.T + exchange
        overflow = storage - torch.minimum(
            torch.maximum(storage, self.storage_min), self.storage_max
        )
        return Simulated(flows, storage, exchange, overflow)

    def jacobian(self, controls: Tensor, opened: Tensor) -> Tensor:
        """How controls move the state, [..., E + 3 N, E + N]; what autograd gives, at once.

        Args:
            controls: as for `run`.
            opened: as for `run`.
        """
        edges = len(self.flow_max)
        share, slope = torch.sin(controls) ** 2, torch.sin(2.0 * controls)
        open_flow = self.flow_max * opened
        asked = open_flow * share[..., :edges]
        arriving = (asked @ self.inflow.T).clamp(min=1e-12)
        throttle = (self.inflow_max / arriving).clamp(max=1.0)
        # A throttled node takes from each edge what another brings.
        lost = torch.where(throttle < 1.0, throttle / arriving, 0.0)[..., self.targets]
        flows = torch.diag_embed(open_flow * throttle[..., self.targets])
        same_target = self.inflow.T @ self.inflow
        flows = flows - (asked * lost).unsqueeze(-1) * same_target * open_flow.unsqueeze(-2)
        flows = flows * slope[..., None, :edges]
        exchange = torch.diag_embed((self.exchange_max - self.exchange_min) * slope[..., edges:])
        nothing = torch.zeros_like(self.incidence).expand_as(self.incidence @ flows)
        by_flows = torch.cat([flows, self.incidence @ flows, nothing], dim=-2)
        by_borders = torch.cat([nothing.mT, exchange, exchange], dim=-2)
        both = torch.cat([by_flows, by_borders], dim=-1)
        storage = both[..., edges : edges + len(self.incidence), :]
        level = self.run(controls, opened).overflow
        return torch.cat([both, storage * (level != 0.0).unsqueeze(-1)], dim=-2)

    def controls_of(self, flows: Tensor, exchange: Tensor, opened: Tensor) -> Tensor:
        """Controls that would lead near these flows and exchanges (of capacity), [..., E + N]."""
        open_flow = self.flow_max * opened
        width = self.exchange_max - self.exchange_min
        activity = flows / torch.where(open_flow > 0, open_flow, 1.0)
        opening = (exchange - self.exchange_min) / torch.where(width > 0, width, 1.0)
        # At 0 and 1 the sine is flat and no step would leave them.
        share = torch.cat([activity, opening], dim=-1).clamp(1e-9, 1.0 - 1e-9)
        return torch.asin(torch.sqrt(share))
