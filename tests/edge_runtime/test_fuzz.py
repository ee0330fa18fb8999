"""Saved inputs of the fuzzers through every parser of the firmware, under sanitizers."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.edge_runtime.fuzz.targets import MAX_INPUT_BYTES, TARGETS, Target

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.host_c

FUZZ_S = 60


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_saved_inputs_find_nothing(target: Target, tmp_path: Path) -> None:
    replay = target.build_replay(tmp_path)
    inputs = sorted(target.unpack(tmp_path).iterdir())
    assert inputs
    done = subprocess.run([replay, *inputs], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) == len(inputs)


@pytest.mark.slow
@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_a_minute_of_fuzzing_finds_nothing(target: Target, tmp_path: Path) -> None:
    fuzzer = target.build_fuzzer(tmp_path)
    limits = (f"-max_len={MAX_INPUT_BYTES}", f"-max_total_time={FUZZ_S}", "-print_final_stats=1")
    command = [str(fuzzer), str(target.unpack(tmp_path)), *limits]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    crashes = [path.read_bytes().hex() for path in tmp_path.glob("crash-*")]
    assert done.returncode == 0, f"{done.stderr[-4000:]}\ninput: {crashes}"
