"""The stages of a sample add up, and each of them was counted."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import device_profiles
from benchmarks.planner import stages
from export.pipeline import ExportOptions, export_model
from hil_tests.profile_bundle import golden_rows, profile_bundle
from tests.hil_tests.planner_checkpoint import write_planner

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.qemu


def test_stages_are_the_whole_sample(tmp_path: Path) -> None:
    # The M3 computes floats by functions that noise, steps and projection share.
    write_planner(tmp_path / "planner", 5, 7)
    profile = device_profiles.load("mps2-an385")
    bundle = export_model(tmp_path / "planner", profile, ExportOptions(steps=4))
    ran = profile_bundle(bundle, golden_rows(bundle), tmp_path)
    found = stages(ran)
    assert sum(found.values()) == pytest.approx(ran.profile.instructions)
    assert set(found) == {"denoiser", "noise", "steps", "projection", "rest"}
    assert found["rest"] < 100
    # A multiply-accumulate takes an instruction at the least, and 4 steps take 4 of each.
    assert found["denoiser"] > 4 * sum(ran.macs.values())
