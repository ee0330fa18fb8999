"""A planner's learned projector: read from its checkpoint, compiled, and held beside the exact one.

The figures are of candidates that the quantised sampler draws, projected with the device's bits:
violation and distance are exact, instructions and joules are estimated from the code.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

import jouleloop
from edge_runtime.planner.amortiser import Amortiser, row_size
from edge_runtime.planner.projection import Effort, Projector
from edge_runtime.planner.residuals import residuals
from edge_runtime.planner.state import split_plans
from edge_runtime.wire.bundle import AMORTISER_ONNX, AMORTISER_TFLITE
from export.cost import count_instructions, estimate_energy
from export.frontend.read_source import read_source
from export.interpret import interpreter
from export.passes import lower
from export.planner.choice import ProjectorFigures, ProjectorMode, choose_projector
from export.planner.estimate import amortised_instructions, exact_instructions
from export.render.c import render_c
from export.render.onnx import render_onnx
from export.render.tflite import render_tflite
from export.specs import tensor_specs
from jouleloop.errors import CheckpointError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from device_profiles import DeviceProfile
    from edge_runtime.planner.network import Network, Plans
    from export.estimate import Count
    from export.graph import Rounding
    from export.planner.choice import Choice
    from export.render.c import Program

    Singles = NDArray[np.float32]

FOLDER = "amortiser"  # of a planner's checkpoint
ENTRY = "jl_amortise"
PREFIX = "amortiser_"
NEAREST = Effort(2000, 0.0, 1e-9)


@dataclass(frozen=True, eq=False)
class LearnedProjector:
    """A learned projector, compiled.

    Args:
        amortiser: as the interpreter runs it.
        files: of a bundle: the same network as ONNX and TFLite.
        program: its C; None on a device without native modules.
    """

    amortiser: Amortiser
    files: Mapping[str, bytes]
    program: Program | None

    @property
    def arena_bytes(self) -> int:
        """Of its own, beside input and output."""
        return 0 if self.program is None else max(self.program.plan.arena_bytes, 1)


def read_learned(
    checkpoint: Path, network: Network, profile: DeviceProfile, rounding: Rounding
) -> LearnedProjector | None:
    """The learned projector of a planner's checkpoint; None where it has none.

    Raises:
        CheckpointError: it is of another network, or broken.
    """
    folder = checkpoint / FOLDER
    if not folder.is_dir():
        return None
    graph = lower(read_source(folder, rounding).graph, profile)
    inputs, outputs = tensor_specs(graph)
    found = tuple(spec.size for spec in (*inputs, *outputs))
    wanted = (row_size(network), len(network.sources))
    if found != wanted:
        raise CheckpointError(
            f"the learned projector in {folder} takes and gives {found} values; this network wants "
            f"{wanted}",
            hint="train the planner again",
        )
    version = jouleloop.__version__
    tflite = render_tflite(graph, producer=f"jouleloop {version}")
    onnx = render_onnx(graph, producer="jouleloop", version=version)
    program = None
    if profile.core.kernel_class is not None:
        program = render_c(
            graph,
            profile.core,
            producer=f"jouleloop {version}",
            model_sha256=hashlib.sha256(tflite).hexdigest(),
            entry=ENTRY,
            prefix=PREFIX,
        )
    amortiser = Amortiser(network, (inputs[0], outputs[0]), interpreter(graph))
    return LearnedProjector(amortiser, {AMORTISER_ONNX: onnx, AMORTISER_TFLITE: tflite}, program)


def compare_and_choose(
    asked: ProjectorMode,
    projector: Projector,
    learned: LearnedProjector | None,
    coordinates: Sequence[Singles],
    profile: DeviceProfile,
) -> Choice:
    """The projector that a device gets, with the figures of both where both could be held.

    Args:
        asked: what the user wants.
        projector: exact, in the device's arithmetic.
        learned: of the same network, or None.
        coordinates: as the sampler leaves them, kg and shares, [n, D] each; none without `learned`.
        profile: the device.

    Raises:
        InputError: AMORTISED was asked for and there is none.
    """
    if learned is None or asked is ProjectorMode.EXACT:
        return choose_projector(asked, None, None)
    network = projector.network
    candidate = split_plans(network, np.concatenate(coordinates, dtype=np.float64))
    nearest = Projector(network).project(candidate, effort=NEAREST).plans
    exact = projector.project(candidate).plans
    near = learned.amortiser.guess(candidate).astype(np.float64)
    amortised = projector.project(candidate, near=near).plans
    if learned.program is None:
        counts: tuple[Count | None, Count | None] = (None, None)
    else:
        guess = count_instructions(learned.program, profile.core)
        counts = (
            exact_instructions(network, profile.core),
            amortised_instructions(network, guess, profile.core),
        )
    first, second = (
        _figures(network, plans, nearest, count, profile)
        for plans, count in zip((exact, amortised), counts, strict=True)
    )
    return choose_projector(asked, first, second)


def _figures(
    network: Network, plans: Plans, nearest: Plans, count: Count | None, profile: DeviceProfile
) -> ProjectorFigures:
    apart = np.sqrt(np.mean((plans.flows - nearest.flows) ** 2)) / network.capacity
    energy = None
    if count is not None:
        # The quotient of two such energies is what decides; a message has no part in it.
        energy = estimate_energy(profile, count, 0).states.get("inference")
    return ProjectorFigures(
        None if count is None else count.value,
        energy,
        float(residuals(network, plans).largest.max()),
        float(apart),
    )
