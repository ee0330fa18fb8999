"""The denoiser: fully connected layers, ReLU and additions, which every backend computes alike."""

from __future__ import annotations

import torch
from torch import nn

from train.planner.schedule import EMBEDDING_SIZE

CONDITION_SIZE = 2


class Denoiser(nn.Module):
    """Predicts the data from a noisy state.

    Args:
        size: D, of a state vector.
        hidden: width of the hidden layers.
    """

    def __init__(self, size: int, hidden: int) -> None:
        super().__init__()
        self.first = nn.Linear(size + CONDITION_SIZE + EMBEDDING_SIZE, hidden)
        self.second = nn.Linear(hidden, hidden)
        self.third = nn.Linear(hidden, hidden)
        self.last = nn.Linear(hidden, size)

    def forward(self, state: torch.Tensor) -> torch.Tensor:
        """Float32 [n, D] of float32 [n, D + 2 + 16] = [x_t, condition, embedding row]."""
        low = torch.relu(self.first(state))
        high = torch.relu(self.third(torch.relu(self.second(low))) + low)
        x0: torch.Tensor = self.last(high)
        return x0


def parameter_count(size: int, hidden: int) -> int:
    """Weights and biases of a denoiser.

    >>> parameter_count(136, 128)
    70408
    """
    wide = size + CONDITION_SIZE + EMBEDDING_SIZE
    return (wide + 1) * hidden + 2 * (hidden + 1) * hidden + (hidden + 1) * size
