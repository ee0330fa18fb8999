"""Plans drawn by the module on emulated cores have the bits of those drawn here."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

import device_profiles
from edge_runtime.node.planner import planner_of_bundle
from edge_runtime.planner.drawing import NOT_PROJECTED, ProjectionMode
from edge_runtime.planner.network import Plans
from edge_runtime.planner.residuals import residuals
from edge_runtime.planner.samples import read_samples
from edge_runtime.wire.bundle import AMORTISER_ONNX, AMORTISER_TFLITE, PLANNER
from export.pipeline import ExportOptions, export_model
from export.planner.choice import ProjectorMode
from hil_tests.sample_plans import (
    Request,
    draw_locally,
    draw_on_qemu,
    figures_on_board,
    write_drawn,
)
from jouleloop.errors import BundleError, CheckpointError, InputError
from tests.hil_tests.planner_checkpoint import write_planner

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.qemu

REQUEST = Request(3, (0.2, 0.8), 2**40 + 7)


@pytest.mark.parametrize("board", ["mps2-an386", "mps2-an385"])
def test_a_board_draws_the_same_feasible_plans(tmp_path: Path, board: str) -> None:
    network = write_planner(tmp_path / "planner", 20, 50)
    bundle = export_model(tmp_path / "planner", device_profiles.load(board), ExportOptions())
    here, there = draw_locally(bundle, REQUEST), draw_on_qemu(bundle, REQUEST)
    for name in Plans.__dataclass_fields__:
        np.testing.assert_array_equal(
            getattr(here.sampled.plans, name), getattr(there.sampled.plans, name), err_msg=name
        )
    np.testing.assert_array_equal(here.sampled.codes, there.sampled.codes)
    assert residuals(network, there.sampled.plans).largest.max() <= 1e-5
    assert len(np.unique(there.sampled.plans.flows, axis=0)) == REQUEST.count
    assert there.as_record()["feasible"] == 1.0
    assert there.instructions is not None
    estimate = bundle.cost["instructions"]
    assert estimate["low"] <= there.instructions.mean() <= estimate["high"]
    write_drawn(tmp_path / "samples.npz", there)
    _, plans = read_samples(tmp_path / "samples.npz")
    np.testing.assert_array_equal(plans.flows, there.sampled.plans.flows)


@pytest.mark.parametrize(
    ("board", "projector", "projection"),
    [
        ("mps2-an386", ProjectorMode.AMORTISED, ProjectionMode.END),
        ("mps2-an386", ProjectorMode.AMORTISED, ProjectionMode.EACH_STEP),
        ("mps2-an386", ProjectorMode.EXACT, ProjectionMode.EACH_STEP),
        ("mps2-an385", ProjectorMode.AMORTISED, ProjectionMode.EACH_STEP),
    ],
)
def test_every_way_to_project_holds_and_has_the_bits(
    tmp_path: Path, board: str, projector: ProjectorMode, projection: ProjectionMode
) -> None:
    # Random weights guess nonsense: what is finished exactly holds all the same.
    network = write_planner(tmp_path / "planner", 8, 14, has_amortiser=True)
    options = ExportOptions(steps=4, projector=projector, projection=projection)
    bundle = export_model(tmp_path / "planner", device_profiles.load(board), options)
    is_amortised = projector is ProjectorMode.AMORTISED
    assert ({AMORTISER_ONNX, AMORTISER_TFLITE} <= set(bundle.files)) == is_amortised
    here, there = draw_locally(bundle, REQUEST), draw_on_qemu(bundle, REQUEST)
    for name in Plans.__dataclass_fields__:
        np.testing.assert_array_equal(
            getattr(here.sampled.plans, name), getattr(there.sampled.plans, name), err_msg=name
        )
    assert residuals(network, there.sampled.plans).largest.max() <= 1e-5
    assert there.instructions is not None
    estimate = bundle.cost["instructions"]
    assert estimate["low"] <= there.instructions.mean() <= estimate["high"]


def test_plans_that_are_not_projected_say_so(tmp_path: Path) -> None:
    write_planner(tmp_path / "planner", 5, 7)
    options = ExportOptions(steps=4, projection=ProjectionMode.NONE)
    profile = device_profiles.load("mps2-an386")
    bundle = export_model(tmp_path / "planner", profile, options)
    assert json.loads(bundle.file(PLANNER))["projector"] is None
    here, there = draw_locally(bundle, REQUEST), draw_on_qemu(bundle, REQUEST)
    np.testing.assert_array_equal(here.sampled.plans.flows, there.sampled.plans.flows)
    np.testing.assert_array_equal(here.sampled.residual, there.sampled.residual)
    assert (there.sampled.codes == NOT_PROJECTED).all()
    assert there.as_record()["feasible"] == 0.0
    with pytest.raises(BundleError, match="keep no constraint"):
        planner_of_bundle(bundle)
    both = replace(options, projector=ProjectorMode.AMORTISED)
    with pytest.raises(InputError, match="have no projector"):
        export_model(tmp_path / "planner", profile, both)


def test_wrong_requests_and_steps_are_refused(tmp_path: Path) -> None:
    write_planner(tmp_path / "planner", 4, 5)
    profile = device_profiles.load("mps2-an386")
    with pytest.raises(CheckpointError, match="no schedule of 7 steps"):
        export_model(tmp_path / "planner", profile, ExportOptions(steps=7))
    bundle = export_model(tmp_path / "planner", profile, ExportOptions(native=False, steps=4))
    for wrong in (Request(0, (0.2, 0.8), 1), Request(1, (0.2, 1.8), 1), Request(1, (0, 0), -1)):
        with pytest.raises(InputError):
            draw_locally(bundle, wrong)


def test_a_report_gets_the_figures_of_a_board(tmp_path: Path) -> None:
    write_planner(tmp_path / "planner", 5, 7)
    figures = figures_on_board(tmp_path / "planner", count=4)
    assert (figures["device"], figures["count"], figures["feasible"]) == ("mps2-an386", 4, 1.0)
    assert figures["max_residual"] <= 1e-5
    assert figures["instructions_per_sample"] > 1000
