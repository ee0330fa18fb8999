import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from edge_runtime.node.telemetry import EdgeNode, Metric
from fleet.broker import Broker
from fleet.store import Store
from jouleloop.errors import EXIT_USAGE, EXIT_USER, MissingToolError
from tests.fleet.brokers import TIMEOUT_S, Listener, wait_until
from tests.processes import programs_with

pytestmark = pytest.mark.broker

JOULES = Metric("energy/decision_joules", 2e-6, "modelled", "profile", 0.5, "J")


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "jouleloop", "monitor", "--port", "0", *arguments]


@contextmanager
def monitor(
    tmp_path: Path, *arguments: str, url_on: str = "stdout"
) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The command, and the URL that it printed first."""
    with subprocess.Popen(
        command("--database", str(tmp_path / "fleet.sqlite"), *arguments),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            stream = getattr(process, url_on)
            yield process, stream.readline().strip()
        finally:
            process.kill()


def test_once_json_is_one_object_with_provenance(tmp_path: Path) -> None:
    arguments = ("--once", "--timeout", "30", "--json")
    with (
        monitor(tmp_path, *arguments, url_on="stderr") as (process, url),
        EdgeNode(url, "plant", "gateway") as node,
    ):
        board = node.device("board", [Metric(JOULES.name, None, unit="J")])
        board.publish([JOULES])
        output, errors = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 0, errors
    record = json.loads(output)
    assert record["broker"] == url
    assert record["rows_stored"] == 1
    (seen,) = record["nodes"]
    assert (seen["id"], seen["devices"]) == ("plant/gateway", ["board"])
    (metric,) = seen["metrics"]
    wanted = {
        "name": JOULES.name,
        "value": 2e-6,
        "unit": "J",
        "kind": "modelled",
        "source": "profile",
        "relative_error": 0.5,
        "device": "board",
        "stale": False,
    }
    assert {key: metric[key] for key in wanted} == wanted
    with Store(tmp_path / "fleet.sqlite") as store:
        assert [row.metric for row in store.latest()] == [JOULES.name]


def test_once_for_people_is_the_url_and_a_table(tmp_path: Path) -> None:
    with (
        monitor(tmp_path, "--once", "--timeout", "30") as (process, url),
        EdgeNode(url, "plant", "gateway", [Metric("n", 0), JOULES]) as node,
    ):
        node.publish([Metric("n", 1)])
        output, _ = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 0
    for shown in ("plant/gateway", "2e-06 J", "modelled", "± 50%", "profile", "rows stored"):
        assert shown in output


def test_once_without_data_gives_up_with_the_next_step(tmp_path: Path) -> None:
    with monitor(tmp_path, "--once", "--timeout", "0.2", "--json", url_on="stderr") as (
        process,
        url,
    ):
        output, errors = process.communicate(timeout=TIMEOUT_S)
    assert (process.returncode, output) == (EXIT_USER, "")
    assert f"{url} received no complete birth and data within 0.2 s; 0 nodes were born" in errors
    assert f"--broker {url}" in errors


@pytest.mark.parametrize("wrong", [["--json"], ["--timeout", "1"], ["--once", "--timeout", "-1"]])
def test_wrong_usage(wrong: list[str]) -> None:
    done = subprocess.run(command(*wrong), capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (EXIT_USAGE, "")


def test_a_port_in_use_is_an_error_of_the_environment(tmp_path: Path) -> None:
    with Broker(0) as other:
        database = ("--database", str(tmp_path / "fleet.sqlite"))
        done = subprocess.run(
            command("--port", str(other.port), *database),
            capture_output=True,
            text=True,
            check=False,
        )
    assert (done.returncode, done.stdout) == (EXIT_USER, "")
    assert f"port {other.port} on 127.0.0.1 is in use" in done.stderr


def test_a_missing_mosquitto_is_an_error_of_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from typer.testing import CliRunner

    from jouleloop.cli import app

    monkeypatch.setattr("shutil.which", lambda *_, **__: None)
    arguments = ["monitor", "--port", "0", "--database", str(tmp_path / "fleet.sqlite")]
    result = CliRunner().invoke(app, arguments)
    assert isinstance(result.exception, MissingToolError)
    assert "apt-get install mosquitto" in result.exception.hint


def test_the_live_table_shows_values_and_then_that_they_are_stale(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("LINES", "50")
    ours, terminal = os.openpty()
    arguments = command("--database", str(tmp_path / "fleet.sqlite"))
    with (
        os.fdopen(ours, encoding="utf-8", newline="") as screen,
        subprocess.Popen(arguments, stdout=terminal, stderr=terminal) as process,
    ):
        os.close(terminal)
        try:
            url = screen.readline().strip()
            with EdgeNode(url, "plant", "gateway", [Metric("n", 0), JOULES]) as node:
                node.publish([Metric("n", 41, unit="items")])
                line = next(line for line in screen if "41 items" in line)
                assert "plant/gateway" in line
                line = next(line for line in screen if JOULES.name in line)
                assert "± 50%" in line
                assert "modelled" in line
            next(line for line in screen if "41 items" in line and "stale" in line)
            process.send_signal(signal.SIGINT)
            assert process.wait(TIMEOUT_S) == 130
        finally:
            process.kill()


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_no_mosquitto_survives_the_monitor(
    tmp_path: Path, how: signal.Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    tag = f"test-{time.monotonic_ns()}"
    monkeypatch.setenv("JOULELOOP_TEST_MONITOR", tag)
    setting = f"JOULELOOP_TEST_MONITOR={tag}"
    with monitor(tmp_path) as (process, url), Listener(url):
        assert len(programs_with(setting, names=["mosquitto"])) == 1
        process.send_signal(how)
        process.wait(TIMEOUT_S)
        wait_until(lambda: not programs_with(setting, names=["mosquitto"]))
