"""A learned projector runs in INT8 on the emulated Cortex-M4F and is finished exactly there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

import device_profiles
from benchmarks._projectors import BOARDS, compare_on_device, cost_on_device, noisy_plans
from edge_runtime.planner.network import Plans
from edge_runtime.planner.projection import Projector
from edge_runtime.planner.residuals import FEASIBLE
from edge_runtime.planner.state import join_plans, split_plans
from export.planner.choice import ProjectorFigures, ProjectorMode, choose_projector
from export.planner.projection import arithmetic_of
from jouleloop.errors import InputError, PlanError
from tests.edge_runtime.planner.networks import random_network
from train.amortiser import train_amortiser

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.qemu


def test_amortised_plans_keep_every_constraint_on_the_board(tmp_path: Path) -> None:
    network = random_network(1, 8, 14, fixed=2)
    candidate = noisy_plans(network, 400, seed=2)
    card = train_amortiser(network, candidate, tmp_path / "amortiser", steps=300)
    metrics = card.metrics
    assert metrics["amortised"]["violation"] > 1e-4  # alone it keeps nothing
    assert metrics["amortised"]["feasible_after"] == 1.0
    assert metrics["amortised"]["distance_before"] < metrics["candidate"]["distance_before"]
    few = Plans(*(part[:5] for part in vars(candidate).values()))
    folder = tmp_path / "board"
    folder.mkdir()
    exact, amortised = compare_on_device(network, few, tmp_path / "amortiser", "mps2-an386", folder)
    assert exact.violation <= FEASIBLE
    assert amortised.violation <= FEASIBLE
    assert exact.distance < amortised.distance
    assert exact.energy is not None
    assert amortised.energy is not None


@pytest.mark.parametrize("device", BOARDS)
def test_the_board_has_the_bits_of_the_desktop(device: str, tmp_path: Path) -> None:
    network = random_network(3, 8, 14, fixed=2)
    candidate = noisy_plans(network, 10, seed=4, noise=0.3)
    candidate = split_plans(network, join_plans(candidate).astype(np.float32).astype(np.float64))
    there = cost_on_device(network, candidate, device, tmp_path).plans
    core = device_profiles.load(device).core
    here = Projector(network, arithmetic_of(core)).project(candidate).plans
    np.testing.assert_array_equal(join_plans(there), join_plans(here))


def test_too_few_candidates_are_refused(tmp_path: Path) -> None:
    network = random_network(1, 8, 14)
    with pytest.raises(PlanError, match="10 candidates are too few"):
        train_amortiser(network, noisy_plans(network, 10, seed=0), tmp_path / "amortiser")
    assert not (tmp_path / "amortiser").exists()


@pytest.mark.parametrize(
    ("asked", "instructions", "distance", "mode", "reason"),
    [
        (ProjectorMode.AUTO, 50.0, 0.005, ProjectorMode.AMORTISED, "takes 0.50 times"),
        (ProjectorMode.AUTO, 50.0, 0.05, ProjectorMode.EXACT, "from the nearest plan"),
        (ProjectorMode.AUTO, 150.0, 0.005, ProjectorMode.EXACT, "takes 1.50 times"),
        (ProjectorMode.AMORTISED, 150.0, 0.05, ProjectorMode.AMORTISED, "asked for"),
        (ProjectorMode.EXACT, 50.0, 0.005, ProjectorMode.EXACT, "asked for"),
    ],
)
def test_the_cheaper_of_equals_is_taken(
    asked: ProjectorMode, instructions: float, distance: float, mode: ProjectorMode, reason: str
) -> None:
    exact = ProjectorFigures(100.0, None, 1e-8, 1e-3)
    amortised = ProjectorFigures(instructions, None, 1e-8, distance)
    choice = choose_projector(asked, exact, amortised)
    assert choice.mode is mode
    assert reason in choice.reason


def test_without_an_amortised_projector() -> None:
    exact = ProjectorFigures(100.0, None, 1e-8, 1e-3)
    assert choose_projector(ProjectorMode.AUTO, exact, None).mode is ProjectorMode.EXACT
    with pytest.raises(InputError, match="no amortised projector"):
        choose_projector(ProjectorMode.AMORTISED, exact, None)
    broken = ProjectorFigures(1.0, None, np.nextafter(1e-5, 1.0) * 2, 0.0)
    assert choose_projector(ProjectorMode.AUTO, exact, broken).mode is ProjectorMode.EXACT
