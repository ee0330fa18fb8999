"""The projections in torch equal the specification, have gradients, and outdo the penalties."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from edge_runtime.planner import nodes
from edge_runtime.planner.projection import Projector
from edge_runtime.planner.residuals import FEASIBLE, residuals
from tests.edge_runtime.planner.networks import random_candidates, random_network
from train.compare_projections import compare_projections
from train.projection import TensorPlans, TensorProjector, project_flows, project_quality

pytestmark = pytest.mark.train


def test_plans_are_those_of_the_specification() -> None:
    network = random_network(1)
    candidate = random_candidates(network, 32, 1)
    tensors = TensorPlans(*(torch.tensor(part) for part in vars(candidate).values()))
    here = TensorProjector(network, dtype=torch.float64)(tensors).detached()
    there = Projector(network).project(candidate).plans
    assert np.abs(here.flows - there.flows).max() <= 1e-9 * network.capacity
    assert residuals(network, here).largest.max() <= 1e-12


def test_float32_keeps_every_constraint() -> None:
    network = random_network(2)
    candidate = random_candidates(network, 64, 2)
    tensors = TensorPlans(*(torch.tensor(part).float() for part in vars(candidate).values()))
    plans = TensorProjector(network)(tensors).detached()
    assert residuals(network, plans).largest.max() <= FEASIBLE


def test_the_gradient_is_that_of_finite_differences() -> None:
    network = random_network(3, 6, 9, fixed=1)
    candidate = random_candidates(network, 1, 3, noise=0.5, off=0.0)
    projector = TensorProjector(network, dtype=torch.float64)
    flows, storage, exchange, quality, status = (
        torch.tensor(part, requires_grad=True) for part in vars(candidate).values()
    )
    assert torch.autograd.gradcheck(
        lambda f, s, z: projector.split(TensorPlans(f, s, z, quality, status)),
        (flows, storage, exchange),
        eps=1e-5,
        atol=1e-4,
    )
    tensors = TensorPlans(flows, storage, exchange, quality, status)
    projector(tensors).flows.sum().backward()
    assert flows.grad is not None
    assert flows.grad.abs().sum() > 0


def test_nodes_are_projected_as_in_numpy() -> None:
    random = np.random.default_rng(0)
    wanted = random.normal(0.0, 0.6, (50, 20, 3))
    low, high = np.array([0.0, 0.0, -0.2]), np.array([1.0, 1.0, 0.2])
    there = nodes.project_flows(wanted, low, high)
    here = project_flows(torch.tensor(wanted), torch.tensor(low), torch.tensor(high)).numpy()
    np.testing.assert_allclose(here, there, atol=1e-12)
    pairs = random.normal(0.5, 1.0, (500, 2))
    np.testing.assert_allclose(
        project_quality(torch.tensor(pairs), 0.05).numpy(),
        nodes.project_quality(pairs, 0.05),
        atol=1e-12,
    )


def test_exact_projection_outdoes_penalties() -> None:
    # The fastest of three: another program may take the processor during one.
    comparisons = [compare_projections() for _ in range(3)]
    assert comparisons[0].residual_ratio >= 1e5
    assert max(comparison.speedup for comparison in comparisons) >= 8.0
