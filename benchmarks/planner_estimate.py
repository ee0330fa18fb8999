"""Hold the estimate of a planner's instructions beside its int8 graphs to counts by QEMU.

Planners with random weights, for networks of three sizes, projected at the end, at each step and
not at all, exactly and from a guess, run whole on emulated cores; denoiser and amortiser run alone,
and what they take is subtracted. The coefficients of `export/planner/estimate.py` are fitted again
(squared relative error, none below 0) and printed, with the widest of counted over fitted.
"""

from __future__ import annotations

import io
import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import nnls

import device_profiles
from edge_runtime.planner.drawing import ProjectionMode
from edge_runtime.wire.bundle import GOLDEN, PIPELINE_GOLDEN
from edge_runtime.wire.image import parse_image
from export.pipeline import ExportOptions, export_model
from export.planner.amortiser import FOLDER
from export.planner.choice import ProjectorMode
from export.planner.estimate import instructions_beside, terms
from hil_tests.result import Measure
from tests.export.bare_metal import run_module
from tests.hil_tests.planner_checkpoint import write_planner

if TYPE_CHECKING:
    from collections.abc import Iterator

    from device_profiles import DeviceProfile
    from edge_runtime.planner.network import Network

# Of Armv6-M, Armv7-M, Armv7E-M with an FPU, and Armv8.1-M with Helium.
DEVICES = ("rp2040", "mps2-an385", "mps2-an386", "corstone-300")
SIZES = ((5, 7), (10, 20), (20, 54))
EXACT, AMORTISED = ProjectorMode.EXACT, ProjectorMode.AMORTISED
WAYS = (
    (10, ProjectionMode.NONE, EXACT),
    (4, ProjectionMode.NONE, EXACT),
    (10, ProjectionMode.END, EXACT),
    (4, ProjectionMode.END, EXACT),
    (4, ProjectionMode.EACH_STEP, EXACT),
    (4, ProjectionMode.END, AMORTISED),
    (4, ProjectionMode.EACH_STEP, AMORTISED),
)


@dataclass(frozen=True)
class Sample:
    """One planner: what QEMU counted beside its graphs, and how often each coefficient counts."""

    counted: float
    low: float
    high: float
    terms: dict[str, float]


def samples(device: str, folder: Path) -> Iterator[Sample]:
    """Every way of drawing, for every size."""
    profile = device_profiles.load(device)
    for nodes, edges in SIZES:
        checkpoint = folder / f"{nodes}"
        network = write_planner(checkpoint, nodes, edges, has_amortiser=True)
        guess = _count(checkpoint / FOLDER, profile, ExportOptions(), GOLDEN)
        card = checkpoint / "card.json"
        whole = card.read_text()
        card.write_text(json.dumps(json.loads(whole) | {"family": "denoiser"}))
        denoiser = _count(checkpoint, profile, ExportOptions(), GOLDEN)
        card.write_text(whole)
        for steps, projection, projector in WAYS:
            options = ExportOptions(steps=steps, projection=projection, projector=projector)
            counted = _count(checkpoint, profile, options, PIPELINE_GOLDEN)
            times = {ProjectionMode.NONE: 0, ProjectionMode.END: 1}.get(projection, steps)
            is_amortised = projector is AMORTISED
            beside = counted - steps * denoiser - times * guess * is_amortised
            yield _sample(network, profile, beside, steps, times, is_amortised)


def _sample(
    network: Network,
    profile: DeviceProfile,
    beside: float,
    steps: int,
    times: int,
    is_amortised: bool,
) -> Sample:
    estimate = instructions_beside(
        network, profile.core, steps=steps, projections=times, is_amortised=is_amortised
    )
    count = terms(network, steps=steps, projections=times, is_amortised=is_amortised)
    return Sample(beside, estimate.low, estimate.high, count)


def _count(
    checkpoint: Path, profile: DeviceProfile, options: ExportOptions, golden_name: str
) -> float:
    """Instructions of one run of a checkpoint's module."""
    bundle = export_model(checkpoint, profile, options)
    with np.load(io.BytesIO(bundle.file(golden_name))) as golden:
        rows, outputs = golden["inputs"], golden["outputs"]
    rows, outputs = rows.reshape(len(rows), -1), outputs.reshape(len(outputs), -1)
    module = parse_image(bundle.native).payload
    ran = run_module(module, profile.core.name, rows, outputs.shape[1])
    assert np.array_equal(ran.outputs, outputs)
    return ran.instructions


def main() -> list[Measure]:
    """Judge every core's estimate, and print the coefficients that would fit it best."""
    measures = []
    for device in DEVICES:
        with tempfile.TemporaryDirectory(prefix="jouleloop-benchmark-") as name:
            found = list(samples(device, Path(name)))
        counted = np.array([sample.counted for sample in found])
        work = np.array([list(sample.terms.values()) for sample in found])
        fitted, _ = nnls(work / counted[:, None], np.ones(len(counted)))
        ratio = counted / (work @ fitted)
        names = dict(zip(found[0].terms, (round(float(c), 1) for c in fitted), strict=True))
        print(device, names, f"counted / fitted {ratio.min():.2f} to {ratio.max():.2f}")
        source = f"{len(found)} planners on QEMU, the worst"
        for figure, value in (
            ("counted / highest estimate", max(s.counted / s.high for s in found)),
            ("lowest estimate / counted", max(s.low / s.counted for s in found)),
        ):
            measures.append(Measure(f"{device} {figure}", value, "", "measured", source, limit=1.0))
    return measures
