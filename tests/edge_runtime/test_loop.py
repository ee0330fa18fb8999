import json
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import edge_runtime.node.host
from edge_runtime.node.host import HostEnergy, default_node_id, host_name
from edge_runtime.node.loop import Reporting, RunResult, run_bundle
from edge_runtime.node.observations import golden_rows, read_rows
from edge_runtime.wire.bundle import GOLDEN, Bundle, write_bundle
from fleet.broker import Broker
from fleet.monitor import Monitor
from fleet.store import Store
from jouleloop.energy import Kind
from jouleloop.errors import EXIT_USER, BundleError, InputError, LinkError
from tests.edge_runtime.tiny_bundle import INPUT, LABELS, exact, rows, tiny_bundle
from tests.fleet.brokers import TIMEOUT_S

pytestmark = pytest.mark.broker


def run(**options: Any) -> RunResult:
    bundle = options.pop("bundle", tiny_bundle())
    return run_bundle(bundle, options.pop("rows", golden_rows(bundle)), **options)


@pytest.mark.parametrize("backend", ["litert", "onnxruntime"])
def test_decisions_are_the_exact_ones(backend: str) -> None:
    result = run(rows=rows(200), backend=backend)
    assert result.decisions == tuple(exact(rows(200)).argmax(axis=1).tolist())
    assert result.backend == backend
    assert result.label(2) == "recycle"
    record = json.loads(json.dumps(result.as_record(), allow_nan=False))
    assert record["labels"] == LABELS
    assert len(record["decisions"]) == 200
    assert 0 < record["latency_s"]["median"] <= record["latency_s"]["p90"]
    assert record["latency_s"]["kind"] == "measured"


def test_rows_come_round_when_more_decisions_are_asked_for() -> None:
    once = run().decisions
    assert run(count=45).decisions == (once * 3)[:45]
    assert run(count=1).decisions == once[:1]


def test_joules_of_a_linux_profile_are_its_power_times_the_measured_seconds() -> None:
    result = run(bundle=tiny_bundle("raspberry-pi-4b"))
    energy = result.energy
    assert energy is not None
    assert energy.kind is Kind.MODELLED
    # raspberry-pi-4b.toml: 6.12 W, from 3.06 to 6.375.
    mean_s = float(np.mean(result.seconds))
    assert energy.joules == pytest.approx(6.12 * mean_s)
    assert energy.interval == pytest.approx((3.06 * mean_s, 6.375 * mean_s))
    for part in ("inference alone", "power.active_w of raspberry-pi-4b", "seconds measured on"):
        assert part in energy.source


def test_the_source_says_when_this_machine_is_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = tmp_path / "model"
    monkeypatch.setattr(edge_runtime.node.host, "_MODEL_FILE", model)
    here = HostEnergy.of("raspberry-pi-4b", host_name()).inference(1.0)
    assert here is not None
    assert "which is no Raspberry Pi 4 Model B" in here.source
    model.write_bytes(b"Raspberry Pi 4 Model B Rev 1.4\0")
    assert host_name() == "Raspberry Pi 4 Model B Rev 1.4"
    there = HostEnergy.of("raspberry-pi-4b", host_name()).inference(1.0)
    assert there is not None
    assert "which is no" not in there.source


@pytest.mark.parametrize(
    ("device", "reason"),
    [
        ("rp2040", "made for rp2040, which is no Linux device, and the power of this machine"),
        ("a-board-of-tomorrow", "no device profile is called 'a-board-of-tomorrow'"),
    ],
)
def test_unknown_joules_are_absent_and_say_why(device: str, reason: str) -> None:
    result = run(bundle=tiny_bundle(device))
    assert result.energy is None
    assert reason in result.energy_reason
    assert result.as_record()["energy"] is None


def test_a_period_is_kept_and_slept_through() -> None:
    result = run(count=5, period_s=0.02)
    assert result.slept_seconds == pytest.approx(0.08, rel=0.25)
    assert result.late < 5


def test_decisions_without_labels_are_numbers() -> None:
    result = run(bundle=tiny_bundle(card={}))
    assert result.labels == ()
    assert result.label(3) == "3"


def test_telemetry_says_what_was_decided_and_what_it_cost(tmp_path: Path) -> None:
    with (
        Broker(0) as broker,
        Store(tmp_path / "x.sqlite") as store,
        Monitor(broker.url, store) as monitor,
    ):
        result = run(count=7, reporting=Reporting(broker.url, "plant", "pi"))
        assert monitor.wait_complete(TIMEOUT_S)
        monitor.flush()
        (node,) = monitor.snapshot().nodes
        assert (node.id, node.devices) == ("plant/pi", ())
        metrics = {metric.name: metric for metric in node.metrics}
        assert metrics["Properties/backend"].value == "litert"
        assert metrics["Properties/bundle"].value == "tiny"
        assert metrics["loop/decisions"].value == 7
        assert metrics["loop/decision"].value == result.label(result.decisions[-1])
        latency = metrics["loop/latency_s"]
        assert (latency.value, latency.unit, latency.kind) == (result.seconds[-1], "s", "measured")
        joules = metrics["energy/decision_joules"]
        assert joules.value == pytest.approx(6.12 * result.seconds[-1])
        assert (joules.unit, joules.kind) == ("J", "modelled")
        assert joules.relative_error == pytest.approx(0.5)
        assert "seconds measured on this machine" in (joules.source or "")
        spent = metrics["energy/run_joules"].value
        assert spent == pytest.approx(6.12 * sum(result.seconds))
        assert result.unsent == 0
        # A thousand decisions a second are not a thousand messages.
        assert monitor.snapshot().rows_stored < 40


def test_an_mcu_bundle_reports_no_joules(tmp_path: Path) -> None:
    with (
        Broker(0) as broker,
        Store(tmp_path / "x.sqlite") as store,
        Monitor(broker.url, store) as monitor,
    ):
        reporting = Reporting(broker.url, "plant", "pi")
        assert run(bundle=tiny_bundle("rp2040"), reporting=reporting).unsent == 0
        assert monitor.wait_complete(TIMEOUT_S)
        names = [metric.name for metric in monitor.snapshot().nodes[0].metrics]
    assert "loop/latency_s" in names
    assert not [name for name in names if "joules" in name]


def test_an_absent_broker_is_an_error_before_the_first_decision() -> None:
    with Broker(0) as broker:
        url = broker.url
    done: list[int] = []
    with pytest.raises(LinkError, match="no MQTT broker answers"):
        run(reporting=Reporting(url, "g", "n"), progress=lambda i, _: done.append(i))
    assert done == []


def test_a_host_name_is_a_node_id(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("socket.gethostname", lambda: "a/b+c#d")
    assert default_node_id() == "a-b-c-d"
    monkeypatch.setattr("socket.gethostname", lambda: "")
    assert default_node_id() == "node"


def save(path: Path, array: NDArray[Any]) -> Path:
    np.save(path, array)
    return path


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_observations_are_quantised_as_the_input_and_saturate(tmp_path: Path, dtype: type) -> None:
    real: NDArray[Any] = INPUT.dequantize(rows(50)).astype(dtype)
    real[0], real[1] = -np.inf, 1e30
    wanted = rows(50)
    wanted[0], wanted[1] = -128, 127
    read = read_rows(save(tmp_path / "x.npy", real), tiny_bundle())
    np.testing.assert_array_equal(read, wanted)


def test_int8_observations_are_taken_as_they_are(tmp_path: Path) -> None:
    read = read_rows(save(tmp_path / "x.npy", rows(5)), tiny_bundle())
    np.testing.assert_array_equal(read, rows(5))


def test_several_inputs_lie_one_behind_the_other(tmp_path: Path) -> None:
    first = replace(INPUT, shape=(1, 2))
    second = replace(INPUT, name="more", shape=(1, 4), scale=0.5, zero_point=0)
    bundle = tiny_bundle(inputs=(first, second))
    real = np.arange(6, dtype=np.float32)[np.newaxis] / 64
    read = read_rows(save(tmp_path / "x.npy", real), bundle)
    assert read.tolist() == [[3, 4, 0, 0, 0, 0]]


@pytest.mark.parametrize(
    ("array", "what"),
    [
        (np.zeros((3, 5), np.float32), r"holds \[3, 5\]; tiny takes rows of 6"),
        (np.zeros((0, 6), np.float32), r"holds \[0, 6\]"),
        (np.zeros(6, np.float32), r"holds \[6\]"),
        (np.float32(1), r"holds \[\]"),
        (np.zeros((3, 6), np.int64), "holds int64; float32 or int8 is read"),
        (np.full((1, 6), np.nan, np.float32), "observation: a value is not a number"),
        (np.array([[None] * 6]), "no readable .npy file"),
    ],
)
def test_other_observations_are_refused(tmp_path: Path, array: NDArray[Any], what: str) -> None:
    with pytest.raises(InputError, match=what):
        read_rows(save(tmp_path / "x.npy", array), tiny_bundle())


_HEADER = b"{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999, 6)}\n"
HUGE = b"\x93NUMPY\x01\0" + len(_HEADER).to_bytes(2, "little") + _HEADER


@pytest.mark.parametrize("content", [b"", b"\x93NUMPY", b"text", b"PK\x03\x04", HUGE])
def test_a_file_that_holds_no_array_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.npy").write_bytes(content)
    with pytest.raises(InputError, match=r"no readable \.npy file"):
        read_rows(tmp_path / "x.npy", tiny_bundle())


def test_a_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no observations at"):
        read_rows(tmp_path / "x.npy", tiny_bundle())
    with pytest.raises(InputError, match=f"{tmp_path} is no readable"):
        read_rows(tmp_path, tiny_bundle())


@pytest.mark.parametrize("golden", [b"", b"nothing", None, rows(2).astype(float), rows(2)[:0]])
def test_golden_rows_that_do_not_fit_are_said(tmp_path: Path, golden: Any) -> None:
    if isinstance(golden, np.ndarray):
        np.savez(tmp_path / "golden.npz", inputs=golden)
        golden = (tmp_path / "golden.npz").read_bytes()
    bundle: Bundle = tiny_bundle(files={} if golden is None else {GOLDEN: golden})
    with pytest.raises(BundleError, match=r"golden\.npz"):
        golden_rows(bundle)


def jouleloop_run(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "jouleloop", "run", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_command_prints_one_object_or_a_table(tmp_path: Path) -> None:
    write_bundle(tiny_bundle(), tmp_path / "tiny.jlb")
    save(tmp_path / "rows.npy", INPUT.dequantize(rows(9)))
    done = jouleloop_run(tmp_path / "tiny.jlb", "--input", tmp_path / "rows.npy", "--json")
    assert done.returncode == 0, done.stderr
    record = json.loads(done.stdout)
    assert record["decisions"] == exact(rows(9)).argmax(axis=1).tolist()
    assert record["energy"]["kind"] == "modelled"
    done = jouleloop_run(tmp_path / "tiny.jlb", "--backend", "onnxruntime", "--count", 30)
    assert done.returncode == 0, done.stderr
    (most, _), *_ = Counter(run(count=30).decisions).most_common()
    for shown in ("tiny by onnxruntime", LABELS[most], "modelled", "measured"):
        assert shown in done.stdout


def test_the_command_explains_what_it_cannot_do(tmp_path: Path) -> None:
    write_bundle(tiny_bundle(), tmp_path / "tiny.jlb")
    cases: tuple[tuple[tuple[object, ...], str], ...] = (
        ((tmp_path / "none.jlb",), "no bundle at"),
        ((tmp_path / "tiny.jlb", "--input", "none.npy"), "no observations at none.npy"),
        ((tmp_path / "tiny.jlb", "--broker", "tcp://x"), "is no broker address"),
        ((tmp_path / "tiny.jlb", "--broker", "mqtt://x", "--node", "a/b"), "reserves for topics"),
        ((tmp_path / "tiny.jlb", "--backend", "tflite-runtime"), "pip install 'tflite-runtime"),
    )
    for arguments, what in cases:
        done = jouleloop_run(*arguments, "--json")
        assert (done.returncode, done.stdout) == (EXIT_USER, "")
        assert what in done.stderr.replace("\n", " ")
    for arguments in ((), (tmp_path / "tiny.jlb", "--count", 0), (tmp_path / "x", "--period", -1)):
        assert jouleloop_run(*arguments).returncode == 2
