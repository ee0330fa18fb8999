"""A planner as one native module: noise, int8 denoiser, steps and projection, ABI v2."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass, replace
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
from export.interpret import interpreter
from export.planner.choice import ProjectorMode
from export.planner.learned import compare_and_choose, read_learned
from export.planner.projection import arithmetic_of
from export.specs import tensor_specs
from jouleloop.errors import CheckpointError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from device_profiles import DeviceProfile
    from device_profiles.core import Core
    from edge_runtime.planner.amortiser import Amortiser
    from edge_runtime.planner.network import Network
    from edge_runtime.planner.sampler import Denoise
    from edge_runtime.wire.module import Ceiling
    from edge_runtime.wire.tensor import TensorSpec
    from export.graph import QGraph, Rounding
    from export.planner.choice import Choice
    from export.planner.learned import LearnedProjector

GOLDEN_SEED = 20_260_101
GOLDEN_CONDITIONS = ((0.2, 0.8), (1.0, 0.0), (0.0, 1.0), (0.5, 0.5))
DEFAULT_STEPS = 10
COMPARED_SAMPLES = 8  # under each of the golden conditions


@dataclass(frozen=True, eq=False)
class Planner:
    """What a checkpoint says of its sampler, checked against its denoiser.

    Args:
        network: that it plans.
        tables: of the chosen number of steps.
        specs: of the denoiser's input and output.
        projector: in the device's arithmetic.
        denoise: the denoiser as the interpreter runs it.
        choice: of the projector; None before it was made.
        learned: the projector whose guesses are finished; None for the exact one.
    """

    network: Network
    tables: SamplerTables
    specs: tuple[TensorSpec, TensorSpec]
    projector: Projector
    denoise: Denoise
    choice: Choice | None = None
    learned: LearnedProjector | None = None

    @property
    def steps(self) -> int:
        """K."""
        return len(self.tables.keep_state)

    def draw(self, condition: tuple[float, float], samples: NDArray[Any]) -> NDArray[np.float32]:
        """Coordinates before the projection, under the golden seed, [n, D]."""
        return sample_coordinates(
            self.tables, self.specs, self.denoise, condition, GOLDEN_SEED, samples
        )


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
    return Planner(network, tables, (before, after), projector, interpreter(graph))


def choose(
    planner: Planner,
    asked: ProjectorMode,
    checkpoint: Path,
    profile: DeviceProfile,
    rounding: Rounding,
) -> Planner:
    """The planner with its projector.

    Args:
        planner: from `read_planner`.
        asked: what the user wants.
        checkpoint: whose learned projector is held beside the exact one.
        profile: the device.
        rounding: of the learned projector's network.

    Raises:
        CheckpointError: the learned projector is of another network, or broken.
        InputError: AMORTISED was asked for and the checkpoint has none.
    """
    learned = None
    if asked is not ProjectorMode.EXACT:
        learned = read_learned(checkpoint, planner.network, profile, rounding)
    samples = np.arange(COMPARED_SAMPLES)
    drawn = () if learned is None else GOLDEN_CONDITIONS
    coordinates = [planner.draw(condition, samples) for condition in drawn]
    choice = compare_and_choose(asked, planner.projector, learned, coordinates, profile)
    is_learned = choice.mode is ProjectorMode.AMORTISED
    return replace(planner, choice=choice, learned=learned if is_learned else None)


def planner_specs(planner: Planner) -> tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...]]:
    """The module's inputs and outputs."""
    return request_specs(planner.network), response_specs(planner.network)


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


def planner_golden(planner: Planner) -> PlannerGolden:
    """Golden rows by the interpreter and the specification of the sampler."""
    requests, responses = [], []
    amortiser = None if planner.learned is None else planner.learned.amortiser
    for index, condition in enumerate(GOLDEN_CONDITIONS):
        coordinates = planner.draw(condition, np.array([index]))
        bounds = planner.projector.own_bounds
        requests.append(pack_request(condition, GOLDEN_SEED, index, bounds))
        responses.append(pack_response(finish(planner.projector, coordinates, amortiser)))
    return PlannerGolden(_rows(requests), _rows(responses))


def planner_record(planner: Planner, core: Core) -> bytes:
    """The file `planner.json`: what a host needs to compute the same samples."""
    is_float = Isa.FPU_SINGLE in core.isa or core.kernel_class is None
    record = {
        "steps": planner.steps,
        "arithmetic": "float32" if is_float else "fixed",
        "projector": None if planner.choice is None else planner.choice.as_record(),
        "amortiser": None if planner.learned is None else _edges(planner.learned.amortiser),
    }
    return json.dumps(record, indent=2, sort_keys=True).encode()


def _rows(rows: list[bytes]) -> NDArray[np.int8]:
    return np.stack([np.frombuffer(row, np.int8) for row in rows])


def _edges(amortiser: Amortiser) -> dict[str, Any]:
    """Input and output of the learned projector, for whoever runs it."""
    names = ("input", "output")
    return {name: spec.as_record() for name, spec in zip(names, amortiser.specs, strict=True)}
