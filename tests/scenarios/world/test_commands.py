"""`jouleloop scenarios`: what it prints, writes and refuses."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytestmark = pytest.mark.pure

ROOT = Path(__file__).parents[3]


def jouleloop(*words: str | Path, code: int = 0) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from jouleloop.cli import main; main()", *map(str, words)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stderr
    return done


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("worlds")
    words: list[str | Path] = [
        "--nodes",
        "12",
        "--count",
        "3",
        "--seed",
        "7",
        "--ticks",
        "80",
        "--out",
        out,
    ]
    made = json.loads(jouleloop("scenarios", "new", *words, "--json").stdout)
    assert made["count"] == 3
    assert sorted(row["file"] for row in made["scenarios"]) == sorted(p.name for p in out.iterdir())
    return out


def test_check_names_the_file_and_the_path(folder: Path, tmp_path: Path) -> None:
    assert json.loads(jouleloop("scenarios", "check", folder, "--json").stdout)["checked"] == 3
    broken = json.loads(min(folder.iterdir()).read_text())
    broken["edges"][4]["target"] = "nowhere"
    (tmp_path / "broken.json").write_text(json.dumps(broken))
    error = jouleloop("scenarios", "check", tmp_path, code=1).stderr
    assert "broken.json: $.edges[4].target: no node is called 'nowhere'" in error


def test_run_writes_a_trace_that_sums_up(folder: Path, tmp_path: Path) -> None:
    trace = tmp_path / "t.npz"
    words: list[str | Path] = [
        min(folder.iterdir()),
        "--controller",
        "rule",
        "--trace",
        trace,
        "--json",
    ]
    record = json.loads(jouleloop("scenarios", "run", *words).stdout)
    assert record["trace"] == str(trace)
    assert 0 < record["material_circularity"] < 1
    with np.load(trace) as data:
        whole = data["stock"].sum(axis=(1, 2)) + np.concatenate(
            [data["arrivals"].sum(axis=(1, 2)), [data["departures"][-1].sum()]]
        )
        net = (data["extracted"] - data["disposed"]).sum(axis=(1, 2))
        np.testing.assert_allclose(np.diff(whole), net, atol=1e-6)
        assert data["disposed"].sum() == pytest.approx(record["disposed_kg"])


def test_show_and_plot(folder: Path, tmp_path: Path) -> None:
    file = min(folder.iterdir())
    shown = jouleloop("scenarios", "show", file).stdout
    assert "extraction" in shown
    assert "supply_outage" in shown
    for name in ("p.png", "p.svg"):
        jouleloop("scenarios", "plot", file, "--out", tmp_path / name)
        assert (tmp_path / name).stat().st_size > 10_000
    error = jouleloop("scenarios", "plot", file, "--out", tmp_path / "p.txt", code=1).stderr
    assert ".png" in error


def test_what_cannot_be_is_refused(folder: Path, tmp_path: Path) -> None:
    jouleloop("scenarios", "new", "--out", tmp_path, "--nodes", "3", code=2)
    error = jouleloop("scenarios", "run", min(folder.iterdir()), "--controller", "x", code=1)
    assert "random, rule, greedy, exact" in error.stderr
    jouleloop("scenarios", "show", tmp_path / "absent.json", code=1)
