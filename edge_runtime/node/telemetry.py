"""A Sparkplug B 3.0 Edge Node: tells a broker what this node and its devices know.

    with EdgeNode("mqtt://127.0.0.1:1883", "plant", "gateway") as node:
        node.publish([Metric("uptime", 12.0, unit="s")])
        board = node.device("board", [Metric("energy/decision_joules", None, unit="J")])
        board.publish([Metric("energy/decision_joules", 2e-6, "modelled", "profile", 0.5, "J")])

Births state names, types, aliases and provenance; data carry an alias and a value, and the
provenance again only when it changed. What has not changed is not sent (report by exception). The
node goes on while the broker is away, and is born again, with its current values, when it is back.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from edge_runtime.node.metric import Metric, changed_properties, datatype_of, wire_value
from edge_runtime.node.mqtt import Message, MqttLink
from edge_runtime.wire.sparkplug import (
    BDSEQ,
    REBIRTH,
    SEQUENCE_MODULUS,
    DataType,
    Payload,
    PayloadMetric,
    decode,
    encode,
)
from edge_runtime.wire.sparkplug_topic import MessageType, Topic, check_id
from jouleloop.errors import InputError, LinkError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from types import TracebackType

LONGEST_LEAD_MS = 60_000

__all__ = ["EdgeDevice", "EdgeNode", "Metric"]


@dataclass
class _Entry:
    """A metric as its last message stated it."""

    metric: Metric
    datatype: DataType
    alias: int
    timestamp_ms: int


class EdgeDevice:
    """A device behind a node; made by `EdgeNode.device`."""

    def __init__(self, node: EdgeNode, device_id: str | None) -> None:
        self._node = node
        self.device_id = device_id
        self.entries: dict[str, _Entry] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def publish(self, metrics: Iterable[Metric]) -> None:
        """Send what has changed: DATA, or a new BIRTH where a metric is new.

        Raises:
            LinkError: another client has this node's id, or the broker refused it.
            ValueError: a value has another type than in its birth.
        """
        self._node.publish_for(self, metrics)

    def close(self) -> None:
        """The device is gone: DDEATH."""
        self._node.forget(self)


class EdgeNode:
    """An Edge Node on a broker, while the context lasts.

    bdSeq counts the CONNECTs of this object from 0 (tck-id-topics-nbirth-bdseq-increment). It need
    not outlive the process: a restarted node has the same client id, so the broker publishes the
    old session's NDEATH before it answers the new CONNECT, and so before the new NBIRTH.

    Args:
        broker_url: `mqtt://HOST:PORT`.
        group: group id.
        node_id: unique in its group.
        metrics: what the first NBIRTH states.

    Raises:
        InputError: an id that may not stand in a topic, or a URL that is no broker's.
    """

    def __init__(
        self, broker_url: str, group: str, node_id: str, metrics: Iterable[Metric] = ()
    ) -> None:
        self.group, self.node_id = check_id("group", group), check_id("node", node_id)
        # Held from the choice of a sequence number until the message is in the connection's queue,
        # so that the order on the wire is the order of the numbers.
        self._lock = threading.RLock()
        self._bdseq = -1
        self._seq = 0
        self._next_alias = 1
        self._last_ms = 0
        self._unsent = 0
        self._is_born = False
        self._devices: dict[str, EdgeDevice] = {}
        self._own = EdgeDevice(self, None)
        self._link = MqttLink(
            broker_url,
            f"jouleloop node {group}/{node_id}",
            subscriptions=[str(Topic(group, MessageType.NODE_COMMAND, node_id))],
            make_will=self._next_session,
            on_ready=self._births,
            on_message=self._command,
            on_lost=self._lost,
        )
        self._learn(self._own, metrics)

    def __enter__(self) -> Self:
        """Connect and be born.

        Raises:
            LinkError: no broker there, or it refused.
        """
        self._link.open()
        return self

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        is_delivered = self._link.close(self._death(), publish_will=True)
        if not is_delivered:
            self._unsent += 1

    @property
    def unsent(self) -> int:
        """Messages that no connection was there for, the last NDEATH included."""
        return self._unsent

    def publish(self, metrics: Iterable[Metric]) -> None:
        """Send what has changed of the node's own metrics; see `EdgeDevice.publish`."""
        self.publish_for(self._own, metrics)

    def device(self, device_id: str, metrics: Iterable[Metric] = ()) -> EdgeDevice:
        """Announce a device behind this node.

        Args:
            device_id: unique on this node.
            metrics: what its DBIRTH states; without any, the first `publish` is its birth.

        Raises:
            InputError: an id that may not stand in a topic, or one that is taken.
        """
        check_id("device", device_id)
        with self._lock:
            if device_id in self._devices:
                raise InputError(f"the node {self.node_id} already has a device {device_id}")
            device = self._devices[device_id] = EdgeDevice(self, device_id)
        first = tuple(metrics)
        if first:
            self.publish_for(device, first)
        return device

    def publish_for(self, sender: EdgeDevice, metrics: Iterable[Metric]) -> None:
        """Send what has changed of the node itself or of one of its devices."""
        self._link.check()
        with self._lock:
            before = {name: entry.metric for name, entry in sender.entries.items()}
            self._learn(sender, metrics)
            changed = [
                entry for name, entry in sender.entries.items() if before.get(name) != entry.metric
            ]
            if not self._is_born:
                # The births of the next connection will carry the values.
                self._unsent += bool(changed)
            elif sender.entries.keys() != before.keys():
                self._births() if sender is self._own else self._birth(sender)
            elif changed:
                self._data(sender, changed, before)

    def forget(self, device: EdgeDevice) -> None:
        """Send a device's DDEATH; nothing where it is already gone or was never born."""
        with self._lock:
            known = self._devices.pop(device.device_id or "", None)
            if known is not None and known.entries and self._is_born:
                self._send(MessageType.DEVICE_DEATH, device, (), state_datatypes=True)

    def _learn(self, sender: EdgeDevice, metrics: Iterable[Metric]) -> None:
        now_ms = self._now_ms()
        for metric in metrics:
            known = sender.entries.get(metric.name)
            if known is None:
                datatype = datatype_of(metric.value)
                sender.entries[metric.name] = _Entry(metric, datatype, self._next_alias, now_ms)
                self._next_alias += 1
            elif known.metric != metric:
                wire_value(metric, known.datatype)
                known.metric, known.timestamp_ms = metric, now_ms

    def _births(self) -> None:
        """NBIRTH, then every device's DBIRTH; the same bdSeq until the next CONNECT."""
        with self._lock:
            self._seq = 0
            self._is_born = True
            now_ms = self._now_ms()
            own = (
                PayloadMetric(BDSEQ, self._bdseq, DataType.INT64, None, now_ms),
                # No alias: tck-id-operational-behavior-data-commands-rebirth-name-aliases.
                PayloadMetric(REBIRTH, False, DataType.BOOLEAN, None, now_ms),
                *_birth_metrics(self._own),
            )
            self._send(MessageType.NODE_BIRTH, self._own, own, state_datatypes=True)
            for device in self._devices.values():
                if device.entries:
                    self._birth(device)

    def _birth(self, device: EdgeDevice) -> None:
        metrics = _birth_metrics(device)
        self._send(MessageType.DEVICE_BIRTH, device, metrics, state_datatypes=True)

    def _data(
        self, sender: EdgeDevice, changed: Iterable[_Entry], before: Mapping[str, Metric]
    ) -> None:
        verb = MessageType.NODE_DATA if sender is self._own else MessageType.DEVICE_DATA
        metrics = tuple(
            PayloadMetric(
                None,
                wire_value(entry.metric, entry.datatype),
                entry.datatype,
                entry.alias,
                entry.timestamp_ms,
                changed_properties(before[entry.metric.name], entry.metric),
            )
            for entry in changed
        )
        self._send(verb, sender, metrics, state_datatypes=False)

    def _send(
        self,
        verb: MessageType,
        sender: EdgeDevice,
        metrics: tuple[PayloadMetric, ...],
        *,
        state_datatypes: bool,
    ) -> None:
        payload = Payload(self._now_ms(), metrics, self._seq)
        topic = Topic(self.group, verb, self.node_id, sender.device_id)
        content = encode(payload, state_datatypes=state_datatypes)
        self._seq = (self._seq + 1) % SEQUENCE_MODULUS
        if not self._link.publish(Message(str(topic), content)):
            self._unsent += 1

    def _next_session(self) -> Message:
        with self._lock:
            self._bdseq = (self._bdseq + 1) % SEQUENCE_MODULUS
            return self._death()

    def _death(self) -> Message:
        metric = PayloadMetric(BDSEQ, self._bdseq, DataType.INT64)
        content = encode(Payload(self._now_ms(), (metric,)), state_datatypes=True)
        return Message(str(Topic(self.group, MessageType.NODE_DEATH, self.node_id)), content, qos=1)

    def _lost(self) -> None:
        with self._lock:
            self._is_born = False

    def _command(self, _topic: str, content: bytes) -> None:
        try:
            asked = decode(content).metric(REBIRTH)
        except LinkError:
            return  # Anyone may write to this topic; what is no command is none.
        # Without a datatype the value is raw, and a boolean is a boolean there too.
        if asked is not None and asked.value is True:
            self._births()

    def _now_ms(self) -> int:
        """UTC; never twice the same, since host applications key values by their time.

        A burst of more than one message a millisecond is dated ahead. A clock that is set back by
        more than that is followed.
        """
        now_ms = time.time_ns() // 1_000_000
        if 0 <= self._last_ms - now_ms < LONGEST_LEAD_MS:
            now_ms = self._last_ms + 1
        self._last_ms = now_ms
        return now_ms


def _birth_metrics(sender: EdgeDevice) -> tuple[PayloadMetric, ...]:
    return tuple(
        PayloadMetric(
            name,
            wire_value(entry.metric, entry.datatype),
            entry.datatype,
            entry.alias,
            entry.timestamp_ms,
            {key: value for key, value in entry.metric.provenance.items() if value is not None},
        )
        for name, entry in sender.entries.items()
    )
