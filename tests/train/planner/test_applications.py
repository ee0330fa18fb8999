"""Operate, design and what-if draw with a trained planner, and what they say can be checked."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import device_profiles
from edge_runtime.node.planner import planner_of_bundle
from edge_runtime.planner.design import design
from edge_runtime.planner.intervals import outcomes
from edge_runtime.planner.operate import operate
from edge_runtime.planner.planner import Planner
from edge_runtime.planner.residuals import FEASIBLE, residuals
from edge_runtime.planner.what_if import what_if
from edge_runtime.wire.bundle import read_bundle, write_bundle
from export.pipeline import ExportOptions, export_model
from export.planner.choice import ProjectorMode
from jouleloop.errors import EXIT_USAGE, EXIT_USER, CheckpointError, InputError
from tests.train.planner.tiny import tiny_planner
from train.planner.drawing import planner_of_checkpoint

pytestmark = pytest.mark.train


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("train") / "planner"
    tiny_planner(out)
    return out


@pytest.fixture(scope="module")
def planner(folder: Path) -> Planner:
    return planner_of_checkpoint(folder)


def test_the_chosen_plan_is_feasible_and_the_best_by_the_weights(planner: Planner) -> None:
    chosen = operate(planner, (1.0, 0.0), count=32, level="0.9", seed=4)
    assert residuals(planner.network, chosen.plan).largest.max() <= FEASIBLE
    drawn = outcomes(planner.network, planner.draw_alike((1.0, 0.0), 32, 4))
    assert chosen.worth[0] == drawn[:, 0].min()
    assert chosen.better_than == 31 / 32
    assert (chosen.low <= chosen.high).all()
    assert (chosen.low >= 0).all()


def test_wider_levels_give_wider_intervals(planner: Planner) -> None:
    plans = planner.draw_alike((0.5, 0.5), 64, 1)
    widths = [np.subtract(*planner.interval(plans, level)[::-1]) for level in ("0.8", "0.95")]
    assert (widths[1] > widths[0]).all()


def test_without_a_process_nothing_flows_through_it(planner: Planner) -> None:
    options = design(planner, (0.5, 0.5), count=4, seed=1)
    assert {option.node for option in options} == set(planner.network.nodes)
    scores = [option.score for option in options if not option.is_needed]
    assert scores == sorted(scores)
    served = {planner.network.nodes[node] for node in planner.served}
    for option in options:
        assert 0.0 <= option.busy <= option.busy_most <= 1.0
        if option.node in served:
            assert option.delivered < 0.0


def test_a_tax_costs_what_it_taxes(planner: Planner) -> None:
    free, dear = what_if(planner, (0.0, 5.0), (0.5, 0.5), count=4, level="0.9", seed=1)
    assert free.paid_usd == 0.0
    assert dear.paid_usd > 0.0
    assert dear.usd_per_kg > free.usd_per_kg
    assert all(0.0 <= weight <= 1.0 for weight in dear.weights)


def test_what_cannot_be_asked_is_one_error(planner: Planner) -> None:
    with pytest.raises(InputError, match="not within 0 to 1"):
        planner.draw_alike((1.2, 0.0), 4, 0)
    with pytest.raises(InputError, match="0 plans"):
        planner.draw_alike((0.2, 0.0), 0, 0)
    with pytest.raises(InputError, match=r"no interval of level 0\.7"):
        operate(planner, (0.5, 0.5), count=4, level="0.7", seed=1)
    for tax in (-1.0, float("nan"), float("inf")):
        with pytest.raises(InputError, match="a tax of"):
            what_if(planner, (tax,), (0.5, 0.5), count=1, level="0.9", seed=1)


@pytest.mark.parametrize("broken", ["", "{}", '{"planner": {}}', "no json"])
def test_a_folder_that_is_no_planner_is_an_error(tmp_path: Path, broken: str) -> None:
    (tmp_path / "card.json").write_text(broken)
    with pytest.raises(CheckpointError, match="not a planner's checkpoint"):
        planner_of_checkpoint(tmp_path)


@pytest.fixture(scope="module")
def bundle(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of a Linux node: no native module has to be linked for it."""
    path = tmp_path_factory.mktemp("bundle") / "planner.jlb"
    options = ExportOptions(projector=ProjectorMode.AMORTISED, steps=4)
    write_bundle(export_model(folder, device_profiles.load("raspberry-pi-4b"), options), path)
    return path


def test_a_bundle_draws_what_it_brings_to_a_device(planner: Planner, bundle: Path) -> None:
    exported = planner_of_bundle(read_bundle(bundle))
    assert exported.network.nodes == planner.network.nodes
    np.testing.assert_array_equal(exported.served, planner.served)
    chosen = operate(exported, (1.0, 0.0), count=8, level="0.9", seed=4)
    assert residuals(exported.network, chosen.plan).largest.max() <= FEASIBLE
    # Weights differ from plan to plan, and plan i of a seed does not depend on the others.
    weights = np.array([[1.0, 0.0], [0.0, 1.0], [0.5, 0.5]])
    three, one = exported.draw(weights, 7), exported.draw(weights[:1], 7)
    np.testing.assert_array_equal(three.flows[:1], one.flows)
    assert len(np.unique(three.flows, axis=0)) == 3


@pytest.mark.parametrize("verb", ["operate", "design", "whatif"])
def test_commands_take_a_bundle(bundle: Path, verb: str) -> None:
    done = run(verb, str(bundle), "--count", "2", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)


def test_another_bundle_is_one_error(tmp_path: Path) -> None:
    strange = tmp_path / "strange.jlb"
    strange.write_text("no bundle")
    done = run("operate", str(strange))
    assert done.returncode == EXIT_USER
    assert "not a readable bundle" in done.stderr


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    program = str(Path(sys.executable).with_name("jouleloop"))
    return subprocess.run(
        [program, "plan", *arguments], capture_output=True, check=False, text=True
    )


def test_the_plan_file_can_be_checked_by_anyone(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "plan.npz"
    done = run("operate", str(folder), "--count", "8", "--out", str(out), "--json")
    assert done.returncode == 0, done.stderr
    record: dict[str, Any] = json.loads(done.stdout)
    with np.load(out) as plan:
        balance = plan["flows"] @ plan["incidence"].T + plan["exchange"] - plan["storage"]
        assert np.abs(balance).max() <= FEASIBLE * plan["flow_max"].max()
        assert (plan["flows"] <= plan["flow_max"] * (1 + 1e-9)).all()
        on = plan["status"][0] >= 0.5
    assert [row["on"] for row in record["nodes"]] == on.tolist()


def test_wrong_words_are_wrong_usage(folder: Path) -> None:
    for arguments in (("operate", "--condition", "0.1"), ("whatif", "--tax", "much")):
        done = run(arguments[0], str(folder), *arguments[1:])
        assert done.returncode == EXIT_USAGE
        assert "Traceback" not in done.stderr
    done = run("design", str(folder / "nothing"))
    assert done.returncode == EXIT_USER
    assert "not a planner's checkpoint" in done.stderr
