"""The benchmark in worlds: the same cells on both targets, honest figures, clear refusals."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import device_profiles
from edge_runtime.wire.bundle import Bundle, write_bundle
from export.budget import Budget
from export.graph import Rounding
from export.pipeline import ExportOptions, export_model
from hil_tests.bench import RESULT
from hil_tests.device_controller import DeviceController
from hil_tests.local import open_local
from hil_tests.observation import AS_MODULES, WORLD_ITEMS, observation_of
from hil_tests.session import run_worlds_session
from hil_tests.target import Reply
from hil_tests.world_measures import Limits
from hil_tests.world_result import WorldCell, WorldsResult
from hil_tests.worlds import read_worlds, run_cell, run_worlds
from jouleloop.errors import BundleError, ScenarioError
from scenarios.world.controllers import make_controller
from scenarios.world.file import read
from scenarios.world.generate import write_scenarios
from scenarios.world.score import evaluate
from train.world_policy import train_world_policy

pytestmark = pytest.mark.qemu

TICKS = 70
CONTROLLERS = {"model", "random", "rule", "greedy"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("worlds")
    write_scenarios(path, 3, seed=7, nodes=20, ticks=TICKS)
    return path


@pytest.fixture(scope="module")
def world_bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    home = tmp_path_factory.mktemp("worlds-policy")
    write_scenarios(home / "worlds", 15, seed=2, nodes=20)
    train_world_policy(home / "checkpoint", home / "worlds", seed=1)
    options = ExportOptions(rounding=Rounding.SINGLE, native=True, budget=Budget())
    return export_model(home / "checkpoint", device_profiles.load("mps2-an386"), options)


def run(bundle: Bundle, target: str, worlds: Path, out: Path, **changes: Any) -> WorldsResult:
    options: dict[str, Any] = {
        "device": None,
        "scenarios": 2,
        "ticks": None,
        "seed": 0,
        "limits": Limits(),
        "broker": None,
        "out": out,
    }
    return run_worlds_session(bundle, target, worlds, **(options | changes))


def timeless(cells: tuple[WorldCell, ...]) -> list[WorldCell]:
    """What must be equal wherever a cell runs."""
    return [replace(cell, seconds=(), instructions=(), link_bytes=()) for cell in cells]


def bench_command(bundle: Path, worlds: Path, out: Path, *more: str) -> list[str]:
    command = [sys.executable, "-m", "jouleloop", "bench", str(bundle)]
    return [*command, "--worlds", str(worlds), "--out", str(out), *more]


@pytest.mark.parametrize("which", ["policy_bundle", "world_bundle"])
def test_cells_are_equal_on_the_board_and_on_this_machine(
    which: str, folder: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    bundle: Bundle = request.getfixturevalue(which)
    emulated, local = (run(bundle, t, folder, tmp_path / t) for t in ("qemu", "local"))
    assert emulated.complete
    assert emulated.scenarios_left_out == 1
    assert timeless(emulated.cells) == timeless(local.cells)
    assert emulated.pareto == local.pareto
    same = emulated.measure("outputs_as_on_this_machine")
    assert same is not None
    assert same.value == 1.0
    cell = emulated.cells[0]
    assert len(cell.decisions) == len(cell.instructions) == cell.model.metrics.decisions > 20
    assert set(cell.runs) == CONTROLLERS
    assert min(cell.link_bytes) > 0
    assert local.measure("inference_seconds") is not None
    assert emulated.measure("inference_seconds") is None
    assert "inference_seconds" in emulated.missing
    joules = emulated.measure("decision_joules")
    assert joules is not None
    assert (joules.kind, "nucleo-l4r5zi" in joules.source) == ("modelled", True)
    page = (tmp_path / "qemu" / "report.html").read_text(encoding="utf-8")
    assert all(f"<td>{name}</td>" in page for name in CONTROLLERS)


def test_a_policy_of_worlds_decides_nearly_as_well_as_the_bound(
    world_bundle: Bundle, policy_bundle: Bundle, folder: Path, tmp_path: Path
) -> None:
    """And one that was trained on photovoltaic modules is still better than chance."""
    native = run(world_bundle, "local", folder, tmp_path / "native", scenarios=3)
    foreign = run(policy_bundle, "local", folder, tmp_path / "foreign", scenarios=3)
    for cell, other in zip(native.cells, foreign.cells, strict=True):
        quality = {name: r.metrics.decision_quality for name, r in cell.runs.items()}
        assert quality["model"] > 0.97
        assert quality["random"] < other.model.metrics.decision_quality < quality["model"]


def test_a_cell_alone_is_the_cell_in_the_folder(
    world_bundle: Bundle, folder: Path, tmp_path: Path
) -> None:
    together = run(world_bundle, "local", folder, tmp_path / "all", scenarios=3, seed=5)
    last = together.cells[-1]
    alone = run(world_bundle, "local", folder / last.file, tmp_path / "one", seed=5)
    assert timeless(alone.cells) == timeless((last,))
    # And the controllers are those of `jouleloop scenarios run --seed 5`.
    scenario = read(folder / last.file)
    for name in ("random", "rule", "greedy"):
        evaluation = evaluate(scenario, make_controller(name, 5))
        assert last.runs[name].metrics == evaluation.metrics
        assert last.runs[name].score == evaluation.score.value


def test_fewer_ticks_are_run_and_said(world_bundle: Bundle, folder: Path, tmp_path: Path) -> None:
    short = run(world_bundle, "local", folder, tmp_path, ticks=30)
    assert {cell.ticks for cell in short.cells} == {30}
    assert {s.ticks for s in read_worlds(folder, ticks=10_000).scenarios} == {TICKS}


def test_a_board_that_always_disposes_ends_in_a_catastrophe(
    world_bundle: Bundle, folder: Path, tmp_path: Path
) -> None:
    """Stands for a broken model, which no training gives."""

    class Disposing:
        name, description = "qemu", "a board that always disposes"

        def infer(self, row: np.ndarray[tuple[int, ...], np.dtype[np.int8]]) -> Reply:
            return Reply(np.array([-3, -2, -1, 5], np.int8), 100, None, 10)

    free = tmp_path / "free"
    write_scenarios(free, 3, seed=3, nodes=20, ticks=TICKS)
    target = Disposing()
    controller = DeviceController(world_bundle, WORLD_ITEMS, target, target)
    worlds = read_worlds(free)
    ended = [run_cell(controller, "x", scenario, 0) for scenario in worlds.scenarios]
    caught = [cell for cell in ended if cell.model.catastrophe_tick is not None]
    assert caught
    for cell in caught:
        assert cell.model.score == 0.0
        assert cell.model.catastrophe_tick is not None
        assert cell.model.catastrophe_tick < cell.ticks - 1
        assert cell.runs["rule"].catastrophe_tick is None
    with open_local(world_bundle) as local, pytest.raises(BundleError, match="golden row"):
        run_worlds(world_bundle, target, local, worlds, seed=0, out=tmp_path, limits=Limits())


def test_over_budget_is_a_fail_with_the_figures(
    world_bundle: Bundle, folder: Path, tmp_path: Path
) -> None:
    good = run(world_bundle, "local", folder, tmp_path / "in", limits=Limits(joules=1e-3))
    assert good.over_budget == ()
    assert {n for n in good.missing if n.startswith("score.")} == {"score.communication"}
    path = tmp_path / "policy.jlb"
    write_bundle(world_bundle, path)
    command = bench_command(path, folder, tmp_path / "out", "--scenarios", "1", "--ticks", "30")
    bad = subprocess.run(
        [*command, "--json", "--budget-bytes", "20"], capture_output=True, check=False, text=True
    )
    assert bad.returncode == 1
    assert "link_bytes_per_decision is" in bad.stderr
    record = json.loads(bad.stdout)
    (score,) = (m["value"] for m in record["measures"] if m["name"] == "score")
    assert score == 0.0
    assert json.loads((tmp_path / "out" / RESULT).read_text())["complete"] is True


def test_what_does_not_fit_is_refused_before_anything_runs(
    policy_bundle: Bundle, world_bundle: Bundle, folder: Path, tmp_path: Path
) -> None:
    assert observation_of(policy_bundle) is AS_MODULES
    assert observation_of(world_bundle) is WORLD_ITEMS
    for card, message in (
        ({}, "does not say what the model observes"),
        ({"inputs": [{"features": [{"name": "pressure"}]}]}, "observes pressure"),
        ({"inputs": "none"}, "does not say"),
        (_other_range(world_bundle), "other ranges"),
    ):
        with pytest.raises(BundleError, match=message) as caught:
            observation_of(replace(world_bundle, card=card))
        assert "train" in caught.value.hint
    with pytest.raises(BundleError, match="planner"):
        observation_of(replace(world_bundle, family="planner"))
    narrow = (replace(world_bundle.inputs[0], shape=(1, 9)),)
    with pytest.raises(BundleError, match="maps 9 values"):
        observation_of(replace(world_bundle, inputs=narrow))
    with pytest.raises(ScenarioError, match="does not exist"):
        run(world_bundle, "local", tmp_path / "absent", tmp_path / "out")
    altered = tmp_path / "altered.json"
    text = sorted(folder.glob("*.json"))[0].read_text(encoding="utf-8")
    altered.write_text(text.replace(f'"ticks": {TICKS}', f'"ticks": {TICKS + 1}', 1))
    with pytest.raises(ScenarioError, match=r"\$\.id"):
        run(world_bundle, "local", altered, tmp_path / "out")


def _other_range(bundle: Bundle) -> dict[str, Any]:
    card: dict[str, Any] = json.loads(json.dumps(dict(bundle.card)))
    card["inputs"][0]["features"][0]["high"] = 2.0
    return card


def test_an_interrupted_run_keeps_what_it_had(
    world_bundle: Bundle, folder: Path, tmp_path: Path
) -> None:
    done: list[int] = []

    def interrupt_in_the_second_world(ticks: int, total: int) -> None:
        assert total == 3 * TICKS
        done.append(ticks)
        if ticks > TICKS + 10:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(
            world_bundle,
            "local",
            folder,
            tmp_path,
            scenarios=3,
            progress=interrupt_in_the_second_world,
        )
    assert done == sorted(done)
    record = json.loads((tmp_path / RESULT).read_text(encoding="utf-8"))
    assert record["complete"] is False
    assert len(record["cells"]) == 1
    assert record["measures"]
