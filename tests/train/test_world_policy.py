"""A policy of circular supply chains learns from worlds, and its card says what it observes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from jouleloop.errors import ScenarioError
from scenarios.world.generate import as_record, make_scenario, write_scenarios
from scenarios.world.observation import FEATURES
from train.world_policy import train_world_policy

pytestmark = pytest.mark.train


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("worlds")
    write_scenarios(path, 12, seed=2, nodes=20)
    return path


def test_it_beats_the_rule_on_worlds_that_it_never_saw(folder: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "jouleloop", "train", "policy", "--json"]
    command += ["--worlds", str(folder), "--out", str(tmp_path / "policy"), "--seed", "3"]
    done = subprocess.run(command, capture_output=True, check=True, text=True)
    card: dict[str, Any] = json.loads(done.stdout)
    assert card["inputs"][0]["features"] == [feature.as_record() for feature in FEATURES]
    quality = {name: card["metrics"][name]["decision_quality"] for name in ("random", "rule")}
    assert quality["random"] < quality["rule"] < 0.95
    assert 0.97 < card["metrics"]["policy"]["decision_quality"] <= 1.0
    assert card["metrics"]["exact"]["decision_quality"] == 1.0


def test_worlds_without_returns_teach_nothing(tmp_path: Path) -> None:
    worlds = tmp_path / "worlds"
    worlds.mkdir()
    # In this one no item comes back within its single hour.
    quiet = make_scenario(8, nodes=7, ticks=1)
    (worlds / "quiet.json").write_text(json.dumps(as_record(quiet)), encoding="utf-8")
    with pytest.raises(ScenarioError, match="nothing comes back"):
        train_world_policy(tmp_path / "none", worlds)
    with pytest.raises(ScenarioError, match="does not exist"):
        train_world_policy(tmp_path / "none", tmp_path / "absent")
    assert not (tmp_path / "none").exists()
