"""Fit a network to the exact optimum: where a wrong decision costs more, it counts more."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

# A second thread gains nothing on layers this small, and loses much where a core is taken.
THREADS = 1


@dataclass(frozen=True)
class Fit:
    """How a network is fitted.

    Args:
        hidden: width of the two hidden layers.
        epochs: passes over the data.
        batch: rows per step.
        learning_rate: of Adam at the start; falls to zero along a cosine.
        regret_scale: objective, in its own unit, that counts as one; a typical regret.
    """

    hidden: int = 32
    epochs: int = 20
    batch: int = 256
    learning_rate: float = 4e-3
    regret_scale: float = 5.0


class PolicyNetwork(nn.Module):
    """Fully connected layers and ReLU alone: LiteRT computes these bit for bit as our C does.

    Args:
        inputs: size of an observation.
        hidden: width of the two hidden layers.
        outputs: number of decisions.
    """

    def __init__(self, inputs: int, hidden: int, outputs: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(inputs, hidden),
            nn.ReLU(),
            nn.Linear(hidden, hidden),
            nn.ReLU(),
            nn.Linear(hidden, outputs),
        )

    def forward(self, observation: torch.Tensor) -> torch.Tensor:
        """Scores of the decisions, float32 [n, outputs], of observations, float32 [n, inputs]."""
        scores: torch.Tensor = self.layers(observation)
        return scores


def fit_policy(
    observations: NDArray[np.float32],
    objectives: NDArray[np.float64],
    fit: Fit,
    seed: int,
    progress: Callable[[int, int], None] | None = None,
) -> PolicyNetwork:
    """Fit scores whose largest is the best decision.

    The loss is the expected regret of drawing a decision by softmax, plus a little cross-entropy
    with the exact decision, weighted by what the second best one loses: ties teach nothing.

    Args:
        observations: [n, inputs].
        objectives: of each decision, larger is better, [n, outputs].
        fit: how.
        seed: of weights and order; the same seed gives the same network on the same machine.
        progress: called with (epochs done, epochs in all).

    Returns:
        The network in evaluation mode.
    """
    with reproducible(seed):
        x = torch.from_numpy(observations)
        regret = torch.from_numpy(objectives.max(axis=1, keepdims=True) - objectives)
        regret = (regret / fit.regret_scale).to(torch.float32)
        best = regret.argmin(dim=1)
        weight = regret.topk(2, dim=1, largest=False).values[:, 1].clamp(max=1.0)
        network = PolicyNetwork(x.shape[1], fit.hidden, regret.shape[1])
        steps = fit.epochs * -(-len(x) // fit.batch)
        optimiser = torch.optim.Adam(network.parameters(), lr=fit.learning_rate)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
        for epoch in range(fit.epochs):
            order = torch.randperm(len(x))
            for start in range(0, len(x), fit.batch):
                rows = order[start : start + fit.batch]
                scores = network(x[rows])
                expected_regret = (scores.softmax(dim=1) * regret[rows]).sum(dim=1)
                surprise = nn.functional.cross_entropy(scores, best[rows], reduction="none")
                loss = (expected_regret + 0.2 * weight[rows] * surprise).mean()
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
                schedule.step()
            if progress is not None:
                progress(epoch + 1, fit.epochs)
        return network.eval()


def decide(network: nn.Module, observations: NDArray[np.float32]) -> NDArray[np.int64]:
    """The decision with the largest score, int64 [n]; the first of equals."""
    with torch.inference_mode():
        scores: NDArray[np.float32] = network(torch.from_numpy(observations)).numpy()
    best: NDArray[np.int64] = scores.argmax(axis=1).astype(np.int64)
    return best


@contextmanager
def reproducible(seed: int) -> Iterator[None]:
    """A seeded generator and a fixed number of threads; the caller's are restored afterwards."""
    threads = torch.get_num_threads()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        torch.set_num_threads(THREADS)
        try:
            yield
        finally:
            torch.set_num_threads(threads)
