"""A planner as one native module: noise, int8 denoiser, steps and projection, ABI v2."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import numpy as np

from device_profiles.core import Isa
from edge_runtime.planner.projection import Projector
from edge_runtime.planner.request import pack_request, pack_response, request_specs, response_specs
from edge_runtime.planner.sampler import (
    CONDITION_SIZE,
    EMBEDDING_SIZE,
    FAMILY,
    SamplerTables,
    finish,
    network_of,
    sample_coordinates,
    sampler_tables,
)
from edge_runtime.planner.state import state_size
from edge_runtime.wire.module import SelfTest
from export.c_text import block_comment
from export.estimate import Count
from export.interpret import run
from export.planner.projection import arithmetic_of, c_float, c_table, render_projection
from export.planner.projection import scratch_bytes as projection_bytes
from export.render.c import ENTRY
from export.specs import tensor_specs
from jouleloop.errors import CheckpointError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from device_profiles.core import Core
    from edge_runtime.planner.network import Network
    from edge_runtime.wire.module import Ceiling
    from edge_runtime.wire.tensor import TensorSpec
    from export.graph import QGraph
    from export.render.c import Program

SOURCES = ("jl_random.c", "jl_random.h", "jl_sampler.c", "jl_sampler.h")
COMPARISONS = "jl_float_compare.c"  # of cores without an FPU
DENOISER = "jl_denoise"
ALIGNMENT = 16
GOLDEN_SEED = 20_260_101
GOLDEN_CONDITIONS = ((0.2, 0.8), (1.0, 0.0), (0.0, 1.0), (0.5, 0.5))
DEFAULT_STEPS = 10
# Instructions beside the denoiser, fitted to counts by QEMU on networks of 4 and 20 nodes: of a
# coordinate's noise, of its part in a step, and of a term of the projection's iterations.
WITH_FPU, WITHOUT_FPU = (70.0, 27.0, 14.0), (1500.0, 450.0, 14.0)
LOW, HIGH = 0.4, 2.5  # settling takes what it takes, and differs most


@dataclass(frozen=True, eq=False)
class Planner:
    """What a checkpoint says of its sampler, checked against its denoiser.

    Args:
        network: that it plans.
        tables: of the chosen number of steps.
        specs: of the denoiser's input and output.
        projector: in the device's arithmetic.
    """

    network: Network
    tables: SamplerTables
    specs: tuple[TensorSpec, TensorSpec]
    projector: Projector

    @property
    def steps(self) -> int:
        """K."""
        return len(self.tables.keep_state)

    @property
    def arena_bytes(self) -> int:
        """Beside the denoiser's own arena."""
        return sum(-(-spec.size // ALIGNMENT) * ALIGNMENT for spec in self.specs)


def read_planner(card: Mapping[str, Any], graph: QGraph, core: Core, steps: int | None) -> Planner:
    """The sampler of a checkpoint.

    Args:
        card: of family `planner`.
        graph: its denoiser, lowered.
        core: decides on the projection's arithmetic.
        steps: K; None for the card's.

    Raises:
        CheckpointError: the card lacks something, or the denoiser does not match its network.
        NetworkError: the network is broken, or no plan keeps its constraints.
    """
    network = network_of(card)
    projector = Projector(network, arithmetic_of(core))
    projector.check_feasible()
    tables = sampler_tables(card, steps or int(card[FAMILY].get("steps", DEFAULT_STEPS)))
    (before,), (after,) = tensor_specs(graph)
    size = state_size(network)
    wanted = (size + CONDITION_SIZE + EMBEDDING_SIZE, size, size, size)
    found = (before.size, after.size, len(tables.mean), len(tables.std))
    if found != wanted or tables.embedding.shape[1] != EMBEDDING_SIZE:
        raise CheckpointError(
            f"a network of {len(network.nodes)} nodes and {len(network.sources)} edges has a state "
            f"of {size} values; the denoiser takes {before.size} and gives {after.size}, and the "
            f"card normalises {len(tables.mean)}",
            hint="the card and the program are of two checkpoints",
        )
    return Planner(network, tables, (before, after), projector)


def planner_files(planner: Planner, program: Program, core: Core) -> dict[str, str]:
    """The C of the whole module: file name -> text."""
    folder = files("export.planner")
    names = SOURCES if Isa.FPU_SINGLE in core.isa else (*SOURCES, COMPARISONS)
    sources = {name: folder.joinpath(name).read_text(encoding="utf-8") for name in names}
    denoiser = {
        name: text.replace(f"int32_t {ENTRY}(", f"int32_t {DENOISER}(")
        for name, text in program.files.items()
    }
    return (
        denoiser
        | render_projection(planner.network, core)
        | sources
        | {
            "jl_sampler_sizes.h": _sizes(planner, program.plan.arena_bytes),
            "jl_sampler_tables.c": _tables(planner),
        }
    )


def planner_arena_bytes(planner: Planner, denoiser_bytes: int) -> int:
    """The denoiser with its input and output, or the projection after it."""
    sampling = -(-max(denoiser_bytes, 1) // ALIGNMENT) * ALIGNMENT + planner.arena_bytes
    return max(sampling, -(-projection_bytes(planner.network) // ALIGNMENT) * ALIGNMENT)


def planner_specs(planner: Planner) -> tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...]]:
    """The module's inputs and outputs."""
    return request_specs(planner.network), response_specs(planner.network)


def planner_instructions(planner: Planner, denoiser: Count, core: Core) -> Count:
    """Instructions of one whole sample, estimated."""
    has_fpu = Isa.FPU_SINGLE in core.isa
    noise, step, term = WITH_FPU if has_fpu else WITHOUT_FPU
    nodes, size = len(planner.network.nodes), len(planner.tables.mean)
    beside = size * (noise + planner.steps * step) + 20 * term * (nodes * nodes / 2 + 4 * size)
    return Count(
        planner.steps * denoiser.value + beside,
        planner.steps * denoiser.low + LOW * beside,
        planner.steps * denoiser.high + HIGH * beside,
        f"of {planner.steps} steps estimated from the layers' shapes, of noise and projection from "
        "counts on QEMU",
    )


@dataclass(frozen=True, eq=False)
class PlannerGolden:
    """Requests and the exact responses of the module, int8 [rows, bytes]."""

    inputs: NDArray[np.int8]
    outputs: NDArray[np.int8]

    def as_npz(self) -> bytes:
        """The file `pipeline.npz`."""
        buffer = io.BytesIO()
        np.savez(buffer, inputs=self.inputs, outputs=self.outputs)
        return buffer.getvalue()

    def self_test(self, ceilings: tuple[Ceiling, ...]) -> SelfTest:
        """The first row: a sample is long, and wrong in many places when anything is wrong."""
        return SelfTest(1, self.inputs[0].tobytes(), self.outputs[0].tobytes(), ceilings)


def planner_golden(planner: Planner, graph: QGraph) -> PlannerGolden:
    """Golden rows by the interpreter and the specification of the sampler."""
    (name,), (result,) = graph.inputs, graph.outputs
    shape = graph.tensors[name].shape

    def denoise(rows: NDArray[np.int8]) -> NDArray[np.int8]:
        out = run(graph, {name: rows.reshape(len(rows), *shape)})[result]
        return np.asarray(out, np.int8).reshape(len(rows), -1)

    requests, responses = [], []
    for index, condition in enumerate(GOLDEN_CONDITIONS):
        sample = np.array([index])
        coordinates = sample_coordinates(
            planner.tables, planner.specs, denoise, condition, GOLDEN_SEED, sample
        )
        bounds = planner.projector.own_bounds
        requests.append(pack_request(condition, GOLDEN_SEED, index, bounds))
        responses.append(pack_response(finish(planner.projector, coordinates)))
    return PlannerGolden(_rows(requests), _rows(responses))


def planner_record(planner: Planner, core: Core) -> bytes:
    """The file `planner.json`: what a host needs to compute the same samples."""
    is_float = Isa.FPU_SINGLE in core.isa or core.kernel_class is None
    record = {
        "steps": planner.steps,
        "projector": "exact",
        "arithmetic": "float32" if is_float else "fixed",
    }
    return json.dumps(record, indent=2, sort_keys=True).encode()


def _rows(rows: list[bytes]) -> NDArray[np.int8]:
    return np.stack([np.frombuffer(row, np.int8) for row in rows])


def _sizes(planner: Planner, denoiser_bytes: int) -> str:
    before, after = planner.specs
    values = {
        "JL_STEPS": str(planner.steps),
        "JL_DENOISER_ARENA_BYTES": str(max(denoiser_bytes, 1)),
        "JL_SAMPLER_ARENA_BYTES": str(planner_arena_bytes(planner, denoiser_bytes)),
        "JL_INPUT_SCALE": c_float(before.scale),
        "JL_INPUT_ZERO_POINT": f"({before.zero_point})",
        "JL_OUTPUT_SCALE": c_float(after.scale),
        "JL_OUTPUT_ZERO_POINT": f"({after.zero_point})",
        "JL_X0_LIMIT": c_float(planner.tables.x0_limit),
        "JL_CAPACITY": c_float(planner.network.capacity),
    }
    body = "".join(f"#define {name} {value}\n" for name, value in values.items())
    about = "Sizes and factors of one planner's sampler; generated by export/planner."
    guard = "JL_SAMPLER_SIZES_H"
    return f"{block_comment(about)}#ifndef {guard}\n#define {guard}\n\n{body}\n#endif\n"


def _tables(planner: Planner) -> str:
    tables, network = planner.tables, planner.network
    embedding = planner.specs[0].quantize(tables.embedding)
    parts = (
        c_table("int8_t jl_embedding", embedding),
        c_table("float jl_keep_state", tables.keep_state, is_real=True),
        c_table("float jl_keep_data", tables.keep_data, is_real=True),
        c_table("float jl_mean", tables.mean, is_real=True),
        c_table("float jl_std", tables.std, is_real=True),
        c_table("uint16_t jl_edge_sources", network.sources),
        c_table("uint16_t jl_edge_targets", network.targets),
    )
    about = block_comment("One planner's sampler; generated by export/planner.")
    body = "".join(parts)
    return f'{about}#include "jl_sampler.h"\n\n// clang-format off\n{body}// clang-format on\n'
