"""Inverse simulation tells plans of the network from broken ones, and mends them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from edge_runtime.planner.network import Plans
from edge_runtime.planner.projection import Projector
from edge_runtime.planner.residuals import FEASIBLE, residuals
from edge_runtime.planner.samples import read_samples, sample_arrays, write_samples
from jouleloop.cli import app
from jouleloop.errors import JouleloopError, PlanError
from tests.edge_runtime.planner.networks import random_candidates, random_network, two_nodes
from train.inverse import InverseSimulation
from train.verify import (
    area_under_roc,
    corrupted_plans,
    refine,
    simulated_plans,
    threshold_of,
    verify_plans,
)

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.train

NETWORK = random_network(1, 8, 14, fixed=2)


def good_plans(count: int) -> Plans:
    return Projector(NETWORK).project(random_candidates(NETWORK, count, 2, noise=0.5)).plans


def test_plans_that_keep_every_constraint_are_verified_and_broken_ones_are_not() -> None:
    plans = good_plans(40)
    good = verify_plans(NETWORK, plans)
    assert good.is_verified.all()
    for size in (1e-2, 1e-3):
        broken = corrupted_plans(NETWORK, plans, 3, size)
        bad = InverseSimulation(NETWORK).invert(broken).residual
        assert area_under_roc(good.inverted.residual, bad) >= 0.95
        assert (bad > good.threshold).mean() >= 0.95


def test_simulated_plans_close_their_mass_and_pass_their_own_threshold() -> None:
    simulated = simulated_plans(NETWORK, 100, 5)
    assert residuals(NETWORK, simulated).largest.max() <= FEASIBLE
    inversion = InverseSimulation(NETWORK)
    threshold = threshold_of(NETWORK, inversion, 0)
    assert (inversion.invert(simulated).residual <= threshold).mean() >= 0.97


def test_the_simulator_closes_mass_whatever_the_controls() -> None:
    simulator = InverseSimulation(NETWORK).simulator
    controls = 10.0 * torch.randn(
        50, 22, dtype=torch.float64, generator=torch.Generator().manual_seed(0)
    )
    run = simulator.run(controls, torch.ones(50, 14, dtype=torch.float64))
    closed = run.flows @ simulator.incidence.T + run.exchange - run.storage
    assert closed.abs().max() <= 1e-12
    assert (run.flows @ simulator.inflow.T <= simulator.inflow_max + 1e-12).all()


def test_the_jacobian_is_that_of_autograd() -> None:
    simulator = InverseSimulation(NETWORK).simulator
    opened = torch.ones(14, dtype=torch.float64)
    for seed in range(5):
        generator = torch.Generator().manual_seed(seed)
        controls = 2.0 * torch.rand(22, dtype=torch.float64, generator=generator)
        by_autograd = torch.autograd.functional.jacobian(  # type: ignore[no-untyped-call]  # torch has no types there
            lambda values: simulator.run(values, opened).state, controls
        )
        torch.testing.assert_close(simulator.jacobian(controls, opened), by_autograd)


def test_restarts_never_make_a_residual_larger() -> None:
    broken = corrupted_plans(NETWORK, good_plans(10), 4)
    one = InverseSimulation(NETWORK, restarts=1).invert(broken).residual
    three = InverseSimulation(NETWORK, restarts=3).invert(broken).residual
    assert (three <= one + 1e-12).all()


def test_degrees_of_freedom_are_what_controls_cannot_move() -> None:
    network = two_nodes()
    nothing = np.zeros((1, 2))
    plans = Plans(np.zeros((1, 1)), nothing, nothing, np.ones((1, 2)), np.ones((1, 2)))
    inverted = InverseSimulation(network).invert(plans)
    # 7 coordinates; one edge, two borders and two qualities move them.
    assert inverted.degrees_of_freedom.tolist() == [2]


def test_refinement_lowers_residuals_below_the_threshold() -> None:
    broken = corrupted_plans(NETWORK, good_plans(5), 6)
    before = InverseSimulation(NETWORK).invert(broken).residual
    refined, after = refine(NETWORK, broken, 1e-6)
    assert np.median(after) <= 1e-2 * np.median(before)
    assert (after <= before).all()
    found, was = (residuals(NETWORK, plans).largest for plans in (refined, broken))
    assert np.median(found) <= 1e-2 * np.median(was)


def test_the_command_counts_what_it_verified(tmp_path: Path) -> None:
    plans = good_plans(6)
    broken = corrupted_plans(NETWORK, plans, 1)
    mixed = Plans(
        *(
            np.concatenate([good[:4], bad[4:]])
            for good, bad in zip(vars(plans).values(), vars(broken).values(), strict=True)
        )
    )
    path = tmp_path / "samples.npz"
    write_samples(path, NETWORK, mixed)
    answer = CliRunner().invoke(app, ["verify", str(path), "--json"])
    assert answer.exit_code == 0
    record = json.loads(answer.stdout)
    assert record["share_verified"] == pytest.approx(4 / 6)
    assert [s["verified"] for s in record["samples"]] == [True] * 4 + [False] * 2
    assert record["samples"][0]["degrees_of_freedom"] > 0


def test_samples_survive_a_file_and_no_plans_are_fine(tmp_path: Path) -> None:
    path = tmp_path / "samples.npz"
    write_samples(path, NETWORK, good_plans(3))
    network, plans = read_samples(path)
    assert network.nodes == NETWORK.nodes
    assert residuals(network, plans).largest.max() <= FEASIBLE
    arrays = np.load(path)
    net = arrays["flows"] @ arrays["incidence"].T + arrays["exchange"] - arrays["storage"]
    assert np.abs(net).max() <= 1e-9
    write_samples(path, NETWORK, good_plans(0))
    assert verify_plans(*read_samples(path)).as_record()["share_verified"] is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"flows": None}, "no array flows"),
        ({"flows": np.zeros((2, 3))}, "flows have the shape"),
        ({"storage": np.full((3, 8), np.nan)}, "storage of plan 0 hold nan"),
        ({"flow_max": np.full(14, -1.0)}, "flow_max of edge 0 .* below 0"),
        ({"incidence": np.zeros((8, 14))}, "incidence is not that"),
        ({"quality": np.array("text")}, "quality is"),
        ({"sources": np.full(14, 0.5)}, "sources are float64"),
    ],
)
def test_a_bad_file_is_one_error(
    change: dict[str, np.ndarray | None], message: str, tmp_path: Path
) -> None:
    arrays = sample_arrays(NETWORK, good_plans(3)) | change
    path = tmp_path / "samples.npz"
    kept: dict[str, Any] = {name: part for name, part in arrays.items() if part is not None}
    np.savez(path, **kept)
    with pytest.raises(PlanError, match=message):
        read_samples(path)


def test_a_file_that_is_none_is_one_error(tmp_path: Path) -> None:
    path = tmp_path / "samples.npz"
    for content in (b"", b"text", b"PK\x03\x04 cut off", b"\x93NUMPY"):
        path.write_bytes(content)
        with pytest.raises(JouleloopError, match="cannot read samples") as caught:
            read_samples(path)
        assert "pickle" not in str(caught.value)
    with path.open("wb") as stream:
        np.save(stream, np.zeros(3))
    with pytest.raises(PlanError, match="single array"):
        read_samples(path)
    with pytest.raises(PlanError, match="cannot read samples"):
        read_samples(tmp_path / "absent.npz")
