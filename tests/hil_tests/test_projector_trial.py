"""`export --projector`: both projectors are counted on the emulated core, and one is taken."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

import device_profiles
from edge_runtime.planner.residuals import FEASIBLE
from edge_runtime.wire.bundle import AMORTISER_TFLITE, PLANNER
from export.pipeline import ExportOptions
from hil_tests.projector_trial import export_with_winner
from jouleloop import cli
from jouleloop.errors import EXIT_USAGE
from tests.export.checkpoints import write_checkpoint
from tests.hil_tests.planner_checkpoint import write_planner

if TYPE_CHECKING:
    from pathlib import Path

    from typer.testing import Result

pytestmark = pytest.mark.qemu


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trial") / "planner"
    write_planner(folder, 8, 14, has_amortiser=True)
    return folder


def command(*arguments: str | Path) -> Result:
    """The command in this process, which has torch loaded."""
    return CliRunner().invoke(cli.app, [*map(str, arguments)], catch_exceptions=False)


def export(*arguments: str | Path) -> Result:
    return command("export", *arguments)


def test_the_winner_is_exported_with_the_figures_of_both(checkpoint: Path, tmp_path: Path) -> None:
    out = tmp_path / "planner.jlb"
    done = export(checkpoint, "--out", out, "--steps", "4", "--projector", "auto", "--json")
    assert done.exit_code == 0, done.stderr
    record: dict[str, Any] = json.loads(done.stdout)
    choice = record["planner"]["choice"]
    # A guess of random weights is far from the nearest plan, however cheap it is.
    assert (choice["mode"], record["planner"]["projector"]) == ("exact", "exact")
    assert "from the nearest plan" in choice["reason"]
    exact, amortised = choice["exact"], choice["amortised"]
    assert 0 < amortised["instructions"] < exact["instructions"]
    assert 0 < amortised["energy"]["joules"] < exact["energy"]["joules"]
    assert exact["energy"]["kind"] == "modelled"
    assert exact["distance"] < 1e-4 < amortised["distance"]
    assert max(exact["violation"], amortised["violation"]) <= FEASIBLE
    assert AMORTISED_FILES.isdisjoint(record["files"])


AMORTISED_FILES = {"amortiser.onnx", AMORTISER_TFLITE}


def test_the_amortised_one_can_be_demanded_and_is_shown(checkpoint: Path, tmp_path: Path) -> None:
    out = tmp_path / "planner.jlb"
    done = export(checkpoint, "--out", out, "--steps", "4", "--projector", "amortised")
    assert done.exit_code == 0, done.stderr
    assert "projection: end by the amortised projector" in done.stdout
    drawn = tmp_path / "samples.npz"
    done = command("sample", out, "--target", "local", "--out", drawn, "--json")
    assert json.loads(done.stdout)["feasible"] == 1.0


def test_without_a_comparison_it_is_the_exact_one(checkpoint: Path) -> None:
    profile = device_profiles.load("mps2-an386")
    bundle = export_with_winner(checkpoint, profile, ExportOptions(native=False))
    choice = json.loads(bundle.file(PLANNER))["choice"]
    assert choice["mode"] == "exact"
    assert "no instructions to count" in choice["reason"]


@pytest.mark.parametrize("option", [("--projector", "auto"), ("--projection", "each-step")])
def test_other_models_have_no_projector(option: tuple[str, str], tmp_path: Path) -> None:
    policy = write_checkpoint(tmp_path / "policy", (12, 8, 4))
    done = export(policy, "--out", tmp_path / "policy.jlb", *option)
    assert done.exit_code == EXIT_USAGE
    assert f"{option[0]}: it belongs to planners" in done.stderr
    assert not (tmp_path / "policy.jlb").exists()


def test_nothing_projects_what_is_not_projected(checkpoint: Path, tmp_path: Path) -> None:
    options = ("--projection", "none", "--projector", "exact")
    done = export(checkpoint, "--out", tmp_path / "planner.jlb", *options)
    assert done.exit_code == EXIT_USAGE
    assert "leaves nothing to project" in done.stderr
