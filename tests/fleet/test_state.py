import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

import fleet.state
from edge_runtime.wire.sparkplug import BDSEQ, DataType, Payload, PayloadMetric, Property, encode
from edge_runtime.wire.sparkplug_topic import MessageType, Topic
from fleet.state import FleetState, NodeView, Outcome
from fleet.store import Reading
from jouleloop.errors import LinkError

pytestmark = pytest.mark.pure

NODE = "plant/gateway"
PROVENANCE = {
    "kind": Property("modelled", DataType.STRING),
    "source": Property("profile", DataType.STRING),
    "relative_error": Property(0.5, DataType.DOUBLE),
    "engUnit": Property("J", DataType.STRING),
}


class Fleet(FleetState):
    """Speaks for a node."""

    def hear(
        self,
        verb: MessageType,
        *metrics: PayloadMetric,
        seq: int | None = None,
        device: str | None = None,
        node: str = "gateway",
    ) -> Outcome:
        content = encode(
            Payload(1000, metrics, seq), state_datatypes=verb not in (NODE_DATA, DEVICE_DATA)
        )
        return self.receive(str(Topic("plant", verb, node, device)), content, 5000)

    def node(self) -> NodeView:
        (node,) = self.view()
        return node

    def stale(self) -> dict[str, bool]:
        return {metric.name: metric.stale for metric in self.node().metrics}


NODE_BIRTH, NODE_DATA, NODE_DEATH = (
    MessageType.NODE_BIRTH,
    MessageType.NODE_DATA,
    MessageType.NODE_DEATH,
)
DEVICE_BIRTH, DEVICE_DATA, DEVICE_DEATH = (
    MessageType.DEVICE_BIRTH,
    MessageType.DEVICE_DATA,
    MessageType.DEVICE_DEATH,
)


def bdseq(value: int = 0) -> PayloadMetric:
    return PayloadMetric(BDSEQ, value, DataType.INT64)


def joules(value: float | None, *, birth: bool = False, time_ms: int = 2000) -> PayloadMetric:
    if birth:
        return PayloadMetric("joules", value, DataType.DOUBLE, 7, time_ms, PROVENANCE)
    return PayloadMetric(None, value, DataType.DOUBLE, 7, time_ms)


@pytest.fixture
def born() -> Fleet:
    state = Fleet()
    state.hear(NODE_BIRTH, bdseq(), PayloadMetric("up", 1, DataType.INT64, 1), seq=0)
    state.hear(DEVICE_BIRTH, joules(None, birth=True), seq=1, device="board")
    return state


def test_data_get_name_type_and_provenance_from_the_birth(born: Fleet) -> None:
    outcome = born.hear(DEVICE_DATA, joules(2e-6), seq=2, device="board")
    assert outcome == Outcome(
        (Reading(NODE, "board", "joules", 2000, 2e-6, "J", "modelled", "profile", 0.5),),
        None,
        True,
    )
    assert json.loads(json.dumps(born.node().as_record())) == {
        "id": NODE,
        "online": True,
        "devices": ["board"],
        "metrics": [
            {
                "name": "up",
                "value": 1,
                "unit": None,
                "kind": None,
                "source": None,
                "relative_error": None,
                "time_ms": 1000,
                "stale": False,
            },
            {
                "name": "joules",
                "value": 2e-6,
                "unit": "J",
                "kind": "modelled",
                "source": "profile",
                "relative_error": 0.5,
                "time_ms": 2000,
                "device": "board",
                "stale": False,
            },
        ],
    }


def test_a_birth_s_values_are_stored_and_its_nulls_are_not() -> None:
    state = Fleet()
    outcome = state.hear(
        NODE_BIRTH,
        bdseq(),
        PayloadMetric("Node Control/Rebirth", False, DataType.BOOLEAN),
        PayloadMetric("n", 3, DataType.INT64),
        PayloadMetric("unknown", None, DataType.DOUBLE),
        PayloadMetric("nan", math.nan, DataType.DOUBLE),
        seq=0,
    )
    assert outcome == Outcome((Reading(NODE, "", "n", 1000, 3),))
    names = [metric["name"] for metric in born_record(state)]
    assert names == ["n", "unknown", "nan"]
    assert [metric["value"] for metric in born_record(state)] == [3, None, None]


def born_record(state: Fleet) -> list[dict[str, object]]:
    metrics: list[dict[str, object]] = state.node().as_record()["metrics"]
    return metrics


def test_provenance_in_data_replaces_that_of_the_birth(born: Fleet) -> None:
    measured = PayloadMetric(
        None,
        3e-6,
        DataType.DOUBLE,
        7,
        3000,
        {"kind": Property("measured", DataType.STRING), "source": Property(None, DataType.STRING)},
    )
    born.hear(DEVICE_DATA, measured, seq=2, device="board")
    metric = born.node().metrics[1]
    assert (metric.kind, metric.source, metric.relative_error) == ("measured", None, None)


def test_data_of_whom_no_birth_was_heard_ask_for_it(born: Fleet) -> None:
    for outcome in (
        Fleet().hear(NODE_DATA, joules(1.0), seq=4),
        Fleet().hear(DEVICE_BIRTH, joules(1.0, birth=True), seq=4, device="board"),
        born.hear(DEVICE_DATA, joules(1.0), seq=2, device="another"),
    ):
        assert outcome.readings == ()
        assert not outcome.is_complete
        assert outcome.ask_rebirth_of is not None
        assert outcome.ask_rebirth_of.descriptor == NODE


def test_an_unknown_alias_asks_for_a_rebirth_and_the_others_are_kept(born: Fleet) -> None:
    stranger = PayloadMetric(None, 1, DataType.INT64, 99)
    outcome = born.hear(DEVICE_DATA, joules(1.0), stranger, seq=2, device="board")
    assert [reading.metric for reading in outcome.readings] == ["joules"]
    assert outcome.ask_rebirth_of is not None
    assert not outcome.is_complete


def test_a_missing_message_asks_for_a_rebirth_once(born: Fleet) -> None:
    first = born.hear(DEVICE_DATA, joules(1.0), seq=3, device="board")
    assert len(first.readings) == 1
    assert first.ask_rebirth_of is not None
    assert born.hear(DEVICE_DATA, joules(2.0), seq=4, device="board").ask_rebirth_of is None


def test_seq_goes_round_from_255_to_0(born: Fleet) -> None:
    for seq in (*range(2, 256), 0, 1):
        outcome = born.hear(DEVICE_DATA, joules(float(seq)), seq=seq, device="board")
        assert outcome.ask_rebirth_of is None


def test_a_death_makes_stale_what_it_names(born: Fleet) -> None:
    assert born.stale() == {"up": False, "joules": False}
    born.hear(DEVICE_DEATH, seq=2, device="board")
    assert born.stale() == {"up": False, "joules": True}
    assert born.hear(DEVICE_DATA, joules(1.0), seq=3, device="board").ask_rebirth_of is not None
    born.hear(DEVICE_BIRTH, joules(1.0, birth=True), seq=4, device="board")
    assert born.stale() == {"up": False, "joules": False}
    born.hear(NODE_DEATH, bdseq())
    assert born.stale() == {"up": True, "joules": True}
    assert not born.node().online


def test_a_late_death_of_an_earlier_session_ends_nothing(born: Fleet) -> None:
    born.hear(NODE_BIRTH, bdseq(1), PayloadMetric("up", 2, DataType.INT64, 1), seq=0)
    # The devices are stale until they are born again, in this session.
    assert born.stale() == {"up": False, "joules": True}
    born.hear(NODE_DEATH, bdseq(0))
    assert born.node().online
    born.hear(NODE_DEATH)
    assert born.node().online
    born.hear(NODE_DEATH, bdseq(1))
    assert not born.node().online


def test_without_a_connection_nothing_is_current(born: Fleet) -> None:
    born.lose_connection()
    assert born.stale() == {"up": True, "joules": True}


def test_a_replay_is_stored_and_does_not_show_as_current(born: Fleet) -> None:
    old = PayloadMetric(None, 9.0, DataType.DOUBLE, 7, 1, is_historical=True)
    outcome = born.hear(DEVICE_DATA, old, seq=2, device="board")
    assert outcome.readings[0].time_ms == 1
    assert born.node().metrics[1].value is None


def test_a_time_beyond_every_clock_is_cut(born: Fleet) -> None:
    late = PayloadMetric(None, 9.0, DataType.DOUBLE, 7, 2**64 - 1)
    outcome = born.hear(DEVICE_DATA, late, seq=2, device="board")
    assert outcome.readings[0].time_ms == 2**63 - 1


def test_a_value_without_any_time_has_that_of_its_arrival() -> None:
    state = Fleet()
    metrics = (bdseq(), PayloadMetric("n", 1, DataType.INT64))
    content = encode(Payload(None, metrics, 0), state_datatypes=True)
    outcome = state.receive("spBv1.0/plant/NBIRTH/gateway", content, 5000)
    assert outcome.readings[0].time_ms == 5000


@pytest.mark.parametrize(
    ("verb", "metrics", "seq", "what"),
    [
        (NODE_BIRTH, (bdseq(),), None, "lacks its seq or bdSeq"),
        (NODE_BIRTH, (), 0, "lacks its seq or bdSeq"),
        (NODE_BIRTH, (bdseq(), PayloadMetric(None, 1, 4, 3)), 0, "without name or datatype"),
    ],
)
def test_a_birth_that_is_none_changes_nothing(
    born: Fleet, verb: MessageType, metrics: tuple[PayloadMetric, ...], seq: int | None, what: str
) -> None:
    before = born.view()
    with pytest.raises(LinkError, match=what):
        born.hear(verb, *metrics, seq=seq)
    assert born.view() == before


def test_data_of_another_type_change_nothing(born: Fleet) -> None:
    before = born.view()
    text = PayloadMetric(None, "much", DataType.STRING, 7)
    with pytest.raises(LinkError, match="is no DOUBLE"):
        born.hear(DEVICE_DATA, joules(1.0), text, seq=2, device="board")
    assert born.view() == before


def test_commands_of_others_are_none_of_our_business(born: Fleet) -> None:
    assert born.receive("spBv1.0/plant/NCMD/gateway", b"\xff", 0) == Outcome()


def test_invented_nodes_and_devices_do_not_fill_the_memory(
    monkeypatch: pytest.MonkeyPatch, born: Fleet
) -> None:
    monkeypatch.setattr(fleet.state, "MAX_NODES", 2)
    monkeypatch.setattr(fleet.state, "MAX_METRICS_PER_NODE", 5)
    born.hear(NODE_BIRTH, bdseq(), seq=0, node="second")
    with pytest.raises(LinkError, match="more than 2 nodes"):
        born.hear(NODE_BIRTH, bdseq(), seq=0, node="third")
    for seq in (2, 3):
        born.hear(DEVICE_BIRTH, seq=seq, device=f"empty{seq}")
    with pytest.raises(LinkError, match="more than 5 metrics"):
        born.hear(DEVICE_BIRTH, joules(1.0, birth=True), seq=4, device="empty4")
    born.hear(DEVICE_BIRTH, joules(1.0, birth=True), seq=5, device="board")


@given(
    st.lists(
        st.tuples(
            st.sampled_from(
                [f"spBv1.0/g/{verb}/n{'/d' * verb.startswith('D')}" for verb in MessageType]
            )
            | st.text(max_size=30),
            st.binary(max_size=60),
        ),
        max_size=5,
    )
)
def test_whatever_arrives_is_taken_in_or_refused(messages: list[tuple[str, bytes]]) -> None:
    state = FleetState()
    for topic, content in messages:
        try:
            state.receive(topic, content, 1)
        except LinkError:
            continue
    json.dumps([node.as_record() for node in state.view()], allow_nan=False)
