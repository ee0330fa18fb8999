"""What a planner is trained on and how; without torch, so that a command line can read it fast."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from scenarios.world.schema import Scenario


@dataclass(frozen=True)
class Fit:
    """How a denoiser is fitted.

    Args:
        hidden: width of the three hidden layers.
        steps: of the first part.
        batch: rows per step.
        learning_rate: of Adam at the start; falls to zero along a cosine in each part.
        average: share that the averaged weights keep per step.
        most_snr: signal-to-noise ratio beyond which a state counts no more (min-SNR weighting).
        least_snr: below which it counts no less.
        distillation_steps: of the second part; none leaves it out.
        distillation_rows: paths to learn long steps from.
        distillation_batch: rows per step of the second part, and a quarter as many plans.
        amortiser_rows: drawn plans that the learned projector learns from.
        amortiser_steps: of its training.
        predicts_noise: learn the noise, as a baseline; not for distillation.
        physics_weight: of the penalty on x0 times ᾱ, as a baseline.
    """

    hidden: int = 160
    steps: int = 9000
    batch: int = 256
    learning_rate: float = 2e-3
    average: float = 0.999
    most_snr: float = 5.0
    least_snr: float = 0.3
    distillation_steps: int = 5000
    distillation_rows: int = 6144
    distillation_batch: int = 512
    amortiser_rows: int = 2000
    amortiser_steps: int = 1500
    predicts_noise: bool = False
    physics_weight: float = 0.0


@dataclass(frozen=True)
class Settings:
    """What a planner is trained on and how.

    Args:
        seed: of the network where none is given, of plans, weights and noise.
        scenario: whose network it plans; a generated one of 20 nodes when left out.
        pv_year: plan the photovoltaic network of this year instead.
        plans: to simulate, a quarter of them held out.
        fit: of the denoiser.
    """

    seed: int = 0
    scenario: Scenario | None = None
    pv_year: int | None = None
    plans: int = 8192
    fit: Fit = field(default_factory=Fit)

    @classmethod
    def of(
        cls, *, seed: int, scenario: Scenario | None, pv_year: int | None, plans: int, hidden: int
    ) -> Settings:
        """Settings with the default fit but for its width."""
        return cls(seed, scenario, pv_year, plans, Fit(hidden=hidden))
