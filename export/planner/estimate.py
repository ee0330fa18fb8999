"""How many instructions a planner's sample takes beside its int8 graphs, estimated per core.

instructions = coordinates × (noise + steps × step)
             + projections × (iterations × (nodes² × product + coordinates × rest)
                              + coordinates × finish + amortised × coordinates × guess)

`python -m benchmarks planner_estimate` counts on QEMU and fits the coefficients again. Those of
Armv6-M and Armv7-M are its fit to planners with random weights and 5 to 20 nodes (counted over
fitted: 0.97 to 1.05); `low` and `high` are that and a tenth more. Those with an FPU are counts by
stage (`jouleloop profile`) of one trained planner of 20 nodes on a Cortex-M4F, so their interval is
wider; a Cortex-M55, which was not counted, gets the same.
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


# Some of them stand in for others: where `guess` is 0 its part is in `finish`.
ARMV6_M = PlannerCoefficients(3300.0, 1233.0, 44.1, 106.0, 2492.0, 0.0, 0.87, 1.15)
ARMV7_M = PlannerCoefficients(1829.0, 683.0, 6.9, 63.3, 1548.0, 0.0, 0.87, 1.15)
WITH_FPU = PlannerCoefficients(121.0, 60.0, 7.4, 79.0, 148.0, 49.0, 0.8, 1.3)


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
    of = _coefficients(core)
    count = terms(network, steps=steps, projections=projections, is_amortised=is_amortised)
    value = sum(getattr(of, name) * times for name, times in count.items())
    return Count(
        *(value, of.low * value, of.high * value), "of noise, steps and projection fitted to counts"
    )


def _coefficients(core: Core) -> PlannerCoefficients:
    if Isa.FPU_SINGLE in core.isa:
        return WITH_FPU
    return ARMV7_M if Isa.THUMB2 in core.isa else ARMV6_M


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
