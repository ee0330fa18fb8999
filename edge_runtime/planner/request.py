"""What a module that samples plans takes and gives: the bytes of `jl_sampler.h`."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

import numpy as np

from edge_runtime.planner.projection import BOUNDS
from edge_runtime.planner.state import join_plans, split_plans, state_size
from edge_runtime.wire.tensor import TensorSpec

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edge_runtime.planner.network import Network, Plans
    from edge_runtime.planner.sampler import Sampled

HEAD = struct.Struct("<2fQI")
TAIL = struct.Struct("<fi")
# What the codes of `jl_project` below 0 mean, for people.
REFUSALS = {
    -1: "the candidate or a bound is not a finite number",
    -2: "a bound is above its counterpart or beyond all that the network can move, or a quality "
    "outside 0 to 1",
    -3: "no plan keeps the bounds",
}


def request_specs(network: Network) -> tuple[TensorSpec, ...]:
    """The module's inputs."""
    nodes = len(network.nodes)
    return (
        TensorSpec("condition", (1, 2), 1.0, 0, "float32"),
        TensorSpec("seed", (1, 2), 1.0, 0, "uint32"),
        TensorSpec("sample", (1, 1), 1.0, 0, "uint32"),
        *(TensorSpec(name, (1, nodes), 1.0, 0, "float32") for name in BOUNDS),
    )


def response_specs(network: Network) -> tuple[TensorSpec, ...]:
    """The module's outputs."""
    nodes, edges = len(network.nodes), len(network.sources)
    blocks = ("storage", "exchange", "quality", "status")
    return (
        TensorSpec("flows", (1, edges), 1.0, 0, "float32"),
        *(TensorSpec(name, (1, nodes), 1.0, 0, "float32") for name in blocks),
        TensorSpec("residual", (1, 1), 1.0, 0, "float32"),
        TensorSpec("code", (1, 1), 1.0, 0, "int32"),
    )


def pack_request(
    condition: tuple[float, float], seed: int, sample: int, bounds: NDArray[Any]
) -> bytes:
    """One sample's request.

    Args:
        condition: weights of cost and CO2.
        seed: 0..2**64 - 1.
        sample: index under this seed, below 2**32.
        bounds: [5, N] in the order of BOUNDS.
    """
    return HEAD.pack(*condition, seed, sample) + np.asarray(bounds, "<f4").tobytes()


def pack_response(sampled: Sampled) -> bytes:
    """What a module answers for the first sample."""
    values: bytes = join_plans(sampled.plans)[0].astype("<f4").tobytes()
    return values + TAIL.pack(float(sampled.residual[0]), int(sampled.codes[0]))


def unpack_response(network: Network, response: bytes) -> tuple[Plans, float, int]:
    """A plan, its residual, and the code of `jl_project`."""
    size = 4 * state_size(network)
    values = np.frombuffer(response[:size], "<f4").astype(np.float64)
    residual, code = TAIL.unpack_from(response, size)
    return split_plans(network, values[None]), residual, code
