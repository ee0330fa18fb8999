import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_runtime.wire.sparkplug_topic import MessageType, Topic, check_id, parse_topic, state_topic
from jouleloop.errors import InputError, LinkError

pytestmark = pytest.mark.pure

IDS = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="+/#\0"), min_size=1, max_size=40
)


@given(IDS, st.sampled_from(MessageType), IDS, IDS)
def test_a_topic_comes_back_as_it_was_made(
    group: str, verb: MessageType, node: str, device: str
) -> None:
    topic = Topic(group, verb, node, device if verb.startswith("D") else None)
    assert parse_topic(str(topic)) == topic


def test_topics_are_those_of_the_specification() -> None:
    assert str(Topic("G", MessageType.NODE_BIRTH, "N")) == "spBv1.0/G/NBIRTH/N"
    assert str(Topic("G", MessageType.DEVICE_DEATH, "N", "D")) == "spBv1.0/G/DDEATH/N/D"
    assert state_topic("scada") == "spBv1.0/STATE/scada"


@pytest.mark.parametrize("bad", ["a+b", "a/b", "#", "", "a\0b", "x" * 257, "\ud800"])
@pytest.mark.parametrize("what", ["group", "node", "device", "host"])
def test_an_id_that_cannot_stand_in_a_topic_is_refused(what: str, bad: str) -> None:
    with pytest.raises(InputError, match=f"the {what} id"):
        check_id(what, bad)


def test_a_device_stands_in_device_topics_alone() -> None:
    with pytest.raises(InputError, match="DDATA goes with a device id"):
        Topic("G", MessageType.DEVICE_DATA, "N")
    with pytest.raises(InputError, match="NDATA goes without a device id"):
        Topic("G", MessageType.NODE_DATA, "N", "D")


@pytest.mark.parametrize(
    "topic",
    [
        "",
        "spBv1.0",
        "spBv1.0/STATE/host",
        "spBv1.0/G/NDATA",
        "spBv1.0/G/NDATA/N/D",
        "spBv1.0/G/DDATA/N",
        "spBv1.0/G/DDATA/N/D/E",
        "spBv1.0/G/DDATA//D",
        "spAv1.0/G/NDATA/N",
        "spBv1.0/G/ndata/N",
    ],
)
def test_other_topics_are_refused(topic: str) -> None:
    with pytest.raises(LinkError, match="is no Sparkplug B topic"):
        parse_topic(topic)


@given(st.text(max_size=60))
def test_any_topic_is_read_or_refused(topic: str) -> None:
    with contextlib.suppress(LinkError):
        assert str(parse_topic(topic)) == topic
