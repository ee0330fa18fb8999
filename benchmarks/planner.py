"""A whole sample of a planner on emulated cores: instructions by stage, and modelled joules.

A planner of the default one's size with random weights, of 10 steps and projected exactly once at
the end, draws its golden samples under QEMU: on the Cortex-M3 in fixed point, on the M4F, M33 and
M55 in float32. Only the projection depends on the weights: on how far from a plan a candidate ends.
"""

from __future__ import annotations

import io
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

import device_profiles
from edge_runtime.wire.bundle import PIPELINE_GOLDEN
from export.pipeline import ExportOptions, export_model
from export.planner.pipeline import STAGES
from hil_tests.profile_bundle import golden_rows, profile_bundle
from hil_tests.result import Measure
from tests.hil_tests.planner_checkpoint import write_planner
from train.planner.denoiser import Denoiser
from train.planner.settings import Fit

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hil_tests.profile_bundle import ModuleProfile

DEVICES = ("mps2-an385", "mps2-an386", "mps2-an505", "corstone-300")
NODES, EDGES = 20, 56  # of the default planner
DENOISER, REST = "denoiser", "rest"


def main() -> tuple[Measure, ...]:
    """The figures of every core."""
    with tempfile.TemporaryDirectory(prefix="jouleloop-benchmark-") as name:
        checkpoint = Path(name) / "planner"
        denoiser = Denoiser(EDGES + 4 * NODES, Fit().hidden)
        write_planner(checkpoint, NODES, EDGES, denoiser=denoiser)
        return tuple(
            measure for device in DEVICES for measure in _figures(checkpoint, device, Path(name))
        )


def stages(ran: ModuleProfile) -> dict[str, float]:
    """Instructions of one sample by stage; the int8 layers together are the denoiser.

    Args:
        ran: of a planner's module.
    """
    found = {DENOISER: 0.0} | dict.fromkeys(STAGES.values(), 0.0) | {REST: 0.0}
    for (layer,), executed in ran.profile.by("layer").items():
        own = layer if layer in found else DENOISER if layer in ran.macs else REST
        found[own] += executed / ran.profile.inferences
    return {stage: count for stage, count in found.items() if count}


def _figures(checkpoint: Path, device: str, folder: Path) -> Iterator[Measure]:
    profile = device_profiles.load(device)
    bundle = export_model(checkpoint, profile, ExportOptions())
    (folder / device).mkdir()
    rows = golden_rows(bundle)
    ran = profile_bundle(bundle, rows, folder / device)
    with np.load(io.BytesIO(bundle.file(PIPELINE_GOLDEN))) as golden:
        wanted = golden["outputs"].reshape(len(rows), -1)
    if not np.array_equal(ran.outputs, wanted):
        raise AssertionError(f"{device} draws other samples than the specification")
    where, source = f"{device}, {profile.core.name}", f"QEMU, mean of {len(rows)} samples"
    total = ran.profile.instructions
    for stage, count in stages(ran).items():
        share = f"{source}; {count / total:.1%} of a sample"
        yield Measure(f"{where}: {stage}", count, "", "measured", share)
    yield Measure(f"{where}: whole sample", total, "", "measured", source)
    yield Measure(f"{where}: arena", ran.arena_bytes, "B", "measured", "arena, request, response")
    if ran.energy is not None:
        low, high = ran.energy.interval
        yield Measure(
            *(f"{where}: energy", ran.energy.joules, "J", "modelled", ran.energy.source),
            low=low,
            high=high,
        )
