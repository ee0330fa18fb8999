"""Sparkplug B 3.0 payloads: what travels in a birth, a data, a death and a command message.

`encode` and `decode` turn a frozen `Payload` into bytes and back. A DATA message may leave out a
metric's name and datatype, which its BIRTH has stated: `decode` then gives the raw wire value, and
`typed` makes it the value that the BIRTH's datatype means.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import IntEnum
from typing import TYPE_CHECKING, Any

from google.protobuf.message import DecodeError

from edge_runtime.wire.sparkplug_schema import new_payload
from jouleloop.errors import LinkError

if TYPE_CHECKING:
    from collections.abc import Mapping

# Every payload of a node fits easily; one that does not is no payload of ours.
MAX_PAYLOAD_BYTES = 2**20
# seq and bdSeq count 0..255 and start again (Sparkplug 3.0.0, sections 5.4 and 6.4.4).
SEQUENCE_MODULUS = 256

REBIRTH = "Node Control/Rebirth"
BDSEQ = "bdSeq"

Value = int | float | bool | str


class DataType(IntEnum):
    """Sparkplug's numbers of types (section 6.4.16): those whose values jouleloop reads."""

    INT8 = 1
    INT16 = 2
    INT32 = 3
    INT64 = 4
    UINT8 = 5
    UINT16 = 6
    UINT32 = 7
    UINT64 = 8
    FLOAT = 9
    DOUBLE = 10
    BOOLEAN = 11
    STRING = 12
    DATETIME = 13  # milliseconds since 1970, UTC
    TEXT = 14
    UUID = 15


# datatype -> (bits, signed)
_INTEGERS = {
    DataType.INT8: (8, True),
    DataType.INT16: (16, True),
    DataType.INT32: (32, True),
    DataType.INT64: (64, True),
    DataType.UINT8: (8, False),
    DataType.UINT16: (16, False),
    DataType.UINT32: (32, False),
    DataType.UINT64: (64, False),
    DataType.DATETIME: (64, False),
}
_READABLE = frozenset(DataType)
_TEXTS = (DataType.STRING, DataType.TEXT, DataType.UUID)
# What a property without a type is, by the field that holds it: DATA may leave the type out.
_IMPLIED = {
    "int_value": DataType.INT32,
    "long_value": DataType.INT64,
    "float_value": DataType.FLOAT,
    "double_value": DataType.DOUBLE,
    "boolean_value": DataType.BOOLEAN,
    "string_value": DataType.STRING,
}


@dataclass(frozen=True)
class Property:
    """A property of a metric: a value with its type; None is Sparkplug's null."""

    value: Value | None
    datatype: DataType


@dataclass(frozen=True)
class PayloadMetric:
    """One metric of a payload.

    Args:
        name: its name; None where DATA carries the alias alone.
        value: its value; None is null, or a value of a type that jouleloop does not read.
        datatype: number of its type, maybe one that `DataType` lacks; None where DATA leaves it
            out, and `value` is then the raw value of the wire.
        alias: 0..2^64 - 1, or None.
        timestamp_ms: when the value was taken, milliseconds since 1970 UTC, or None.
        properties: its PropertySet.
        is_historical: the value is a replay, not the current one.
    """

    name: str | None
    value: Value | None
    datatype: int | None = None
    alias: int | None = None
    timestamp_ms: int | None = None
    properties: Mapping[str, Property] = field(default_factory=dict)
    is_historical: bool = False


@dataclass(frozen=True)
class Payload:
    """A Sparkplug B payload.

    Args:
        timestamp_ms: when it was sent, milliseconds since 1970 UTC, or None.
        metrics: its metrics, in order.
        seq: 0..255, or None in a death or command.
    """

    timestamp_ms: int | None
    metrics: tuple[PayloadMetric, ...] = ()
    seq: int | None = None

    def metric(self, name: str) -> PayloadMetric | None:
        """The first metric of that name, or None."""
        return next((metric for metric in self.metrics if metric.name == name), None)


def encode(payload: Payload, *, state_datatypes: bool) -> bytes:
    """The bytes of a payload.

    Args:
        payload: every metric with its datatype.
        state_datatypes: write the datatypes, as a BIRTH must and a DATA should not
            (tck-id-payloads-metric-datatype-not-req).

    Raises:
        ValueError: a value does not fit its datatype, or a metric has neither name nor alias.
    """
    message = new_payload()
    if payload.timestamp_ms is not None:
        message.timestamp = payload.timestamp_ms
    if payload.seq is not None:
        message.seq = payload.seq
    for metric in payload.metrics:
        if metric.name is None and metric.alias is None:
            raise ValueError("a metric needs a name or an alias")
        if metric.datatype is None:
            raise ValueError(f"{metric.name or metric.alias}: no datatype")
        wire = message.metrics.add()
        if metric.name is not None:
            wire.name = metric.name
        if metric.alias is not None:
            wire.alias = metric.alias
        if metric.timestamp_ms is not None:
            wire.timestamp = metric.timestamp_ms
        if state_datatypes:
            wire.datatype = metric.datatype
        if metric.is_historical:
            wire.is_historical = True
        _write_value(wire, metric.value, metric.datatype)
        for key, entry in metric.properties.items():
            wire.properties.keys.append(key)
            value = wire.properties.values.add()
            value.type = entry.datatype
            _write_value(value, entry.value, entry.datatype)
    return bytes(message.SerializeToString())


def _write_value(wire: Any, value: Value | None, datatype: int) -> None:
    if value is None:
        wire.is_null = True
        return
    if datatype in _INTEGERS:
        bits, signed = _INTEGERS[DataType(datatype)]
        low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1)) if signed else (0, 2**bits)
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value < high:
            raise ValueError(f"{value!r} is no {DataType(datatype).name}")
        # Negative numbers travel as two's complement of the whole field, as Tahu writes them.
        if bits == 64:
            wire.long_value = value % 2**64
        else:
            wire.int_value = value % 2**32
    elif datatype == DataType.BOOLEAN and isinstance(value, bool):
        wire.boolean_value = value
    elif datatype in _TEXTS and isinstance(value, str):
        wire.string_value = value
    elif datatype == DataType.DOUBLE and isinstance(value, float):
        wire.double_value = value
    elif datatype == DataType.FLOAT and isinstance(value, float):
        wire.float_value = value
    else:
        raise ValueError(f"{value!r} has not the datatype {datatype}")


def decode(content: bytes) -> Payload:
    """Read a payload that anyone may have sent.

    Args:
        content: the bytes of an MQTT message.

    Returns:
        The payload; metrics of types that jouleloop does not read have the value None.

    Raises:
        LinkError: not a Sparkplug B payload.
    """
    if len(content) > MAX_PAYLOAD_BYTES:
        raise LinkError(
            f"a Sparkplug payload of {len(content)} bytes; at most {MAX_PAYLOAD_BYTES} are read"
        )
    message = new_payload()
    try:
        message.ParseFromString(content)
    except DecodeError as error:
        raise LinkError(f"{len(content)} bytes that are no Sparkplug B payload: {error}") from error
    seq = message.seq if message.HasField("seq") else None
    if seq is not None and seq >= SEQUENCE_MODULUS:
        raise LinkError(f"a Sparkplug payload with seq {seq}; it counts 0 to 255")
    timestamp_ms = message.timestamp if message.HasField("timestamp") else None
    return Payload(timestamp_ms, tuple(map(_read_metric, message.metrics)), seq)


def _read_metric(wire: Any) -> PayloadMetric:
    name = _text(wire.name) if wire.HasField("name") else None
    alias = wire.alias if wire.HasField("alias") else None
    if not name and alias is None:
        raise LinkError("a Sparkplug metric with neither name nor alias")
    properties = wire.properties
    if len(properties.keys) != len(properties.values):
        raise LinkError(
            f"metric {name or alias} has {len(properties.keys)} property keys for "
            f"{len(properties.values)} values"
        )
    metric = PayloadMetric(
        name,
        _raw_value(wire),
        None,
        alias,
        wire.timestamp if wire.HasField("timestamp") else None,
        {
            _text(key): _read_property(value)
            for key, value in zip(properties.keys, properties.values, strict=True)
        },
        bool(wire.is_historical),
    )
    return typed(metric, wire.datatype) if wire.HasField("datatype") else metric


def _raw_value(wire: Any) -> Value | None:
    held = wire.WhichOneof("value")
    if held is None or wire.is_null:
        return None
    value: Value = getattr(wire, held)
    return _text(value) if held == "string_value" else value


def _text(value: Any) -> str:
    # protobuf hands over a proto2 string that is not UTF-8 as bytes.
    if not isinstance(value, str):
        raise LinkError(f"a Sparkplug payload with text that is not UTF-8: {bytes(value)[:40]!r}")
    return value


def _read_property(wire: Any) -> Property:
    held = wire.WhichOneof("value")
    number = wire.type if wire.HasField("type") else _IMPLIED.get(held, DataType.STRING)
    if number not in _READABLE:
        # A nested PropertySet, say: its key stays, its value is not read.
        return Property(None, DataType.STRING)
    return Property(_interpret(_raw_value(wire), number), DataType(number))


def typed(metric: PayloadMetric, datatype: int) -> PayloadMetric:
    """The metric with its raw wire value read as a type.

    Args:
        metric: a metric without a datatype.
        datatype: number of the type that its BIRTH stated.

    Raises:
        LinkError: the value cannot be of this type.
    """
    try:
        value = _interpret(metric.value, datatype)
    except LinkError as error:
        raise LinkError(f"metric {metric.name or metric.alias}: {error.message}") from error
    return replace(metric, value=value, datatype=datatype)


def _interpret(raw: Value | None, datatype: int) -> Value | None:
    if raw is None or datatype not in _READABLE:
        return None
    wanted = DataType(datatype)
    if wanted in _INTEGERS and isinstance(raw, int) and not isinstance(raw, bool):
        return _integer(raw, wanted)
    is_number = isinstance(raw, float)
    if (
        (wanted is DataType.BOOLEAN and isinstance(raw, bool))
        or (wanted in _TEXTS and isinstance(raw, str))
        or (wanted in (DataType.FLOAT, DataType.DOUBLE) and is_number)
    ):
        return raw
    raise LinkError(f"the value {raw!r} is no {wanted.name}")


def _integer(raw: int, datatype: DataType) -> int:
    """An unsigned wire number as the integer that it means.

    Stacks differ in how they write a negative Int8 or Int16: extended to the field's 32 bits, or
    in its own bits alone. Both are read.
    """
    bits, signed = _INTEGERS[datatype]
    if not signed:
        if raw >= 2**bits:
            raise LinkError(f"the value {raw} is no {datatype.name}")
        return raw
    for width in (bits, 32, 64):
        value = raw - 2**width if raw >= 2 ** (width - 1) else raw
        if width >= bits and raw < 2**width and -(2 ** (bits - 1)) <= value < 2 ** (bits - 1):
            return value
    raise LinkError(f"the value {raw} is no {datatype.name}")
