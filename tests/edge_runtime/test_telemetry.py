import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest
from paho.mqtt.client import MQTTMessage

from edge_runtime.node.mqtt import BrokerAddress, Message, MqttLink, parse_broker_url
from edge_runtime.node.telemetry import EdgeNode, Metric
from edge_runtime.wire.sparkplug import (
    BDSEQ,
    REBIRTH,
    DataType,
    Payload,
    PayloadMetric,
    Property,
    decode,
    encode,
)
from edge_runtime.wire.sparkplug_topic import parse_topic
from fleet.broker import Broker
from jouleloop.errors import InputError, LinkError
from jouleloop.programs import claim_port
from tests.fleet.brokers import Listener, wait_until

pytestmark = pytest.mark.broker

NCMD = "spBv1.0/plant/NCMD/gateway"


@pytest.fixture(scope="module")
def broker() -> Iterator[Broker]:
    with Broker(0) as running:
        yield running


@pytest.fixture
def listener(broker: Broker) -> Iterator[Listener]:
    with Listener(broker.url, "spBv1.0/#") as listening:
        yield listening


def read(message: MQTTMessage) -> tuple[str, Payload]:
    return message.topic.removeprefix("spBv1.0/plant/"), decode(bytes(message.payload))


def is_no_command(message: MQTTMessage) -> bool:
    return "CMD" not in message.topic


def rebirth(value: bool = True) -> bytes:
    metric = PayloadMetric(REBIRTH, value, DataType.BOOLEAN)
    return encode(Payload(1, (metric,)), state_datatypes=True)


def joules(value: float | None, source: str = "profile", error: float = 0.5) -> Metric:
    return Metric("energy/decision_joules", value, "modelled", source, error, "J")


def test_a_node_s_life_is_that_of_the_specification(broker: Broker, listener: Listener) -> None:
    with EdgeNode(broker.url, "plant", "gateway", [Metric("uptime", 1.0, unit="s")]) as node:
        topic, birth = read(message := listener.next())
        assert topic == "NBIRTH/gateway"
        assert (message.qos, message.retain) == (0, False)
        assert birth.seq == 0
        assert birth.timestamp_ms is not None
        bdseq, control, uptime = birth.metrics
        assert (bdseq.name, bdseq.value, bdseq.datatype) == (BDSEQ, 0, DataType.INT64)
        assert (control.name, control.value, control.datatype) == (REBIRTH, False, DataType.BOOLEAN)
        assert control.alias is None
        assert (uptime.name, uptime.value, uptime.datatype) == ("uptime", 1.0, DataType.DOUBLE)
        assert uptime.properties == {"engUnit": Property("s", DataType.STRING)}

        board = node.device("board", [joules(None), Metric("decisions", 0)])
        topic, birth = read(listener.next())
        assert (topic, birth.seq) == ("DBIRTH/gateway/board", 1)
        energy, decisions = birth.metrics
        assert (energy.value, energy.datatype) == (None, DataType.DOUBLE)
        assert energy.properties == {
            "kind": Property("modelled", DataType.STRING),
            "source": Property("profile", DataType.STRING),
            "relative_error": Property(0.5, DataType.DOUBLE),
            "engUnit": Property("J", DataType.STRING),
        }
        assert len({uptime.alias, energy.alias, decisions.alias, None}) == 4

        board.publish([joules(2e-6), Metric("decisions", 1)])
        topic, data = read(listener.next())
        assert (topic, data.seq) == ("DDATA/gateway/board", 2)
        assert [(m.name, m.datatype, m.alias, m.value) for m in data.metrics] == [
            (None, None, energy.alias, 2e-6),
            (None, None, decisions.alias, 1),
        ]
        # The provenance is that of the birth, so it does not travel again.
        assert all(not metric.properties for metric in data.metrics)

        node.publish([Metric("uptime", 2, unit="s")])
        topic, data = read(listener.next())
        assert (topic, data.seq) == ("NDATA/gateway", 3)
        assert (data.metrics[0].alias, data.metrics[0].value) == (uptime.alias, 2.0)

        board.close()
        topic, death = read(listener.next())
        assert (topic, death.seq, death.metrics) == ("DDEATH/gateway/board", 4, ())
    topic, death = read(message := listener.next())
    assert (topic, death.seq, message.qos, message.retain) == ("NDEATH/gateway", None, 1, False)
    assert [(m.name, m.value) for m in death.metrics] == [(BDSEQ, 0)]
    # On MQTT 5 the Will follows, which says the same.
    topic, will = read(listener.next())
    assert (topic, will.metrics) == ("NDEATH/gateway", death.metrics)
    assert node.unsent == 0


def test_only_changes_are_sent_and_provenance_when_it_changed(
    broker: Broker, listener: Listener
) -> None:
    with EdgeNode(broker.url, "plant", "gateway", [joules(1.0), Metric("n", 1)]) as node:
        listener.next()
        node.publish([joules(1.0), Metric("n", 1)])
        node.publish([joules(1.0, error=0.5 + 1e-12), Metric("n", 2)])
        _, data = read(listener.next())
        assert data.seq == 1
        assert [metric.properties for metric in data.metrics] == [{}, {}]

        node.publish([joules(1.0, source="INA228"), Metric("n", 2)])
        _, data = read(listener.next())
        (energy,) = data.metrics
        assert energy.properties["source"].value == "INA228"
        assert set(energy.properties) == {"kind", "source", "relative_error", "engUnit"}

        node.publish([Metric("energy/decision_joules", 1.0)])
        _, data = read(listener.next())
        (energy,) = data.metrics
        assert {key: entry.value for key, entry in energy.properties.items()} == dict.fromkeys(
            ("kind", "source", "relative_error", "engUnit")
        )


def test_a_new_metric_is_a_new_birth(broker: Broker, listener: Listener) -> None:
    with EdgeNode(broker.url, "plant", "gateway") as node:
        listener.next()
        board = node.device("board")
        board.publish([Metric("a", 1)])
        topic, birth = read(listener.next())
        assert (topic, birth.seq) == ("DBIRTH/gateway/board", 1)

        board.publish([Metric("b", True)])
        topic, birth = read(listener.next())
        assert (topic, birth.seq) == ("DBIRTH/gateway/board", 2)
        assert [(m.name, m.value) for m in birth.metrics] == [("a", 1), ("b", True)]

        node.publish([Metric("state", "awake")])
        births = [read(listener.next()) for _ in range(2)]
        assert [(topic, birth.seq) for topic, birth in births] == [
            ("NBIRTH/gateway", 0),
            ("DBIRTH/gateway/board", 1),
        ]
        # Not a new session: the number must stay that of the Will.
        assert births[0][1].metrics[0].value == 0


def test_seq_goes_from_255_to_0(broker: Broker, listener: Listener) -> None:
    with EdgeNode(broker.url, "plant", "gateway", [Metric("n", 0)]) as node:
        for count in range(1, 300):
            node.publish([Metric("n", count)])
        received = [read(listener.next())[1] for _ in range(300)]
    assert [payload.seq for payload in received] == [count % 256 for count in range(300)]
    times = [payload.metrics[-1].timestamp_ms or 0 for payload in received]
    assert times == sorted(set(times))


def test_no_two_values_have_the_same_time(monkeypatch: pytest.MonkeyPatch) -> None:
    clock_ns = 1_700_000_000_000_000_000
    monkeypatch.setattr("time.time_ns", lambda: clock_ns)
    node = EdgeNode("mqtt://127.0.0.1", "plant", "gateway")
    times = [node._now_ms() for _ in range(5000)]
    assert len(set(times)) == 5000
    clock_ns -= 3_600_000_000_000
    assert node._now_ms() == clock_ns // 1_000_000


def test_a_rebirth_is_answered_without_a_new_connection(broker: Broker, listener: Listener) -> None:
    with EdgeNode(broker.url, "plant", "gateway", [Metric("n", 1)]) as node:
        node.device("board", [Metric("b", 2)])
        node.publish([Metric("n", 3)])
        first = [read(listener.next()) for _ in range(3)]
        for ignored in (b"", b"\xff\xff", rebirth(False)):
            listener.send(NCMD, ignored)
        listener.send(NCMD, rebirth())
        again = [read(listener.next(is_no_command)) for _ in range(2)]
        assert [(topic, birth.seq) for topic, birth in again] == [
            ("NBIRTH/gateway", 0),
            ("DBIRTH/gateway/board", 1),
        ]
        assert again[0][1].metrics[0].value == 0
        uptime = again[0][1].metrics[-1]
        # The value is the current one, and its time the one at which it was taken.
        assert (uptime.value, uptime.timestamp_ms) == (3, first[2][1].metrics[0].timestamp_ms)
        node.publish([Metric("n", 4)])
        assert read(listener.next(is_no_command))[1].seq == 2


def test_a_restarted_broker_sees_the_next_bdseq() -> None:
    port = claim_port("127.0.0.1", 0)
    with Broker(port) as first:
        node = EdgeNode(first.url, "plant", "gateway", [Metric("n", 1)])
        node.__enter__()
        node.device("board", [Metric("b", 1)])
    wait_until(lambda: not node._link.is_connected)
    node.publish([Metric("n", 2)])
    assert node.unsent == 1
    with Broker(port) as second, Listener(second.url, "spBv1.0/#") as listener:
        topic, birth = read(listener.next())
        assert topic == "NBIRTH/gateway"
        # One more CONNECT, whatever the number of attempts that found no broker.
        assert [(m.name, m.value) for m in birth.metrics][::2] == [(BDSEQ, 1), ("n", 2)]
        assert read(listener.next())[0] == "DBIRTH/gateway/board"
        node.__exit__(None, None, None)
        topic, death = read(listener.next())
        assert (topic, death.metrics[0].value) == ("NDEATH/gateway", 1)
    assert node.unsent == 1


def test_a_node_that_is_killed_is_declared_dead_by_the_broker(
    broker: Broker, listener: Listener
) -> None:
    program = (
        "import signal, sys\n"
        "from edge_runtime.node.telemetry import EdgeNode\n"
        "with EdgeNode(sys.argv[1], 'plant', 'gateway'):\n"
        "    print('born', flush=True)\n"
        "    signal.pause()\n"
    )
    command = [sys.executable, "-c", program, broker.url]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"born\n"
        assert read(listener.next())[0] == "NBIRTH/gateway"
        process.kill()
    topic, death = read(listener.next())
    assert (topic, death.metrics[0].value) == ("NDEATH/gateway", 0)


def test_two_nodes_of_one_id_end_in_one_with_a_reason(
    broker: Broker, listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge_runtime.node.mqtt.FIRST_RETRY_S", 0.05)
    nodes = [EdgeNode(broker.url, "plant", "gateway", [Metric("n", 1)]) for _ in range(2)]
    with nodes[0]:
        listener.next()
        with nodes[1]:
            # The old session's death comes before the new birth, so both may have bdSeq 0.
            assert [read(listener.next())[0] for _ in range(2)] == [
                "NDEATH/gateway",
                "NBIRTH/gateway",
            ]
            wait_until(lambda: any(node._link._failure for node in nodes))
            (ended,) = (node for node in nodes if node._link._failure)
            with pytest.raises(LinkError, match="another one seems to have the same id"):
                ended.publish([Metric("n", 2)])


def test_an_absent_broker_is_one_clear_error() -> None:
    port = claim_port("127.0.0.1", 0)
    with pytest.raises(
        LinkError, match=f"no MQTT broker answers on 127.0.0.1 port {port}"
    ) as caught:
        EdgeNode(f"mqtt://127.0.0.1:{port}", "plant", "gateway").__enter__()
    assert "jouleloop monitor" in caught.value.hint


def test_a_host_without_an_address_is_one_clear_error() -> None:
    with pytest.raises(LinkError, match=r"no MQTT broker answers on no\.such\.host\.invalid"):
        EdgeNode("mqtt://no.such.host.invalid", "plant", "gateway").__enter__()


def test_what_is_no_broker_is_one_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge_runtime.node.mqtt.READY_TIMEOUT_S", 0.3)
    # It takes connections and never says a word.
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(LinkError, match=f"port {port} did not answer as an MQTT 5 broker"):
            EdgeNode(f"mqtt://127.0.0.1:{port}", "plant", "gateway").__enter__()


@pytest.mark.parametrize(
    "url",
    [
        "",
        "127.0.0.1:1883",
        "http://127.0.0.1:1883",
        "mqtt://",
        "mqtt://:1883",
        "mqtt://host:0",
        "mqtt://host:99999",
        "mqtt://host:port",
        "mqtt://me:secret@host",
        "mqtt://host/topic",
        "mqtt://[::1",
    ],
)
def test_what_is_no_broker_url_is_refused(url: str) -> None:
    with pytest.raises(InputError, match="is no broker address"):
        parse_broker_url(url)


def test_a_url_comes_back_as_it_was() -> None:
    for url in ("mqtt://host:1", "mqtt://[::1]:1883"):
        assert parse_broker_url(url).url == url
    assert parse_broker_url("mqtt://host/") == BrokerAddress("host", 1883)


@pytest.mark.parametrize(
    ("metric", "what"),
    [
        (lambda: Metric("", 1), "needs a name"),
        (lambda: Metric("x", float("nan")), "is no figure"),
        (lambda: Metric("x", 1.0, relative_error=float("inf")), "is no figure"),
        (lambda: Metric("x", 2**63), "64 bits"),
        (lambda: Metric("x", "\ud800"), "surrogates"),
    ],
)
def test_what_is_no_metric_is_refused(metric: object, what: str) -> None:
    assert callable(metric)
    with pytest.raises(ValueError, match=what):
        metric()


def test_a_device_is_announced_once_and_can_come_back(broker: Broker, listener: Listener) -> None:
    with EdgeNode(broker.url, "plant", "gateway") as node:
        with node.device("board", [Metric("a", 1)]):
            with pytest.raises(InputError, match="already has a device board"):
                node.device("board")
            with pytest.raises(InputError, match="reserves for topics"):
                node.device("a/b")
        node.device("board", [Metric("a", "text")]).close()
        topics = [parse_topic(listener.next().topic).type for _ in range(5)]
    assert topics == ["NBIRTH", "DBIRTH", "DDEATH", "DBIRTH", "DDEATH"]


def test_a_value_keeps_the_type_of_its_birth(broker: Broker) -> None:
    with EdgeNode(broker.url, "plant", "gateway", [Metric("a", 1), Metric("b", 1.5)]) as node:
        node.publish([Metric("b", 2)])
        with pytest.raises(ValueError, match=r"metric a was born as INT64; 1\.5 is none"):
            node.publish([Metric("a", 1.5)])
        with pytest.raises(ValueError, match="born as DOUBLE; True is none"):
            node.publish([Metric("b", True)])


def test_a_bug_in_a_callback_is_raised_where_it_is_seen(broker: Broker) -> None:
    def fail() -> None:
        raise RuntimeError("a bug")

    link = MqttLink(
        broker.url,
        "test",
        subscriptions=["a"],
        make_will=lambda: Message("will", b""),
        on_ready=fail,
        on_message=lambda *_: None,
    )
    with pytest.raises(RuntimeError, match="a bug"):
        link.open()
