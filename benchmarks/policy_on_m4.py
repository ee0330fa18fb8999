"""The policy on a Cortex-M4: instructions, sizes and modelled joules, beside the exact optimum.

Trains the policy, exports it for mps2-an386 under both roundings, and lets the emulated board
decide scenarios that it was not trained on.
"""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import device_profiles
from export.graph import Rounding
from export.pipeline import ExportOptions, export_model
from hil_tests.session import run_session
from train.policy import train_policy

if TYPE_CHECKING:
    from hil_tests.result import Measure

DEVICE = "mps2-an386"
SCENARIOS = 5
SEED = 1


def main() -> tuple[Measure, ...]:
    """The figures under each rounding."""
    with tempfile.TemporaryDirectory(prefix="jouleloop-benchmark-") as folder:
        checkpoint = Path(folder) / "checkpoint"
        train_policy(checkpoint, seed=0)
        return tuple(
            replace(measure, name=f"{rounding}: {measure.name}")
            for rounding in Rounding
            for measure in _figures(checkpoint, rounding, Path(folder) / rounding)
        )


def _figures(checkpoint: Path, rounding: Rounding, out: Path) -> tuple[Measure, ...]:
    profile = device_profiles.load(DEVICE)
    bundle = export_model(checkpoint, profile, ExportOptions(rounding=rounding))
    result = run_session(
        bundle, "qemu", device=DEVICE, scenarios=SCENARIOS, seed=SEED, broker=None, out=out
    )
    return result.measures
