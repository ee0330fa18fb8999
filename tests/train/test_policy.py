"""`jouleloop train policy` leaves a checkpoint whose card says what the policy is worth."""

from __future__ import annotations

import hashlib
import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from jouleloop.errors import EXIT_USER, InputError
from scenarios import pv
from train.checkpoint import CALIBRATION, CARD, PROGRAM
from train.imitation import Fit, decide, fit_policy
from train.policy import calibration_rows, train_policy

pytestmark = pytest.mark.train

TINY = Fit(hidden=8, epochs=3, batch=64)


def command(out: Path, *options: str) -> list[str]:
    return [
        str(Path(sys.executable).with_name("jouleloop")),
        "train",
        "policy",
        "--out",
        str(out),
        *options,
    ]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A checkpoint made by the command, and what the command printed."""
    out = tmp_path_factory.mktemp("train") / "policy"
    done = subprocess.run(
        command(out, "--seed", "3", "--json"), capture_output=True, check=True, text=True
    )
    record: dict[str, Any] = json.loads(done.stdout)
    assert record.pop("out") == str(out)
    return out, record


@pytest.fixture(scope="module")
def returns() -> pv.ReturnedModules:
    return pv.concatenate([scenario.returns for scenario in pv.make_scenarios(60, 5)])


def test_card_is_what_the_command_printed(trained: tuple[Path, dict[str, Any]]) -> None:
    out, record = trained
    assert {entry.name for entry in out.iterdir()} == {PROGRAM, CARD, CALIBRATION}
    card = json.loads((out / CARD).read_text(encoding="utf-8"))
    assert card == record
    assert (card["format"], card["name"], card["family"], card["seed"]) == (
        1,
        "policy",
        "policy",
        3,
    )
    assert len(card["data_sha256"]) == 64
    (seen,), (scores,) = card["inputs"], card["outputs"]
    assert (seen["name"], seen["shape"]) == ("observation", [1, pv.OBSERVATION_SIZE])
    assert [feature["name"] for feature in seen["features"]] == [f.name for f in pv.FEATURES]
    assert (scores["shape"], scores["labels"]) == ([1, 4], list(pv.DISPOSITIONS))


def test_policy_is_far_better_than_the_rule_and_never_better_than_exact(
    trained: tuple[Path, dict[str, Any]],
) -> None:
    metrics = trained[1]["metrics"]
    assert metrics["held_out_returns"] >= 2000
    quality = {name: metrics[name]["decision_quality"] for name in ("random", "rule", "policy")}
    assert quality["random"] < quality["rule"] < quality["policy"] - 0.1
    assert 0.99 < quality["policy"] <= 1.0
    assert metrics["exact"] | {"circularity": 0} == {
        "decision_quality": 1.0,
        "mean_regret_usd": 0.0,
        "agreement": 1.0,
        "circularity": 0,
    }
    for name in quality:
        assert metrics[name]["mean_regret_usd"] > 0.0
        assert 0.0 < metrics[name]["agreement"] < 1.0
        assert 0.0 <= metrics[name]["circularity"] <= 1.0
    assert metrics["policy"]["agreement"] > 0.9


def test_program_decides_as_the_card_says(trained: tuple[Path, dict[str, Any]]) -> None:
    out, record = trained
    metrics = record["metrics"]
    scenarios = pv.make_scenarios(metrics["held_out_scenarios"], metrics["held_out_seed"])
    held_out = pv.concatenate([scenario.returns for scenario in scenarios])
    program = torch.export.load(out / PROGRAM)
    assert list(program.graph_signature.user_inputs) == ["observation"]
    rows = torch.from_numpy(pv.observe(held_out))
    network = program.module()
    decisions = np.array([int(network(row[None]).argmax()) for row in rows])
    assert pv.decision_quality(held_out, decisions) == pytest.approx(
        metrics["policy"]["decision_quality"], abs=1e-9
    )


def test_program_is_fully_connected_layers_and_relu_alone(
    trained: tuple[Path, dict[str, Any]],
) -> None:
    program = torch.export.load(trained[0] / PROGRAM)
    calls = [str(node.target) for node in program.graph.nodes if node.op == "call_function"]
    assert [name.split(".")[1] for name in calls] == ["linear", "relu", "linear", "relu", "linear"]


def test_calibration_is_of_the_training_distribution_with_its_extremes(
    trained: tuple[Path, dict[str, Any]],
) -> None:
    with np.load(trained[0] / CALIBRATION) as stored:
        assert stored.files == ["observation"]
        rows = stored["observation"]
    assert rows.dtype == np.float32
    assert rows.shape[0] >= 512
    assert rows.shape[1:] == (pv.OBSERVATION_SIZE,)
    others = pv.make_scenarios(800, 9)
    seen = pv.observe(pv.concatenate([scenario.returns for scenario in others]))
    np.testing.assert_allclose(rows.mean(axis=0), seen.mean(axis=0), atol=0.1)
    assert (rows.min(axis=0) <= seen.min(axis=0) + 0.05).all()
    assert (rows.max(axis=0) >= seen.max(axis=0) - 0.05).all()


def test_calibration_keeps_the_one_row_with_an_extreme() -> None:
    rows = np.zeros((50_000, 2), np.float32)
    rows[40_001] = 1.0, -1.0
    kept = calibration_rows(rows)
    assert len(kept) < 2000
    assert kept.max(axis=0).tolist() == [1.0, 0.0]
    assert kept.min(axis=0).tolist() == [0.0, -1.0]


def test_the_same_seed_gives_the_same_checkpoint(
    trained: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    steps: list[tuple[int, int]] = []
    card = train_policy(tmp_path / "again", seed=3, progress=lambda *step: steps.append(step))
    # Through JSON, which knows no tuples.
    assert json.loads(json.dumps(card.as_record())) == trained[1]
    first, again = (torch.export.load(p / PROGRAM) for p in (trained[0], tmp_path / "again"))
    for name, weights in first.state_dict.items():
        assert torch.equal(weights, again.state_dict[name]), name
    digests = {
        hashlib.sha256((p / CALIBRATION).read_bytes()).hexdigest()
        for p in (trained[0], tmp_path / "again")
    }
    assert len(digests) == 1
    assert steps == [(done, steps[0][1]) for done in range(1, steps[0][1] + 1)]


def test_fit_depends_on_its_seed_alone(returns: pv.ReturnedModules) -> None:
    rows, objectives = pv.observe(returns), pv.objectives(returns)
    torch.manual_seed(1)
    before, threads = torch.get_rng_state(), torch.get_num_threads()
    one = fit_policy(rows, objectives, TINY, seed=1)
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.get_num_threads() == threads
    torch.manual_seed(2)
    same = fit_policy(rows, objectives, TINY, seed=1)
    other = fit_policy(rows, objectives, TINY, seed=2)
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), same.parameters(), strict=True))
    assert not torch.equal(next(one.parameters()), next(other.parameters()))
    assert not one.training


def test_even_a_short_fit_learns(returns: pv.ReturnedModules) -> None:
    rows, objectives = pv.observe(returns), pv.objectives(returns)
    network = fit_policy(rows, objectives, Fit(epochs=40, batch=64), seed=0)
    learned = pv.decision_quality(returns, decide(network, rows))
    assert learned > pv.decision_quality(returns, pv.rule_decisions(returns))


def test_a_negative_seed_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="negative"):
        train_policy(tmp_path / "policy", seed=-1)
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_leaves_the_older_checkpoint(
    trained: tuple[Path, dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    out = trained[0]
    before = {entry.name: entry.read_bytes() for entry in out.iterdir()}

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    monkeypatch.setattr("train.policy.TRAINING_SCENARIOS", 20)
    with pytest.raises(OSError, match="No space left"):
        train_policy(out, seed=4)
    assert {entry.name: entry.read_bytes() for entry in out.iterdir()} == before
    assert [entry.name for entry in out.parent.iterdir()] == ["policy"]


def test_terminated_midway_leaves_nothing(tmp_path: Path) -> None:
    with subprocess.Popen(command(tmp_path / "policy"), stderr=subprocess.DEVNULL) as running:
        while running.poll() is None and not list(tmp_path.iterdir()):
            pass  # until it has its working folder; pytest's timeout ends a run that never does
        running.send_signal(signal.SIGTERM)
        running.wait(60)
    assert running.returncode not in (0, EXIT_USER)
    assert list(tmp_path.iterdir()) == []


def test_a_file_in_the_way_is_told_at_once(tmp_path: Path) -> None:
    (tmp_path / "policy").write_text("a file")
    done = subprocess.run(command(tmp_path / "policy"), capture_output=True, check=False, text=True)
    assert done.returncode == EXIT_USER
    assert done.stdout == ""
    assert "is a file" in done.stderr
    assert "Traceback" not in done.stderr
