"""What a host application knows of the fleet, and how each Sparkplug message changes it.

No network and no clock in here: `FleetState.receive` takes a topic and its bytes, and says what to
store and whom to ask for a rebirth. Rules: Sparkplug 3.0.0, sections 4 to 6.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from edge_runtime.node.metric import KIND, RELATIVE_ERROR, SOURCE, UNIT
from edge_runtime.wire.sparkplug import (
    BDSEQ,
    SEQUENCE_MODULUS,
    Payload,
    PayloadMetric,
    Property,
    Value,
    decode,
    typed,
)
from edge_runtime.wire.sparkplug_topic import MessageType, Topic, parse_topic
from fleet.store import Reading
from jouleloop.errors import LinkError

if TYPE_CHECKING:
    from collections.abc import Mapping

_T = TypeVar("_T")

# Whoever can publish can invent nodes; memory ends somewhere.
MAX_NODES = 10_000
MAX_METRICS_PER_NODE = 10_000
# Commands of the protocol, not figures.
_CONTROL = "Node Control/"
_LATEST_MS = 2**63 - 1


@dataclass(frozen=True)
class MetricView:
    """A metric as it was last heard of.

    Args:
        name: its name.
        value: None where it is null, or of a type that is not read.
        unit: SI symbol, or None.
        kind: `measured`, `modelled`, ..., or None.
        source: instrument or model, or None.
        relative_error: half the expected interval over the value, or None.
        time_ms: when the value was taken, milliseconds since 1970 UTC.
        device: device id, or None for the node's own.
        stale: its node or device is gone, or has not been born again yet.
    """

    name: str
    value: Value | None
    unit: str | None
    kind: str | None
    source: str | None
    relative_error: float | None
    time_ms: int
    device: str | None
    stale: bool

    def as_record(self) -> dict[str, Any]:
        """The record for JSON; a value that JSON has no number for is null."""
        record: dict[str, Any] = dict(vars(self))
        if isinstance(self.value, float) and not math.isfinite(self.value):
            record["value"] = None
        if self.device is None:
            del record["device"]
        return record


@dataclass(frozen=True)
class NodeView:
    """A node as it was last heard of.

    Args:
        id: Edge Node Descriptor, `group/node`.
        online: it was born and has not died.
        devices: ids of its devices, in the order of their births.
        metrics: its own and its devices'.
    """

    id: str
    online: bool
    devices: tuple[str, ...]
    metrics: tuple[MetricView, ...]

    def as_record(self) -> dict[str, Any]:
        """The record for JSON."""
        return {
            "id": self.id,
            "online": self.online,
            "devices": list(self.devices),
            "metrics": [metric.as_record() for metric in self.metrics],
        }


@dataclass(frozen=True)
class Outcome:
    """What follows from a message.

    Args:
        readings: values to store.
        ask_rebirth_of: the node whose births are missing, or None.
        is_complete: data have followed a birth, so this node or device is known in full.
    """

    readings: tuple[Reading, ...] = ()
    ask_rebirth_of: Topic | None = None
    is_complete: bool = False


@dataclass
class _Metric:
    datatype: int
    alias: int | None
    value: Value | None
    time_ms: int
    properties: Mapping[str, Property]


@dataclass
class _Sender:
    """A node itself, or one of its devices."""

    is_online: bool = False
    metrics: dict[str, _Metric] = field(default_factory=dict)
    names: dict[int, str] = field(default_factory=dict)


@dataclass
class _Node:
    own: _Sender = field(default_factory=_Sender)
    devices: dict[str, _Sender] = field(default_factory=dict)
    bdseq: int | None = None
    next_seq: int | None = None

    def sender(self, device: str | None) -> _Sender | None:
        return self.own if device is None else self.devices.get(device)


class FleetState:
    """Every node and device that was heard of."""

    def __init__(self) -> None:
        self._nodes: dict[str, _Node] = {}

    def receive(self, topic: str, content: bytes, now_ms: int) -> Outcome:
        """Take in a message that anyone may have sent.

        Args:
            topic: its topic.
            content: its bytes.
            now_ms: when it arrived; the time of values that state none.

        Raises:
            LinkError: no Sparkplug message; nothing has changed.
        """
        parsed = parse_topic(topic)
        if parsed.type in (MessageType.NODE_COMMAND, MessageType.DEVICE_COMMAND):
            return Outcome()
        payload = decode(content)
        if parsed.type is MessageType.NODE_BIRTH:
            return self._node_birth(parsed, payload, now_ms)
        node = self._nodes.get(parsed.descriptor)
        if parsed.type is MessageType.NODE_DEATH:
            return self._node_death(node, payload)
        if node is None or not node.own.is_online:
            # Its birth came before we listened, or never.
            return Outcome(ask_rebirth_of=parsed)
        is_in_order = payload.seq == node.next_seq
        if payload.seq is not None:
            node.next_seq = (payload.seq + 1) % SEQUENCE_MODULUS
        outcome = self._in_session(node, parsed, payload, now_ms)
        if is_in_order or outcome.ask_rebirth_of is not None:
            return outcome
        # A message is missing. What came is stored; what was lost comes back with the births.
        return Outcome(outcome.readings, parsed, outcome.is_complete)

    def lose_connection(self) -> None:
        """Nothing is known to be current any more (section 5.3)."""
        for node in self._nodes.values():
            _end(node)

    def view(self) -> tuple[NodeView, ...]:
        """A frozen picture, by node id."""
        return tuple(
            NodeView(
                node_id,
                node.own.is_online,
                tuple(node.devices),
                (
                    *_views(node.own, None),
                    *(
                        view
                        for device_id, device in node.devices.items()
                        for view in _views(device, device_id)
                    ),
                ),
            )
            for node_id, node in sorted(self._nodes.items())
        )

    def _node_birth(self, topic: Topic, payload: Payload, now_ms: int) -> Outcome:
        bdseq = payload.metric(BDSEQ)
        if payload.seq is None or bdseq is None or not isinstance(bdseq.value, int):
            raise LinkError(f"the NBIRTH of {topic.descriptor} lacks its seq or bdSeq")
        born = _born(topic, payload, now_ms)
        node = self._nodes.get(topic.descriptor)
        if node is None:
            if len(self._nodes) >= MAX_NODES:
                raise LinkError(f"more than {MAX_NODES} nodes; {topic.descriptor} is ignored")
            node = self._nodes[topic.descriptor] = _Node()
        _end(node)
        node.own = born
        node.bdseq = bdseq.value
        node.next_seq = (payload.seq + 1) % SEQUENCE_MODULUS
        return Outcome(_readings(topic, born))

    @staticmethod
    def _node_death(node: _Node | None, payload: Payload) -> Outcome:
        bdseq = payload.metric(BDSEQ)
        # The Will of an earlier session may arrive after the next birth; it ends nothing.
        if node is not None and bdseq is not None and bdseq.value == node.bdseq:
            _end(node)
        return Outcome()

    @staticmethod
    def _in_session(node: _Node, topic: Topic, payload: Payload, now_ms: int) -> Outcome:
        if topic.type is MessageType.DEVICE_BIRTH and topic.device is not None:
            born = _born(topic, payload, now_ms)
            others = {id_: device for id_, device in node.devices.items() if id_ != topic.device}
            # A device counts as a metric: an empty one takes room as well.
            room = sum(1 + len(device.metrics) for device in others.values())
            if room + len(node.own.metrics) + len(born.metrics) > MAX_METRICS_PER_NODE:
                raise LinkError(f"{topic.descriptor} has more than {MAX_METRICS_PER_NODE} metrics")
            node.devices[topic.device] = born
            return Outcome(_readings(topic, born))
        sender = node.sender(topic.device)
        if sender is None or not sender.is_online:
            return Outcome(ask_rebirth_of=topic)
        if topic.type is MessageType.DEVICE_DEATH:
            sender.is_online = False
            return Outcome()
        return _data(topic, sender, payload, now_ms)


def _end(node: _Node) -> None:
    node.own.is_online = False
    for device in node.devices.values():
        device.is_online = False


def _born(topic: Topic, payload: Payload, now_ms: int) -> _Sender:
    sender = _Sender(is_online=True)
    for metric in payload.metrics:
        if metric.name is None or metric.datatype is None:
            raise LinkError(
                f"the {topic.type} of {topic.descriptor} has a metric without name or datatype"
            )
        if metric.name == BDSEQ or metric.name.startswith(_CONTROL):
            continue
        sender.metrics[metric.name] = _Metric(
            metric.datatype,
            metric.alias,
            metric.value,
            _time(metric, payload, now_ms),
            metric.properties,
        )
        if metric.alias is not None:
            sender.names[metric.alias] = metric.name
    if len(sender.metrics) > MAX_METRICS_PER_NODE:
        raise LinkError(f"{topic.descriptor} has more than {MAX_METRICS_PER_NODE} metrics")
    return sender


def _data(topic: Topic, sender: _Sender, payload: Payload, now_ms: int) -> Outcome:
    heard: list[tuple[str, _Metric, bool]] = []
    for metric in payload.metrics:
        name = metric.name if metric.name is not None else sender.names.get(metric.alias or 0)
        known = sender.metrics.get(name or "")
        if name is None or known is None:
            continue
        read = metric if metric.datatype is not None else typed(metric, known.datatype)
        current = _Metric(
            known.datatype,
            known.alias,
            read.value,
            _time(metric, payload, now_ms),
            metric.properties or known.properties,
        )
        heard.append((name, current, metric.is_historical))
    # Only now, when every value could be read, does anything change.
    sender.metrics.update({name: current for name, current, is_old in heard if not is_old})
    readings = tuple(
        reading
        for name, current, _ in heard
        for reading in _readings(topic, _Sender(True, {name: current}))
    )
    is_whole = len(heard) == len(payload.metrics)
    return Outcome(readings, None if is_whole else topic, is_whole and bool(heard))


def _time(metric: PayloadMetric, payload: Payload, now_ms: int) -> int:
    stated = metric.timestamp_ms if metric.timestamp_ms is not None else payload.timestamp_ms
    return now_ms if stated is None else min(stated, _LATEST_MS)


def _readings(topic: Topic, sender: _Sender) -> tuple[Reading, ...]:
    readings = []
    for view in _views(sender, topic.device):
        is_number = not isinstance(view.value, float) or not math.isnan(view.value)
        if view.value is not None and is_number:
            readings.append(
                Reading(
                    topic.descriptor,
                    topic.device or "",
                    view.name,
                    view.time_ms,
                    view.value,
                    view.unit,
                    view.kind,
                    view.source,
                    view.relative_error,
                )
            )
    return tuple(readings)


def _views(sender: _Sender, device: str | None) -> tuple[MetricView, ...]:
    return tuple(_view(sender, name, device) for name in sender.metrics)


def _view(sender: _Sender, name: str, device: str | None) -> MetricView:
    metric = sender.metrics[name]
    error = _property(metric, RELATIVE_ERROR, float)
    return MetricView(
        name,
        metric.value,
        _property(metric, UNIT, str),
        _property(metric, KIND, str),
        _property(metric, SOURCE, str),
        error if error is not None and math.isfinite(error) else None,
        metric.time_ms,
        device,
        not sender.is_online,
    )


def _property(metric: _Metric, key: str, wanted: type[_T]) -> _T | None:
    found = metric.properties.get(key)
    return found.value if found is not None and isinstance(found.value, wanted) else None
