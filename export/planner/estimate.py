"""How many instructions a planner's sample takes beside its int8 graphs, estimated per core.

instructions = coordinates × (noise + steps × step)
             + projections × (iterations × (nodes² × product + coordinates × rest)
                              + coordinates × finish + amortised × coordinates × guess)

The coefficients were fitted to counts by QEMU; `python -m benchmarks planner_estimate` fits them
again. Settling takes what it takes, so a sample may be off by the factors `low` to `high`: the
widest of the fit and a tenth more.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from device_profiles.core import Isa
from edge_runtime.planner.projection import ITERATIONS
from edge_runtime.planner.state import state_size
from export.estimate import Count

if TYPE_CHECKING:
    from device_profiles.core import Core
    from edge_runtime.planner.network import Network


@dataclass(frozen=True)
class PlannerCoefficients:
    """Instructions on one kind of core.

    Args:
        noise: of a coordinate's noise.
        step: of a coordinate's part in a step, its way into and out of the denoiser.
        product: of a pair of nodes in an iteration of the projection.
        rest: of a coordinate in an iteration.
        finish: of a coordinate in the rest of a projection.
        guess: of a coordinate on its way into and out of the amortiser.
        low: counted / estimated is at least this.
        high: counted / estimated is at most this.
    """

    noise: float
    step: float
    product: float
    rest: float
    finish: float
    guess: float
    low: float
    high: float


WITH_FPU = PlannerCoefficients(70.0, 27.0, 7.0, 56.0, 0.0, 0.0, 0.4, 2.5)
WITHOUT_FPU = PlannerCoefficients(1500.0, 450.0, 7.0, 56.0, 0.0, 0.0, 0.4, 2.5)


def instructions_beside(
    network: Network, core: Core, *, steps: int, projections: int, is_amortised: bool
) -> Count:
    """Instructions of a sample without its int8 graphs.

    Args:
        network: that is planned.
        core: of the device.
        steps: of the sampler.
        projections: of one sample.
        is_amortised: they start from a guess, without iterations.
    """
    of = WITH_FPU if Isa.FPU_SINGLE in core.isa else WITHOUT_FPU
    count = terms(network, steps=steps, projections=projections, is_amortised=is_amortised)
    value = sum(getattr(of, name) * times for name, times in count.items())
    return Count(
        *(value, of.low * value, of.high * value), "of noise, steps and projection fitted to counts"
    )


def terms(
    network: Network, *, steps: int, projections: int, is_amortised: bool
) -> dict[str, float]:
    """How often each coefficient counts; arguments as of `instructions_beside`."""
    nodes, coordinates = len(network.nodes), float(state_size(network))
    iterations = 0 if is_amortised else ITERATIONS * projections
    return {
        "noise": coordinates,
        "step": steps * coordinates,
        "product": float(iterations * nodes * nodes),
        "rest": iterations * coordinates,
        "finish": projections * coordinates,
        "guess": projections * coordinates * is_amortised,
    }
