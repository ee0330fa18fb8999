import contextlib
import math
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_runtime.wire.sparkplug import (
    BDSEQ,
    MAX_PAYLOAD_BYTES,
    DataType,
    Payload,
    PayloadMetric,
    Property,
    Value,
    decode,
    encode,
    typed,
)
from jouleloop.errors import LinkError

pytestmark = pytest.mark.pure

UINT64 = st.integers(0, 2**64 - 1)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
SINGLE = st.floats(width=32, allow_nan=False)


def _typed_values() -> st.SearchStrategy[tuple[DataType, Value | None]]:
    values: dict[DataType, st.SearchStrategy[Value]] = {
        DataType.INT8: st.integers(-(2**7), 2**7 - 1),
        DataType.INT16: st.integers(-(2**15), 2**15 - 1),
        DataType.INT32: st.integers(-(2**31), 2**31 - 1),
        DataType.INT64: st.integers(-(2**63), 2**63 - 1),
        DataType.UINT8: st.integers(0, 2**8 - 1),
        DataType.UINT16: st.integers(0, 2**16 - 1),
        DataType.UINT32: st.integers(0, 2**32 - 1),
        DataType.UINT64: UINT64,
        DataType.FLOAT: SINGLE,
        DataType.DOUBLE: st.floats(allow_nan=False),
        DataType.BOOLEAN: st.booleans(),
        DataType.STRING: TEXT,
        DataType.DATETIME: UINT64,
        DataType.TEXT: TEXT,
        DataType.UUID: TEXT,
    }
    assert set(values) == set(DataType)
    return st.sampled_from(list(DataType)).flatmap(
        lambda datatype: st.tuples(st.just(datatype), values[datatype] | st.none())
    )


@st.composite
def metrics(draw: st.DrawFn) -> PayloadMetric:
    datatype, value = draw(_typed_values())
    name = draw(TEXT.filter(bool) | st.none())
    properties = draw(
        st.dictionaries(
            TEXT, _typed_values().map(lambda pair: Property(pair[1], pair[0])), max_size=3
        )
    )
    return PayloadMetric(
        name,
        value,
        datatype,
        draw(UINT64) if name is None else draw(UINT64 | st.none()),
        draw(UINT64 | st.none()),
        properties,
        draw(st.booleans()),
    )


payloads = st.builds(
    Payload,
    UINT64 | st.none(),
    st.lists(metrics(), max_size=4).map(tuple),
    st.integers(0, 255) | st.none(),
)


@given(payloads)
def test_a_birth_comes_back_as_it_was_sent(payload: Payload) -> None:
    assert decode(encode(payload, state_datatypes=True)) == payload


@given(payloads)
def test_data_without_datatypes_is_whole_once_the_birth_types_are_known(payload: Payload) -> None:
    received = decode(encode(payload, state_datatypes=False))
    assert all(metric.datatype is None for metric in received.metrics)
    resolved = tuple(
        typed(metric, sent.datatype or 0)
        for metric, sent in zip(received.metrics, payload.metrics, strict=True)
    )
    assert resolved == payload.metrics


def test_not_a_number_survives() -> None:
    sent = Payload(1, (PayloadMetric("x", math.nan, DataType.DOUBLE),), 0)
    value = decode(encode(sent, state_datatypes=True)).metrics[0].value
    assert isinstance(value, float)
    assert math.isnan(value)


def test_the_bytes_are_those_of_the_specification() -> None:
    """Written down by hand from the field numbers of section 6.4.1 and protobuf's encoding.

    A field starts with (number << 3 | wire type): 0 varint, 1 eight bytes, 2 length and bytes.
    """
    bdseq = bytes.fromhex(
        "0a05" + "6264536571"  # name (1) = "bdSeq"
        "18" + "05"  # timestamp (3) = 5
        "20" + "04"  # datatype (4) = Int64
        "58" + "07"  # long_value (11) = 7
    )
    source = bytes.fromhex("080c" + "4205" + "6d6f64656c")  # type 12, string_value (8) = "model"
    properties = bytes.fromhex("0a06" + "736f75726365") + bytes([0x12, len(source)]) + source
    joules = (
        bytes.fromhex("0a01" + "4a" + "1003" + "1806" + "200a")  # "J", alias 3, time 6, Double
        + bytes([0x4A, len(properties)])  # properties (9)
        + properties
        + bytes([0x69])  # double_value (13)
        + struct.pack("<d", 0.5)
    )
    golden = (
        bytes.fromhex("08ac02")  # timestamp (1) = 300 = 0b10_0101100
        + bytes([0x12, len(bdseq)])
        + bdseq
        + bytes([0x12, len(joules)])
        + joules
        + bytes.fromhex("1800")  # seq (3) = 0
    )
    payload = Payload(
        300,
        (
            PayloadMetric(BDSEQ, 7, DataType.INT64, None, 5),
            PayloadMetric(
                "J",
                0.5,
                DataType.DOUBLE,
                3,
                6,
                {"source": Property("model", DataType.STRING)},
            ),
        ),
        0,
    )
    assert encode(payload, state_datatypes=True) == golden
    assert decode(golden) == payload


def test_a_negative_int32_is_two_s_complement_of_its_field() -> None:
    content = encode(Payload(None, (PayloadMetric("x", -1, DataType.INT32),)), state_datatypes=True)
    # int_value (10) as a varint of 2^32 - 1.
    assert bytes.fromhex("50ffffffff0f") in content


@pytest.mark.parametrize("raw", [0xF8, 0xFFFFFFF8, 2**64 - 8])
def test_each_way_to_write_a_negative_int8_is_read(raw: int) -> None:
    assert typed(PayloadMetric("x", raw), DataType.INT8).value == -8


@pytest.mark.parametrize(
    ("datatype", "value"),
    [
        (DataType.INT8, 128),
        (DataType.UINT8, -1),
        (DataType.UINT64, 2**64),
        (DataType.INT64, True),
        (DataType.BOOLEAN, 1),
        (DataType.DOUBLE, 1),
        (DataType.STRING, 1.0),
        (16, "a data set"),
    ],
)
def test_a_value_outside_its_type_is_not_sent(datatype: int, value: object) -> None:
    metric = PayloadMetric("x", value, datatype)  # type: ignore[arg-type]  # the wrong type is the case
    with pytest.raises(ValueError, match=r"is no|has not"):
        encode(Payload(None, (metric,)), state_datatypes=True)


@pytest.mark.parametrize(
    ("raw", "datatype"),
    [
        (256, DataType.UINT8),
        (0x180, DataType.INT8),
        (True, DataType.INT32),
        (1, DataType.BOOLEAN),
        (1, DataType.DOUBLE),
        ("1", DataType.INT32),
        (1.5, DataType.STRING),
    ],
)
def test_a_value_that_is_not_of_its_birth_type_is_refused(raw: object, datatype: DataType) -> None:
    metric = PayloadMetric("power", raw)  # type: ignore[arg-type]  # the wrong type is the case
    with pytest.raises(LinkError, match=f"power: the value .* is no {datatype.name}"):
        typed(metric, datatype)


@given(st.binary(max_size=200))
def test_arbitrary_bytes_are_read_or_refused(content: bytes) -> None:
    with contextlib.suppress(LinkError):
        assert isinstance(decode(content), Payload)


@given(payloads, st.data())
def test_damaged_payloads_are_read_or_refused(payload: Payload, data: st.DataObject) -> None:
    content = bytearray(encode(payload, state_datatypes=True))
    if content:
        content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    with contextlib.suppress(LinkError):
        decode(bytes(content[: data.draw(st.integers(0, len(content)))]))


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"\x12\x04\x0a\x02\xff\xfe", "not UTF-8"),
        (b"\x12\x02\x20\x0a", "neither name nor alias"),
        (b"\x18\x80\x02", "seq 256"),
        (b"\x12\x07\x0a\x01x\x4a\x02\x0a\x00", "1 property keys for 0 values"),
        (b"\xff" * 20, "no Sparkplug B payload"),
        (b"\x08", "no Sparkplug B payload"),
        (b"\0" * (MAX_PAYLOAD_BYTES + 1), "at most"),
    ],
)
def test_a_hostile_payload_is_one_clear_error(content: bytes, what: str) -> None:
    with pytest.raises(LinkError, match=what):
        decode(content)


def test_nesting_without_end_does_no_harm() -> None:
    value = b""
    for _ in range(2000):
        inner = b"\x0a\x01k\x12" + _varint(len(value)) + value
        value = b"\x08\x14\x4a" + _varint(len(inner)) + inner  # type 20, propertyset_value (9)
    properties = b"\x0a\x01k\x12" + _varint(len(value)) + value
    metric = b"\x0a\x01x\x4a" + _varint(len(properties)) + properties
    payload = decode(b"\x12" + _varint(len(metric)) + metric)
    assert payload.metrics[0].properties == {"k": Property(None, DataType.STRING)}


def _varint(number: int) -> bytes:
    content = bytearray()
    while number > 0x7F:
        content.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*content, number])


def test_a_type_that_is_not_read_keeps_its_number() -> None:
    # A DataSet (datatype 16, dataset_value 17) behind a value that is read.
    dataset = b"\x0a\x01d\x20\x10\x8a\x01\x02\x08\x01"
    number = b"\x0a\x01a\x20\x03\x50\x01"
    content = b"".join(b"\x12" + bytes([len(metric)]) + metric for metric in (number, dataset))
    first, second = decode(content).metrics
    assert first.value == 1
    assert (second.value, second.datatype) == (None, 16)
