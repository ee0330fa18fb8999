import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_runtime.node.telemetry import EdgeNode, Metric
from edge_runtime.wire.sparkplug import REBIRTH, Payload, PayloadMetric, decode, encode
from fleet.broker import Broker
from fleet.monitor import Monitor
from fleet.state import MetricView, NodeView
from fleet.store import Store
from jouleloop.errors import LinkError, MachineError
from tests.fleet.brokers import TIMEOUT_S, Listener, wait_until

pytestmark = pytest.mark.broker

JOULES = Metric("energy/decision_joules", 2e-6, "modelled", "profile of a board", 0.5, "J")


@pytest.fixture
def broker() -> Iterator[Broker]:
    with Broker(0) as running:
        yield running


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "telemetry.sqlite") as opened:
        yield opened


def node_of(monitor: Monitor) -> NodeView:
    (node,) = monitor.snapshot().nodes
    return node


def metric_of(monitor: Monitor, name: str) -> MetricView:
    (metric,) = (metric for metric in node_of(monitor).metrics if metric.name == name)
    return metric


def test_provenance_survives_the_wire_and_the_disk(broker: Broker, store: Store) -> None:
    with Monitor(broker.url, store) as monitor:
        with EdgeNode(broker.url, "plant", "gateway") as node:
            board = node.device("board", [Metric(JOULES.name, None, unit="J")])
            assert not monitor.wait_complete(0)
            board.publish([JOULES])
            assert monitor.wait_complete(TIMEOUT_S)
            monitor.flush()
            seen = node_of(monitor)
            assert (seen.id, seen.online, seen.devices) == ("plant/gateway", True, ("board",))
            (metric,) = seen.metrics
            assert metric.device == "board"
            assert not metric.stale
            (kept,) = store.latest()
            for found in (metric, kept):
                assert (found.value, found.unit, found.kind, found.source) == (
                    2e-6,
                    "J",
                    "modelled",
                    "profile of a board",
                )
                assert found.relative_error == 0.5
            assert monitor.snapshot().rows_stored == 1
        wait_until(lambda: not node_of(monitor).online)
        assert metric_of(monitor, JOULES.name).stale


def test_a_node_that_is_killed_is_marked_stale(broker: Broker, store: Store) -> None:
    program = (
        "import signal, sys\n"
        "from edge_runtime.node.telemetry import EdgeNode, Metric\n"
        "with EdgeNode(sys.argv[1], 'plant', 'gateway', [Metric('n', 0)]) as node:\n"
        "    node.publish([Metric('n', 1)])\n"
        "    signal.pause()\n"
    )
    with (
        Monitor(broker.url, store) as monitor,
        subprocess.Popen([sys.executable, "-c", program, broker.url]) as process,
    ):
        assert monitor.wait_complete(TIMEOUT_S)
        assert not metric_of(monitor, "n").stale
        process.kill()
        wait_until(lambda: metric_of(monitor, "n").stale)
        assert not node_of(monitor).online


def test_a_monitor_that_comes_late_asks_for_the_births(broker: Broker, store: Store) -> None:
    with EdgeNode(broker.url, "plant", "gateway", [Metric("n", 0)]) as node:
        board = node.device("board", [JOULES])
        with Monitor(broker.url, store) as monitor:
            node.publish([Metric("n", 1)])
            wait_until(lambda: bool(monitor.snapshot().nodes))
            wait_until(lambda: node_of(monitor).devices == ("board",))
            assert metric_of(monitor, "n").value == 1
            board.publish([Metric(JOULES.name, 3e-6, JOULES.kind, JOULES.source, 0.5, "J")])
            assert monitor.wait_complete(TIMEOUT_S)
            assert metric_of(monitor, JOULES.name).kind == "modelled"


def test_a_rebirth_stores_no_value_twice(broker: Broker, store: Store) -> None:
    with (
        Monitor(broker.url, store) as monitor,
        EdgeNode(broker.url, "plant", "gateway", [Metric("n", 0)]) as node,
        Listener(broker.url, "spBv1.0/plant/NBIRTH/gateway") as listener,
    ):
        metric = PayloadMetric(REBIRTH, True, 11)
        command = encode(Payload(None, (metric,)), state_datatypes=True)
        for _ in range(3):
            listener.send("spBv1.0/plant/NCMD/gateway", command)
            listener.next()
        node.publish([Metric("n", 1)])
        assert monitor.wait_complete(TIMEOUT_S)
        monitor.flush()
        assert [row.value for row in store.series("plant/gateway", "", "n")] == [0, 1]
        assert monitor.snapshot().rows_stored == 2


def test_it_says_whether_it_is_there_as_the_specification_wants(
    broker: Broker, store: Store
) -> None:
    topic = "spBv1.0/STATE/jouleloop"
    with Listener(broker.url, "spBv1.0/STATE/#") as listener:
        with Monitor(broker.url, store):
            birth = json.loads(listener.next().payload)
            assert birth["online"] is True
            # Someone says that we are gone: we say that we are here, with the time of our birth.
            listener.send(topic, b'{"online": false, "timestamp": 1}', retain=True)
            assert json.loads(listener.next().payload)["online"] is False
            assert json.loads(listener.next().payload) == birth
        death = json.loads(listener.next().payload)
        assert death["online"] is False
        assert death["timestamp"] >= birth["timestamp"]
    with Listener(broker.url, topic) as late:
        message = late.next()
        assert message.retain
        assert json.loads(message.payload) == death


def test_a_monitor_that_is_killed_is_declared_gone(broker: Broker, tmp_path: Path) -> None:
    program = (
        "import pathlib, signal, sys\n"
        "from fleet.monitor import Monitor\n"
        "from fleet.store import Store\n"
        "with Store(pathlib.Path(sys.argv[2])) as store, Monitor(sys.argv[1], store):\n"
        "    signal.pause()\n"
    )
    command = [sys.executable, "-c", program, broker.url, str(tmp_path / "x.sqlite")]
    with (
        Listener(broker.url, "spBv1.0/STATE/#") as listener,
        subprocess.Popen(command) as process,
    ):
        birth = json.loads(listener.next().payload)
        process.kill()
        assert json.loads(listener.next().payload) == birth | {"online": False}


def test_hostile_messages_are_counted_and_harm_nothing(broker: Broker, store: Store) -> None:
    with (
        Monitor(broker.url, store) as monitor,
        Listener(broker.url, "nothing") as sender,
        EdgeNode(broker.url, "plant", "gateway", [Metric("n", 0)]) as node,
    ):
        sender.send("spBv1.0/plant/NDATA/gateway", b"\xff" * 50)
        sender.send("spBv1.0/plant/NOTHING/gateway", b"")
        sender.send("spBv1.0/STATE/jouleloop", b"[" * 100_000)
        sender.send("spBv1.0/plant/DBIRTH/gateway", b"")
        node.publish([Metric("n", 1)])
        assert monitor.wait_complete(TIMEOUT_S)
        snapshot = monitor.snapshot()
        assert snapshot.rejected == 3
        assert "no Sparkplug B topic" in snapshot.last_rejection
        assert metric_of(monitor, "n").value == 1


def test_it_asks_a_stranger_once_and_not_at_every_message(broker: Broker, store: Store) -> None:
    with (
        Monitor(broker.url, store),
        Listener(broker.url, "spBv1.0/plant/NCMD/#") as listener,
    ):
        metric = PayloadMetric(None, 1, 4, alias=5)
        for seq in range(5):
            content = encode(Payload(1, (metric,), seq), state_datatypes=False)
            listener.send("spBv1.0/plant/NDATA/a", content)
        listener.send("spBv1.0/plant/NDATA/b", content)
        asked = [listener.next() for _ in range(2)]
        assert [message.topic for message in asked] == [
            "spBv1.0/plant/NCMD/a",
            "spBv1.0/plant/NCMD/b",
        ]
        command = decode(bytes(asked[0].payload)).metric(REBIRTH)
        assert command is not None
        assert command.value is True


def test_a_database_that_fails_is_said(
    broker: Broker, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A full disk: tests/fleet/test_store.py shows that SQLite's answer becomes this error.
    def refuse(_: object) -> int:
        raise MachineError("cannot write: the disk is full")

    monkeypatch.setattr(store, "add", refuse)
    monitor = Monitor(broker.url, store)
    monitor.__enter__()
    with EdgeNode(broker.url, "plant", "gateway", [Metric("n", 0)]) as node:
        for count in range(1, 50):
            node.publish([Metric("n", count)])
        assert monitor.wait_complete(TIMEOUT_S)
        with pytest.raises(MachineError, match="the disk is full"):
            monitor.flush()
    with pytest.raises(MachineError, match="the disk is full"):
        monitor.__exit__(None, None, None)


def test_flush_waits_for_all_that_the_broker_has(broker: Broker, store: Store) -> None:
    with Monitor(broker.url, store) as monitor:
        with EdgeNode(broker.url, "plant", "gateway", [Metric("n", 0)]) as node:
            for count in range(1, 501):
                node.publish([Metric("n", count)])
        monitor.flush()
        assert metric_of(monitor, "n").value == 500
        assert not node_of(monitor).online
        assert monitor.snapshot().rows_stored == 501
        assert len(store.series("plant/gateway", "", "n")) == 501


def test_a_broker_that_is_gone_is_said(
    broker: Broker, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fleet.monitor.ECHO_TIMEOUT_S", 0.1)
    with Monitor(broker.url, store) as monitor:
        broker.__exit__(None, None, None)
        with pytest.raises(LinkError, match=r"did not answer within 0\.1 s"):
            monitor.flush()
        wait_until(lambda: not monitor.snapshot().is_connected)


def test_an_absent_broker_is_said(store: Store) -> None:
    with Broker(0) as broker:
        url = broker.url
    with pytest.raises(LinkError, match="no MQTT broker answers"):
        Monitor(url, store).__enter__()
