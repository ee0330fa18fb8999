"""The noise schedule: cosine, and the table of rows that a sampler of K steps carries."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

OFFSET = 0.008  # Nichol and Dhariwal, Improved Denoising Diffusion Probabilistic Models (2021)
LEAST_ALPHA_BAR = 1e-6
EMBEDDING_SIZE = 16
X0_LIMIT = 6.0  # standard deviations: what x0 is cut to in every step, and plans to learn from too
STEPS = (50, 10, 4, 2)
DISTILLED = {4: 12, 2: 25}  # of these, long ones: how many short steps make each of theirs


def alpha_bar(time: Floats) -> Floats:
    """Share of the variance that is signal at a time, 0 (data) to 1 (noise); cosine.

    >>> alpha_bar(np.array([0.0, 0.5, 1.0])).round(3).tolist()
    [1.0, 0.494, 0.0]
    """

    def height(t: Floats | float) -> Floats:
        angle = (np.asarray(t) + OFFSET) / (1.0 + OFFSET) * np.pi / 2.0
        return np.asarray(np.cos(angle) ** 2, np.float64)

    kept: Floats = np.clip(height(time) / height(0.0), LEAST_ALPHA_BAR, 1.0)
    return kept


def embed(time: Floats, step: Floats | float = 0.0) -> Floats:
    """What the denoiser is told of a step, [n, 16], all within -1..1.

    Sines and cosines of seven frequencies of the time, twice the length of the step, and whether it
    has one: a step of a distilled schedule is longer than it looks.

    Args:
        time: 0 (data) to 1 (noise), [n].
        step: time from this state to the next, 0..0.5; 0 for a step as short as it may be.
    """
    times = np.asarray(time, np.float64)
    angles = times[:, None] * (np.pi * 2.0 ** (np.arange(7) / 2.0))
    length = np.broadcast_to(np.asarray(step, np.float64), times.shape)[:, None]
    return np.concatenate([np.sin(angles), np.cos(angles), 2.0 * length, length > 0.0], axis=1)


@dataclass(frozen=True, eq=False)
class Schedule:
    """The rows of a sampler of K steps, in the order of use: from noise to data.

    Args:
        alpha_bar: of the state that each step receives, float64 [K].
        alpha_bar_next: of the state that it leaves, [K]; the last is 1.
        embedding: what the denoiser is given, [K, 16].
    """

    alpha_bar: Floats
    alpha_bar_next: Floats
    embedding: Floats

    def as_record(self) -> dict[str, Any]:
        """For the card; each number as the float32 that a device computes with."""
        return {
            name: values.astype(np.float32).astype(np.float64).tolist()
            for name, values in vars(self).items()
        }


def make_schedule(steps: int, *, distilled: bool) -> Schedule:
    """Steps at even times.

    Args:
        steps: K, >= 1; >= 2 where distilled.
        distilled: whether the denoiser has learned to take steps of this length.
    """
    times = np.arange(steps, -1, -1) / steps
    kept = alpha_bar(times)
    rows = embed(times[:-1], 1.0 / steps if distilled else 0.0)
    return Schedule(kept[:-1], np.append(kept[1:-1], 1.0), rows)
