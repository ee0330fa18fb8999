"""`jouleloop train planner` leaves a checkpoint that the exporter reads, also after a kill."""

from __future__ import annotations

import hashlib
import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from export.frontend.checkpoint import read_checkpoint
from export.graph import Rounding
from jouleloop.errors import EXIT_USER, InputError
from tests.train.planner.ranges import LEFT_OUT, held_out_steps, left_out
from tests.train.planner.tiny import TINY, tiny_planner
from train.checkpoint import AMORTISER, CALIBRATION, CARD, PROGRAM
from train.planner.quantised import load_denoiser
from train.planner.schedule import Schedule
from train.planner.settings import Settings
from train.planner.train import train_planner

pytestmark = pytest.mark.train

Trained = tuple[Path, dict[str, Any]]

TINY_RUN = """
import sys
from dataclasses import replace
from pathlib import Path
from tests.train.planner.ranges import LEFT_OUT, held_out_steps, left_out
from tests.train.planner.tiny import TINY
from train.planner import resume
from train.planner.train import train_planner
resume.SAVE_EVERY_S = 0.02
fit = replace(TINY.fit, steps=200, distillation_steps=150)
def show(part, done, total):
    print(part, done, flush=True)
train_planner(Path(sys.argv[1]), replace(TINY, fit=fit), show)
"""


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    out = tmp_path_factory.mktemp("train") / "planner"
    return out, tiny_planner(out).as_record()


def test_the_folder_holds_a_checkpoint_and_nothing_beside_it(trained: Trained) -> None:
    out, record = trained
    assert {entry.name for entry in out.iterdir()} == {PROGRAM, CARD, CALIBRATION, AMORTISER}
    assert [entry.name for entry in out.parent.iterdir()] == ["planner"]
    assert json.loads((out / CARD).read_text(encoding="utf-8")) == json.loads(json.dumps(record))


def test_the_card_says_what_a_sampler_needs(trained: Trained) -> None:
    card = trained[1]
    planner = card["planner"]
    edges, nodes = len(planner["network"]["sources"]), len(planner["network"]["nodes"])
    size = edges + 4 * nodes
    assert card["family"] == "planner"
    assert card["inputs"][0]["shape"] == [1, size + 2 + 16]
    assert card["outputs"][0]["shape"] == [1, size]
    assert len(planner["normalisation"]["mean"]) == size
    assert min(planner["normalisation"]["std"]) > 0
    for steps, table in planner["schedules"].items():
        assert np.shape(table["embedding"]) == (int(steps), 16)
        assert table["alpha_bar_next"][:-1] == table["alpha_bar"][1:]
        assert table["alpha_bar_next"][-1] == 1.0
        assert np.all(np.diff(table["alpha_bar"]) > 0)


def test_the_exporter_reads_it(trained: Trained) -> None:
    source = read_checkpoint(trained[0], Rounding.SINGLE)
    assert source.family == "planner"


def test_calibration_reaches_the_tails(trained: Trained) -> None:
    out, record = trained
    with np.load(out / CALIBRATION) as archive:
        rows = archive["state"]
    size = record["outputs"][0]["shape"][1]
    assert np.isfinite(rows).all()
    # 1024 paths of over 100 coordinates: the noise of the first step reaches beyond four sigma.
    assert rows[:, :size].max() > 4.0
    assert rows[:, :size].min() < -4.0
    assert {tuple(corner) for corner in rows[:, size : size + 2].tolist()} >= {(0.0, 1.0)}


def test_int8_holds_what_the_sampler_brings(trained: Trained) -> None:
    out, record = trained
    tables = {
        int(steps): Schedule(**{name: np.array(values) for name, values in table.items()})
        for steps, table in record["planner"]["schedules"].items()
    }
    model = load_denoiser(out)
    worst = left_out(out, model, held_out_steps(model, tables))
    assert max(worst.values()) <= LEFT_OUT, worst


def test_the_program_is_the_model_of_the_schedules(trained: Trained) -> None:
    out, record = trained
    program = torch.export.load(out / PROGRAM).module()
    size = record["inputs"][0]["shape"][1]
    assert program(torch.zeros(1, size)).shape == tuple(record["outputs"][0]["shape"])


def test_killed_and_taken_up_again_gives_the_same_bytes(tmp_path: Path) -> None:
    """SIGKILL in both parts of the training; the last run goes on and ends with the same files."""
    straight, killed = tmp_path / "straight", tmp_path / "killed"
    command = [sys.executable, "-c", TINY_RUN]
    subprocess.run([*command, str(straight)], check=True, stdout=subprocess.DEVNULL)
    for part in ("learn plans 100", "learn long steps 100"):
        with subprocess.Popen(
            [*command, str(killed)], stdout=subprocess.PIPE, text=True
        ) as running:
            assert running.stdout is not None
            seen = []
            for line in running.stdout:
                seen.append(line.strip())
                if line.strip() == part:
                    running.send_signal(signal.SIGKILL)
                    break
        assert part in seen
        assert not killed.exists()
    assert "simulate plans 128" not in seen
    assert not any(line == "learn plans 50" for line in seen)
    subprocess.run([*command, str(killed)], check=True, stdout=subprocess.DEVNULL)
    for name in (CARD, CALIBRATION):
        assert (straight / name).read_bytes() == (killed / name).read_bytes(), name
    assert weights_sha256(straight) == weights_sha256(killed)


def weights_sha256(folder: Path) -> str:
    digest = hashlib.sha256()
    for name, values in sorted(torch.export.load(folder / PROGRAM).state_dict.items()):
        digest.update(name.encode() + values.detach().numpy().tobytes())
    return digest.hexdigest()


def test_a_torn_snapshot_is_begun_again(trained: Trained, tmp_path: Path) -> None:
    work = tmp_path / ".planner.training"
    work.mkdir()
    (work / "snapshot.pt").write_bytes(b"PK\x03\x04 torn")
    (work / "plans.npz").write_bytes(b"PK\x03\x04 torn")
    train_planner(tmp_path / "planner", TINY)
    assert weights_sha256(tmp_path / "planner") == weights_sha256(trained[0])
    assert not work.exists()


def test_wrong_arguments_are_told_at_once(trained: Trained, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="negative"):
        train_planner(tmp_path / "planner", Settings(seed=-1))
    (tmp_path / "file").write_text("a file")
    with pytest.raises(InputError, match="is a file"):
        train_planner(tmp_path / "file", TINY)
    shutil.copytree(trained[0], tmp_path / "strange")
    (tmp_path / "strange" / "notes").write_text("mine")
    with pytest.raises(InputError, match="no checkpoint: notes"):
        train_planner(tmp_path / "strange", TINY)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["file", "strange"]


def test_a_scenario_that_is_none_exits_1(tmp_path: Path) -> None:
    (tmp_path / "no.json").write_text("{}")
    done = subprocess.run(
        [
            str(Path(sys.executable).with_name("jouleloop")),
            *("train", "planner", "--out", str(tmp_path / "planner")),
            *("--scenario", str(tmp_path / "no.json")),
        ],
        capture_output=True,
        check=False,
        text=True,
    )
    assert done.returncode == EXIT_USER
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
