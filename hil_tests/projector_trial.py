"""Export a planner with the projector that wins on its device: both are built, run and counted."""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edge_runtime.node.planner import open_sampler
from edge_runtime.planner.projection import Effort, Projector
from edge_runtime.planner.request import pack_request, unpack_response
from edge_runtime.planner.residuals import residuals
from edge_runtime.planner.state import split_plans
from edge_runtime.wire.bundle import PLANNER
from export.pipeline import ExportOptions, export_model
from export.planner.amortiser import FOLDER
from export.planner.choice import Choice, ProjectorFigures, ProjectorMode, choose_projector
from hil_tests.profile_bundle import profile_bundle
from jouleloop.errors import InputError, MissingToolError

if TYPE_CHECKING:
    from collections.abc import Callable

    from device_profiles import DeviceProfile
    from edge_runtime.wire.bundle import Bundle

    Progress = Callable[[int, int], None]

PLANS, SEED = 8, 1
NEAREST = Effort(2000, 0.0, 1e-9)
CHOICE = "choice"  # of a bundle's planner.json


@dataclass(frozen=True)
class Trial:
    """Both projectors in the same planner, on one machine of QEMU."""

    exact: ProjectorFigures
    amortised: ProjectorFigures
    machine: str

    def as_record(self) -> dict[str, Any]:
        """The record for JSON."""
        return {
            "exact": self.exact.as_record(),
            "amortised": self.amortised.as_record(),
            "source": f"means of {PLANS} whole plans, counted by QEMU ({self.machine})",
        }


def export_with_winner(
    checkpoint: Path,
    profile: DeviceProfile,
    options: ExportOptions,
    *,
    progress: Progress | None = None,
) -> Bundle:
    """Compile a planner with whichever projector costs less and is as good.

    Both modules draw the same plans on the emulated core of the device. Where they cannot be
    compared it is the exact one. `choice` in the bundle's `planner.json` says why, with figures.

    Args:
        checkpoint: of a planner.
        profile: the device.
        options: how; the projector is chosen here.
        progress: called with (stages done, stages in all) of each compilation.

    Raises:
        JouleloopError: whatever `export_model` says.
    """
    exact = export_model(
        checkpoint, profile, replace(options, projector=ProjectorMode.EXACT), progress=progress
    )
    try:
        amortised = _amortised(checkpoint, profile, options, progress)
        with tempfile.TemporaryDirectory(prefix="jouleloop-trial-") as name:
            figures = [_figures(bundle, Path(name)) for bundle in (exact, amortised)]
    except (InputError, MissingToolError) as error:
        return _with_choice(exact, Choice(ProjectorMode.EXACT, f"not compared: {error.message}"))
    trial = Trial(figures[0][0], figures[1][0], figures[0][1])
    choice = choose_projector(ProjectorMode.AUTO, trial.exact, trial.amortised)
    chosen = amortised if choice.mode is ProjectorMode.AMORTISED else exact
    return _with_choice(chosen, choice, trial)


def _amortised(
    checkpoint: Path, profile: DeviceProfile, options: ExportOptions, progress: Progress | None
) -> Bundle:
    """The other candidate.

    Raises:
        InputError: there is none, or nothing that could count its instructions.
    """
    if profile.core.kernel_class is None or options.native is False:
        raise InputError("without a native module there are no instructions to count")
    if not (checkpoint / FOLDER).is_dir():
        raise InputError("the checkpoint has no amortised projector")
    return export_model(
        checkpoint, profile, replace(options, projector=ProjectorMode.AMORTISED), progress=progress
    )


def _figures(bundle: Bundle, folder: Path) -> tuple[ProjectorFigures, str]:
    """What a bundle's module takes and how good its plans are, and QEMU's machine."""
    sampler = open_sampler(bundle)
    projector, network = sampler.projector, sampler.projector.network
    weights = np.random.default_rng(SEED).random((PLANS, 2))
    requests = [
        pack_request((float(cost), float(co2)), SEED, index, projector.own_bounds)
        for index, (cost, co2) in enumerate(weights)
    ]
    rows = np.stack([np.frombuffer(request, np.int8) for request in requests])
    place = folder / str(len(bundle.files))
    place.mkdir()
    ran = profile_bundle(bundle, rows, place)
    plans = [unpack_response(network, output.tobytes())[0] for output in ran.outputs]
    flows = np.concatenate([plan.flows for plan in plans])
    violation = max(float(residuals(network, plan).largest.max()) for plan in plans)
    drawn = sampler.coordinates(weights, SEED, np.arange(PLANS)).astype(np.float64)
    nearest = Projector(network).project(split_plans(network, drawn), effort=NEAREST).plans.flows
    distance = float(np.sqrt(np.mean((flows - nearest) ** 2)) / network.capacity)
    instructions = ran.profile.instructions
    return ProjectorFigures(instructions, ran.energy, violation, distance), ran.machine


def _with_choice(bundle: Bundle, choice: Choice, trial: Trial | None = None) -> Bundle:
    record = json.loads(bundle.file(PLANNER))
    said: dict[str, Any] = {"mode": str(choice.mode), "reason": choice.reason}
    record[CHOICE] = said | ({} if trial is None else trial.as_record())
    content = json.dumps(record, indent=2, sort_keys=True).encode()
    return replace(bundle, files={**bundle.files, PLANNER: content})
