"""A planner as one native module: noise, int8 denoiser, steps and projection, ABI v2.

Where it has an amortiser, that is a second int8 graph in the same module.
"""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import numpy as np

from device_profiles.core import Isa
from edge_runtime.planner.amortiser import share_factors
from edge_runtime.planner.drawing import ProjectionMode, Sampler
from edge_runtime.planner.projection import Projector
from edge_runtime.planner.request import pack_request, pack_response, request_specs, response_specs
from edge_runtime.planner.sampler import (
    CONDITION_SIZE,
    EMBEDDING_SIZE,
    FAMILY,
    SamplerTables,
    network_of,
    sampler_tables,
)
from edge_runtime.planner.state import state_size
from edge_runtime.wire.module import SelfTest
from export.c_text import block_comment
from export.estimate import Count
from export.interpret import run_rows
from export.planner.choice import ProjectorMode
from export.planner.estimate import instructions_beside
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
    from export.planner.amortiser import QuantisedAmortiser
    from export.render.c import Program

SOURCES = ("jl_random.c", "jl_random.h", "jl_sampler.c", "jl_sampler.h")
COMPARISONS = "jl_float_compare.c"  # of cores without an FPU
DENOISER = "jl_denoise"
# What its functions are for, so that a profiler can say where the instructions went.
STAGES = {
    "jl_gaussians": "noise",
    "jl_infer": "steps",
    "tell": "steps",
    "take_step": "steps",
    "guess": "into and out of the amortiser",
    "jl_project": "projection",
    "jl_project_near": "projection",
    "residual": "projection",
}
ALIGNMENT = 16
GOLDEN_SEED = 20_260_101
GOLDEN_CONDITIONS = ((0.2, 0.8), (1.0, 0.0), (0.0, 1.0), (0.5, 0.5))
DEFAULT_STEPS = 10


@dataclass(frozen=True, eq=False)
class Planner:
    """What a checkpoint says of its sampler, checked against its denoiser.

    Args:
        network: that it plans.
        tables: of the chosen number of steps.
        specs: of the denoiser's input and output.
        projector: in the device's arithmetic.
        projection: when plans are projected.
        amortiser: what projections start from; None for iterations of their own.
    """

    network: Network
    tables: SamplerTables
    specs: tuple[TensorSpec, TensorSpec]
    projector: Projector
    projection: ProjectionMode = ProjectionMode.END
    amortiser: QuantisedAmortiser | None = None

    @property
    def steps(self) -> int:
        """K."""
        return len(self.tables.keep_state)

    @property
    def projections(self) -> int:
        """Of one sample."""
        counts = {ProjectionMode.NONE: 0, ProjectionMode.END: 1}
        return counts.get(self.projection, self.steps)


def read_planner(
    card: Mapping[str, Any],
    graph: QGraph,
    core: Core,
    steps: int | None,
    projection: ProjectionMode | None = None,
) -> Planner:
    """The sampler of a checkpoint, without an amortiser.

    Args:
        card: of family `planner`.
        graph: its denoiser, lowered.
        core: decides on the projection's arithmetic.
        steps: K; None for the card's.
        projection: when plans are projected; None for the card's.

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
    when = projection or _projection_of(card)
    return Planner(network, tables, (before, after), projector, when)


def _projection_of(card: Mapping[str, Any]) -> ProjectionMode:
    name = card[FAMILY].get("projection", ProjectionMode.END)
    try:
        return ProjectionMode(name)
    except ValueError as error:
        raise CheckpointError(
            f"the card projects at {name!r}; there are {', '.join(ProjectionMode)}",
            hint="choose one with --projection",
        ) from error


def planner_files(
    planner: Planner, program: Program, core: Core, guess: Program | None = None
) -> dict[str, str]:
    """The C of the whole module: file name -> text.

    Args:
        planner: with an amortiser where there is a `guess`.
        program: the denoiser.
        core: of the device.
        guess: the amortiser.
    """
    folder = files("export.planner")
    names = SOURCES if Isa.FPU_SINGLE in core.isa else (*SOURCES, COMPARISONS)
    sources = {name: folder.joinpath(name).read_text(encoding="utf-8") for name in names}
    denoiser = {
        name: text.replace(f"int32_t {ENTRY}(", f"int32_t {DENOISER}(")
        for name, text in program.files.items()
    }
    return (
        denoiser
        | ({} if guess is None else guess.files)
        | render_projection(planner.network, core)
        | sources
        | {
            "jl_sampler_sizes.h": _sizes(
                planner, program.plan.arena_bytes, 0 if guess is None else guess.plan.arena_bytes
            ),
            "jl_sampler_tables.c": _tables(planner),
        }
    )


def planner_arena_bytes(planner: Planner, denoiser_bytes: int, guesser_bytes: int = 0) -> int:
    """Size of `struct jl_sampler_memory`, whose parts never live at the same time.

    Args:
        planner: whose.
        denoiser_bytes: arena of the denoiser.
        guesser_bytes: of the amortiser, where it has one.
    """
    edges, is_amortised = len(planner.network.sources), planner.amortiser is not None
    values = len(planner.tables.mean) * (planner.projection is ProjectionMode.EACH_STEP)
    parts = [_aligned(denoiser_bytes or 1) + sum(_aligned(spec.size) for spec in planner.specs)]
    if planner.amortiser is not None:
        sizes = (spec.size for spec in planner.amortiser.guess.specs)
        parts.append(_aligned(guesser_bytes or 1) + sum(map(_aligned, sizes)))
    if planner.projections:
        parts.append(_aligned(projection_bytes(planner.network)))
    return _aligned(4 * (values + edges * is_amortised)) + max(parts)


def _aligned(size: int) -> int:
    return -(-size // ALIGNMENT) * ALIGNMENT


def planner_specs(planner: Planner) -> tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...]]:
    """The module's inputs and outputs."""
    return request_specs(planner.network), response_specs(planner.network)


def planner_instructions(
    planner: Planner, denoiser: Count, core: Core, guess: Count | None = None
) -> Count:
    """Instructions of one whole sample, estimated.

    Args:
        planner: with an amortiser where there is a `guess`.
        denoiser: of one pass.
        core: of the device.
        guess: of one pass of the amortiser.
    """
    beside = instructions_beside(
        planner.network,
        core,
        steps=planner.steps,
        projections=planner.projections,
        is_amortised=guess is not None,
    )
    ends = [
        planner.steps * getattr(denoiser, end)
        + (0.0 if guess is None else planner.projections * getattr(guess, end))
        + getattr(beside, end)
        for end in ("value", "low", "high")
    ]
    return Count(
        *(ends[0], ends[1], ends[2]),
        f"of {planner.steps} steps estimated from the layers' shapes; {beside.source}",
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
    amortiser = planner.amortiser
    sampler = Sampler(
        planner.tables,
        planner.specs,
        lambda rows: run_rows(graph, rows),
        planner.projector,
        planner.projection,
        None if amortiser is None else amortiser.guess,
    )
    bounds = planner.projector.own_bounds
    requests, responses = [], []
    for index, condition in enumerate(GOLDEN_CONDITIONS):
        requests.append(pack_request(condition, GOLDEN_SEED, index, bounds))
        responses.append(
            pack_response(sampler.draw(condition, GOLDEN_SEED, np.array([index]), bounds))
        )
    return PlannerGolden(_rows(requests), _rows(responses))


def planner_record(planner: Planner, core: Core) -> bytes:
    """The file `planner.json`: what a host needs to compute the same samples."""
    is_float = Isa.FPU_SINGLE in core.isa or core.kernel_class is None
    mode = ProjectorMode.EXACT if planner.amortiser is None else ProjectorMode.AMORTISED
    record: dict[str, Any] = {
        "steps": planner.steps,
        "projection": str(planner.projection),
        "projector": str(mode) if planner.projections else None,
        "arithmetic": "float32" if is_float else "fixed",
    }
    if planner.amortiser is not None:
        record["amortiser"] = planner.amortiser.as_record()
    return json.dumps(record, indent=2, sort_keys=True).encode()


def _rows(rows: list[bytes]) -> NDArray[np.int8]:
    return np.stack([np.frombuffer(row, np.int8) for row in rows])


def _sizes(planner: Planner, denoiser_bytes: int, guesser_bytes: int) -> str:
    before, after = planner.specs
    values = {
        "JL_STEPS": str(planner.steps),
        "JL_PROJECTS": str(int(planner.projections > 0)),
        "JL_PROJECTS_EACH_STEP": str(int(planner.projection is ProjectionMode.EACH_STEP)),
        "JL_IS_AMORTISED": str(int(planner.amortiser is not None)),
        "JL_DENOISER_ARENA_BYTES": str(denoiser_bytes or 1),
        "JL_SAMPLER_ARENA_BYTES": str(planner_arena_bytes(planner, denoiser_bytes, guesser_bytes)),
        "JL_INPUT_SCALE": c_float(before.scale),
        "JL_INPUT_ZERO_POINT": f"({before.zero_point})",
        "JL_OUTPUT_SCALE": c_float(after.scale),
        "JL_OUTPUT_ZERO_POINT": f"({after.zero_point})",
        "JL_X0_LIMIT": c_float(planner.tables.x0_limit),
        "JL_CAPACITY": c_float(planner.network.capacity),
    }
    if planner.amortiser is not None:
        given, made = planner.amortiser.guess.specs
        values |= {
            "JL_GUESSER_ARENA_BYTES": str(guesser_bytes or 1),
            "JL_GUESS_INPUT_SCALE": c_float(given.scale),
            "JL_GUESS_INPUT_ZERO_POINT": f"({given.zero_point})",
            "JL_GUESS_OUTPUT_SCALE": c_float(made.scale),
            "JL_GUESS_OUTPUT_ZERO_POINT": f"({made.zero_point})",
        }
    body = "".join(f"#define {name} {value}\n" for name, value in values.items())
    about = "Sizes and factors of one planner's sampler; generated by export/planner."
    guard = "JL_SAMPLER_SIZES_H"
    return f"{block_comment(about)}#ifndef {guard}\n#define {guard}\n\n{body}\n#endif\n"


def _tables(planner: Planner) -> str:
    tables, network = planner.tables, planner.network
    embedding = planner.specs[0].quantize(tables.embedding)
    parts: tuple[str, ...] = (
        c_table("int8_t jl_embedding", embedding),
        c_table("float jl_keep_state", tables.keep_state, is_real=True),
        c_table("float jl_keep_data", tables.keep_data, is_real=True),
        c_table("float jl_mean", tables.mean, is_real=True),
        c_table("float jl_std", tables.std, is_real=True),
        c_table("uint16_t jl_edge_sources", network.sources),
        c_table("uint16_t jl_edge_targets", network.targets),
    )
    if planner.amortiser is not None:
        parts += (
            c_table("float jl_guess_factor", share_factors(network), is_real=True),
            c_table("float jl_guess_flow_max", network.flow_max, is_real=True),
        )
    about = block_comment("One planner's sampler; generated by export/planner.")
    body = "".join(parts)
    return f'{about}#include "jl_sampler.h"\n\n// clang-format off\n{body}// clang-format on\n'
