"""How many instructions a planner's sample executes, estimated.

Of the projection the coefficients were fitted to counts by QEMU on random networks of 4 to 40 nodes
and 6 to 100 edges (`python -m benchmarks projectors` counts three of them again): its iterations
come out within 5 %, settling and completion within a quarter. Those of noise and steps are typical
counts of compiled loops.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from device_profiles.core import Isa
from edge_runtime.planner.projection import ITERATIONS
from edge_runtime.planner.state import state_size
from export.cost import count_instructions
from export.estimate import Count

if TYPE_CHECKING:
    from device_profiles.core import Core
    from edge_runtime.planner.network import Network
    from export.planner.pipeline import Planner

LOW, HIGH = 0.4, 2.5  # settling takes what it takes, and differs most
SOURCE = "estimated from the layers' shapes and the network's size, fitted to counts by QEMU"


@dataclass(frozen=True)
class _Coefficients:
    """Instructions of a kind of core.

    Args:
        noise: of a coordinate's noise.
        step: of a coordinate in a denoising step, beside the denoiser.
        pair: of two nodes in one iteration of the splitting.
        edge: of an edge in the same.
        node: of a node in the same.
        finished_edge: of an edge in settling and completion.
        finished_node: of a node in the same.
        guessed: of a value of the learned projector, beside its network.
    """

    noise: float
    step: float
    pair: float
    edge: float
    node: float
    finished_edge: float
    finished_node: float
    guessed: float


WITH_FPU = _Coefficients(70.0, 27.0, 7.44, 77.7, 168.0, 319.0, 267.0, 25.0)
WITHOUT_FPU = _Coefficients(1500.0, 450.0, 4.78, 100.6, 230.0, 748.0, 2368.0, 400.0)


def planner_instructions(planner: Planner, denoiser: Count, core: Core) -> Count:
    """One whole sample: noise, denoising steps, projection.

    Args:
        planner: with its projector chosen.
        denoiser: one run of it.
        core: that runs it.
    """
    kind = _kind(core)
    beside = state_size(planner.network) * (kind.noise + planner.steps * kind.step)
    sampling = _plus(beside, denoiser, times=planner.steps)
    learned = None if planner.learned is None else planner.learned.program
    if learned is None:
        projection = exact_instructions(planner.network, core)
    else:
        guess = count_instructions(learned, core)
        projection = amortised_instructions(planner.network, guess, core)
    return Count(
        sampling.value + projection.value,
        sampling.low + projection.low,
        sampling.high + projection.high,
        SOURCE,
    )


def exact_instructions(network: Network, core: Core) -> Count:
    """The exact projection of one plan."""
    kind = _kind(core)
    nodes, edges = len(network.nodes), len(network.sources)
    iteration = kind.pair * nodes * nodes + kind.edge * edges + kind.node * nodes
    return _of(ITERATIONS * iteration + _finishing(network, kind))


def amortised_instructions(network: Network, guess: Count, core: Core) -> Count:
    """The learned projection of one plan, finished exactly.

    Args:
        network: of the plan.
        guess: of the learned network.
        core: that runs it.
    """
    kind = _kind(core)
    values = 2 * len(network.sources) + 3 * len(network.nodes)
    return _plus(kind.guessed * values + _finishing(network, kind), guess)


def _kind(core: Core) -> _Coefficients:
    return WITH_FPU if Isa.FPU_SINGLE in core.isa else WITHOUT_FPU


def _finishing(network: Network, kind: _Coefficients) -> float:
    edges, nodes = len(network.sources), len(network.nodes)
    return kind.finished_edge * edges + kind.finished_node * nodes


def _of(instructions: float) -> Count:
    return Count(instructions, LOW * instructions, HIGH * instructions, SOURCE)


def _plus(beside: float, network: Count, times: int = 1) -> Count:
    """Runs of a network and what lies around them."""
    rest = _of(beside)
    return Count(
        times * network.value + rest.value,
        times * network.low + rest.low,
        times * network.high + rest.high,
        SOURCE,
    )
