"""The benchmark on both targets: the same decisions, honest figures, nothing left behind."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edge_runtime.wire.bundle import GOLDEN, Bundle
from hil_tests.bench import RESULT, check_golden_rows, run_benchmark
from hil_tests.local import open_local
from hil_tests.qemu import board_for, open_qemu
from hil_tests.session import run_session
from jouleloop.errors import BundleError, InputError, UnknownDeviceError

pytestmark = pytest.mark.qemu


def bench_command(bundle: Path, out: Path, *more: str) -> list[str]:
    return [sys.executable, "-m", "jouleloop", "bench", str(bundle), "--out", str(out), *more]


def test_board_and_this_machine_decide_alike(policy_bundle: Bundle, tmp_path: Path) -> None:
    results = {}
    for target in ("qemu", "local"):
        results[target] = run_session(
            policy_bundle,
            target,
            device=None,
            scenarios=3,
            seed=1,
            broker=None,
            out=tmp_path / target,
        )
    emulated, local = results["qemu"], results["local"]
    assert emulated.complete
    assert emulated.decisions == local.decisions
    assert [s.id for s in emulated.scenarios] == [s.id for s in local.scenarios]
    assert len(set(emulated.decisions)) > 1
    assert emulated.measure("instructions_per_inference") is not None
    assert local.measure("instructions_per_inference") is None
    quality = emulated.measure("decision_quality")
    assert quality is not None
    assert 0.9 < quality.value <= 1.0
    joules = emulated.measure("decision_joules")
    assert joules is not None
    assert joules.kind == "modelled"
    assert "nucleo-l4r5zi" in joules.source
    assert joules.low is not None
    assert joules.high is not None
    assert joules.low < joules.value < joules.high
    assert (tmp_path / "qemu" / "report.html").stat().st_size > 10_000


def test_a_thousand_rows_are_exact_on_the_board(policy_bundle: Bundle, tmp_path: Path) -> None:
    """Interpreter, C under QEMU and LiteRT agree bit for bit, saturating rows included."""
    rng = np.random.default_rng(5)
    spec = policy_bundle.inputs[0]
    rows = rng.integers(-128, 128, (1000, spec.size), dtype=np.int8)
    rows[:100] = rng.choice(np.array([-128, 127], np.int8), (100, spec.size))
    rows[100], rows[101] = -128, 127
    board = board_for(policy_bundle, None)
    with open_qemu(policy_bundle, board) as qemu, open_local(policy_bundle) as local:
        for index, row in enumerate(rows):
            emulated, here = qemu.infer(row).output, local.infer(row).output
            assert np.array_equal(emulated, here), f"row {index}: {emulated} != {here}"


def test_golden_rows_catch_another_model(policy_bundle: Bundle) -> None:
    with np.load(io.BytesIO(policy_bundle.file(GOLDEN))) as golden:
        rows, outputs = golden["inputs"], golden["outputs"].copy()
    outputs[-1].flat[0] ^= 1
    stream = io.BytesIO()
    np.savez(stream, inputs=rows, outputs=outputs)
    files = dict(policy_bundle.files) | {GOLDEN: stream.getvalue()}
    with (
        open_local(policy_bundle) as local,
        pytest.raises(BundleError, match=f"golden row {len(rows) - 1}"),
    ):
        check_golden_rows(replace(policy_bundle, files=files), local)


def test_wrong_family_and_wrong_core_are_refused(policy_bundle: Bundle, tmp_path: Path) -> None:
    with open_local(policy_bundle) as local, pytest.raises(BundleError, match="planner"):
        run_benchmark(
            replace(policy_bundle, family="planner"), local, scenarios=1, seed=0, out=tmp_path
        )
    with pytest.raises(InputError, match="has no emulated board"):
        board_for(replace(policy_bundle, device_id="rp2040"), None)
    with pytest.raises(BundleError, match="cortex-m0plus"):
        board_for(replace(policy_bundle, device_id="rp2040"), "mps2-an386")
    with pytest.raises(UnknownDeviceError):
        board_for(policy_bundle, "mps2-an368")


def test_json_is_one_object(policy_path: Path, tmp_path: Path) -> None:
    command = bench_command(policy_path, tmp_path / "out", "--scenarios", "2", "--json")
    done = subprocess.run(command, capture_output=True, check=True, text=True)
    record = json.loads(done.stdout)
    assert record["complete"] is True
    assert len(record["scenarios"]) == 2
    assert json.loads((tmp_path / "out" / RESULT).read_text(encoding="utf-8"))["complete"] is True


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_killed_midway_leaves_a_partial_result_and_no_qemu(
    policy_path: Path, tmp_path: Path, how: signal.Signals
) -> None:
    out = tmp_path / "out"
    command = bench_command(policy_path, out, "--scenarios", "2000")
    marker = {"JOULELOOP_TEST_RUN": str(tmp_path)}
    with subprocess.Popen(command, env=os.environ | marker, stderr=subprocess.DEVNULL) as bench:
        _wait_for_scenarios(out / RESULT, bench)
        bench.send_signal(how)
        bench.wait(20)
    assert bench.returncode != 0
    record = json.loads((out / RESULT).read_text(encoding="utf-8"))
    assert record["complete"] is False
    assert record["scenarios"]
    _wait_until_gone(str(tmp_path))


def _wait_for_scenarios(path: Path, bench: subprocess.Popen[bytes]) -> None:
    while bench.poll() is None:  # pytest's timeout ends a run that never gets there
        if path.exists() and json.loads(path.read_text(encoding="utf-8"))["scenarios"]:
            return
        time.sleep(0.05)
    raise AssertionError(f"the bench ended by itself with {bench.returncode}")


def _wait_until_gone(marker: str) -> None:
    """Children inherit the environment: no process that carries the marker may remain."""
    while any(marker.encode() in _environment(entry) for entry in Path("/proc").glob("[0-9]*")):
        time.sleep(0.05)  # the kernel reaps the orphan at once; pytest's timeout ends a leak


def _environment(process: Path) -> bytes:
    try:
        return (process / "environ").read_bytes()
    except OSError:
        return b""
