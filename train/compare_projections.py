"""The exact projection of node states beside the one by penalties, in one run."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from train.penalty_projection import project_states_by_penalty
from train.projection import project_states
from train.threads import one_thread

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

BATCH, NODES, NOISE, LOSS, ROUNDS = 1024, 20, 0.3, 0.05, 11


@dataclass(frozen=True)
class Comparison:
    """Seconds and residuals of both, on the same candidates.

    Args:
        exact_s: shortest of the rounds, a batch of 1024 x 20 states.
        penalty_s: shortest of the rounds.
        exact_residual: mean of |mass|, |energy| and gained quality, in units of capacity.
        penalty_residual: the same.
    """

    exact_s: float
    penalty_s: float
    exact_residual: float
    penalty_residual: float

    @property
    def speedup(self) -> float:
        """How many times faster the exact one is."""
        return self.penalty_s / self.exact_s

    @property
    def residual_ratio(self) -> float:
        """How many times smaller its residual is."""
        return self.penalty_residual / max(self.exact_residual, 1e-9)


def compare_projections(seed: int = 0) -> Comparison:
    """Project the same noisy states both ways, in turns, on one thread.

    Args:
        seed: of the states.
    """
    generator = torch.Generator().manual_seed(seed)
    low = torch.tensor([0.0, 0.0, -0.2, 0.0, 0.0, 0.0, 0.0, 0.0])
    high = torch.tensor([1.0, 1.0, 0.2, 1.0, 1.0, 1.0, 1.0, 1.0])
    start = torch.rand((BATCH, NODES, 8), generator=generator) * (high - low) + low
    feasible = project_states(start, low, high, LOSS)
    wanted = feasible + NOISE * torch.randn(feasible.shape, generator=generator)
    with one_thread():
        rounds = [
            (
                _timed(lambda: project_states(wanted, low, high, LOSS)),
                _timed(lambda: project_states_by_penalty(wanted, low, high, LOSS)),
            )
            for _ in range(ROUNDS)
        ]
    exact, penalty = zip(*rounds, strict=True)
    return Comparison(
        min(seconds for seconds, _ in exact),
        min(seconds for seconds, _ in penalty),
        _residual(exact[0][1]),
        _residual(penalty[0][1]),
    )


def _timed(work: Callable[[], Tensor]) -> tuple[float, Tensor]:
    start = time.perf_counter()
    done = work()
    return time.perf_counter() - start, done


def _residual(states: Tensor) -> float:
    mass = (states[..., 0] - states[..., 1] - states[..., 2]).abs()
    energy = (states[..., 3] - states[..., 4] - states[..., 5]).abs()
    gained = torch.relu(states[..., 6] - (1.0 - LOSS) * states[..., 7])
    return float(torch.stack([mass, energy, gained]).mean())
