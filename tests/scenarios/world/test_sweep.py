"""A sweep that is killed goes on, and ends in the same bytes."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from jouleloop.errors import ScenarioError
from scenarios.world.sweep import DATABASE, Plan, run_sweep
from tests.processes import programs_with

pytestmark = pytest.mark.pure

ROOT = Path(__file__).parents[3]
WORDS = (
    *("--count", "12", "--nodes", "10", "--ticks", "60", "--controllers", "random,rule"),
    *("--repeats", "2", "--workers", "2", "--json"),
)
PYTHONS = (Path(sys.executable).name, Path(sys.executable).resolve().name, "python", "python3")
CELLS = 12 * 2 * 2
TAG = "JOULELOOP_SWEEP_TEST"


def start(out: Path, environment: dict[str, str]) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", "from jouleloop.cli import main; main()", "sweep", *WORDS]
    return subprocess.Popen(
        [*command, "--out", str(out)],
        cwd=ROOT,
        env=os.environ | environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def sweep(out: Path) -> dict[str, int]:
    process = start(out, {})
    output, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    found: dict[str, int] = json.loads(output)
    return found


def cells_in(out: Path) -> int:
    try:
        with sqlite3.connect(f"file:{out / DATABASE}?mode=ro", uri=True) as database:
            count: int = database.execute("SELECT count(*) FROM cells").fetchone()[0]
            return count
    except sqlite3.OperationalError:
        return 0  # not made yet


def wait_until(condition: object, seconds: float = 60.0) -> None:
    assert callable(condition)
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.01)


def test_a_killed_sweep_goes_on_and_ends_in_the_same_bytes(tmp_path: Path) -> None:
    whole = sweep(tmp_path / "whole")
    assert (whole["cells_total"], whole["cells_done_before"], whole["cells_run"]) == (
        CELLS,
        0,
        CELLS,
    )
    out = tmp_path / "killed"
    tag = f"{tmp_path.name}-{os.getpid()}"
    process = start(out, {TAG: tag})
    wait_until(lambda: cells_in(out) >= 3)
    assert len(programs_with(f"{TAG}={tag}", names=PYTHONS)) >= 3, "the parent and two workers"
    process.send_signal(signal.SIGKILL)
    process.communicate()
    wait_until(
        lambda: not programs_with(f"{TAG}={tag}", names=(Path(sys.executable).resolve().name,))
    )
    before = cells_in(out)
    assert 3 <= before < CELLS
    again = sweep(out)
    assert again["cells_done_before"] == before
    assert again["cells_run"] == CELLS - before
    for name in ("cells.csv", "summary.json", "sweep.png"):
        assert (out / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name
    assert sweep(out)["cells_run"] == 0
    assert len((out / "cells.csv").read_text().splitlines()) == CELLS + 1


PLAN = Plan(count=1, controllers=("rule",), repeats=1, seed=0, nodes=8, ticks=20)


def test_a_folder_holds_one_plan(tmp_path: Path) -> None:
    assert run_sweep(PLAN, tmp_path, workers=1).cells_run == 1
    other = Plan(count=2, controllers=("rule",), repeats=1, seed=0, nodes=8, ticks=20)
    with pytest.raises(ScenarioError, match="another sweep"):
        run_sweep(other, tmp_path, workers=1)


@pytest.mark.parametrize(
    "plan",
    [
        Plan(0, ("rule",), 1, 0, 8, 20),
        Plan(1, (), 1, 0, 8, 20),
        Plan(1, ("rule", "rule"), 1, 0, 8, 20),
        Plan(1, ("wizard",), 1, 0, 8, 20),
        Plan(1, ("rule",), 0, 0, 8, 20),
        Plan(1, ("rule",), 1, -1, 8, 20),
    ],
)
def test_a_plan_that_cannot_be_is_refused(plan: Plan, tmp_path: Path) -> None:
    with pytest.raises(ScenarioError):
        run_sweep(plan, tmp_path, workers=1)
    (tmp_path / "junk").mkdir()
    (tmp_path / "junk" / DATABASE).write_text("this is no database, but long enough to be read")
    with pytest.raises(ScenarioError, match="no sweep"):
        run_sweep(PLAN, tmp_path / "junk", workers=1)
