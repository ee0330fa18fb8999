"""The monitor: a Sparkplug 3.0 host application that stores what the fleet reports."""

from __future__ import annotations

import json
import queue
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from edge_runtime.node.mqtt import Message, MqttLink
from edge_runtime.wire.sparkplug import REBIRTH, DataType, Payload, PayloadMetric, encode
from edge_runtime.wire.sparkplug_topic import NAMESPACE, MessageType, Topic, state_topic
from fleet.state import MAX_NODES, FleetState, NodeView
from jouleloop.errors import LinkError

if TYPE_CHECKING:
    from types import TracebackType

    from fleet.store import Reading, Store

BATCH_ROWS = 1000
# Messages that wait for the disk; beyond them the connection waits too, and the broker queues.
WAITING_MESSAGES = 10_000
ASK_AGAIN_S = 5.0
ECHO_TIMEOUT_S = 10.0
STATE_PREFIX = f"{NAMESPACE}/STATE/"


@dataclass(frozen=True)
class Snapshot:
    """The fleet at one moment.

    Args:
        broker: its URL.
        is_connected: whether the broker is there now.
        nodes: by id.
        rows_stored: rows that this monitor has added to its database.
        rejected: messages that were no Sparkplug messages.
        last_rejection: why the last of them was none; empty without any.
    """

    broker: str
    is_connected: bool
    nodes: tuple[NodeView, ...]
    rows_stored: int
    rejected: int
    last_rejection: str

    def as_record(self) -> dict[str, Any]:
        """The record for JSON."""
        return {
            "broker": self.broker,
            "nodes": [node.as_record() for node in self.nodes],
            "rows_stored": self.rows_stored,
            "rejected": self.rejected,
        }


class Monitor:
    """Listens on a broker and stores every reading, while the context lasts.

    Args:
        broker_url: `mqtt://HOST:PORT`.
        store: where readings go; it must stay open as long.
        host_id: this application's name among all host applications of the broker.

    Raises:
        InputError: an id that may not stand in a topic, or a URL that is no broker's.
    """

    def __init__(self, broker_url: str, store: Store, host_id: str = "jouleloop") -> None:
        self._store = store
        self._state_topic = state_topic(host_id)
        self._lock = threading.Lock()
        self._state = FleetState()
        self._connected_ms = 0
        self._is_leaving = False
        self._asked: dict[str, float] = {}
        self._rejected = 0
        self._last_rejection = ""
        self._complete = threading.Event()
        self._echo = threading.Event()
        self._rows: queue.Queue[tuple[Reading, ...] | None] = queue.Queue(WAITING_MESSAGES)
        self._rows_stored = 0
        self._store_failure: Exception | None = None
        self._writer = threading.Thread(target=self._write, name="monitor-writer")
        self._link = MqttLink(
            broker_url,
            f"jouleloop host {host_id}",
            subscriptions=[f"{NAMESPACE}/#"],
            make_will=self._will,
            on_ready=self._announce,
            on_message=self._receive,
            on_lost=self._lost,
        )

    def __enter__(self) -> Self:
        """Connect and listen.

        Raises:
            LinkError: no broker there, or it refused.
        """
        self._link.open()
        self._writer.start()
        return self

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        # Our own farewell comes back to us; it is not to be contradicted.
        self._is_leaving = True
        self._link.close(self._presence(is_online=False, timestamp_ms=_now_ms()))
        self._rows.put(None)
        self._writer.join()
        if error is None:
            self.check()

    def check(self) -> None:
        """Raise what keeps this monitor from working.

        Raises:
            MachineError: the database cannot be written.
            LinkError: the broker refused, or another host has this one's id.
        """
        if self._store_failure is not None:
            raise self._store_failure
        self._link.check()

    def wait_complete(self, timeout_s: float) -> bool:
        """Wait for the first node or device of which both birth and data have come.

        Returns:
            Whether there is one.
        """
        return self._complete.wait(timeout_s)

    def flush(self) -> None:
        """Wait until all that the broker has received before this call is shown and stored.

        Raises:
            MachineError: the database cannot be written.
            LinkError: the broker does not answer in time.
        """
        # Our own presence comes back to us behind everything that the broker had before it.
        self._echo.clear()
        self._announce()
        if not self._echo.wait(ECHO_TIMEOUT_S):
            self.check()
            raise LinkError(
                f"the broker {self._link.address.url} did not answer within {ECHO_TIMEOUT_S:g} s",
                hint="is it still running?",
            )
        self._rows.join()
        self.check()

    def snapshot(self) -> Snapshot:
        """The fleet now."""
        with self._lock:
            return Snapshot(
                self._link.address.url,
                self._link.is_connected,
                self._state.view(),
                self._rows_stored,
                self._rejected,
                self._last_rejection,
            )

    def _will(self) -> Message:
        # The birth must carry the Will's time (host-topic-phid-birth-payload-timestamp).
        self._connected_ms = _now_ms()
        return self._presence(is_online=False, timestamp_ms=self._connected_ms)

    def _presence(self, *, is_online: bool, timestamp_ms: int) -> Message:
        content = json.dumps({"online": is_online, "timestamp": timestamp_ms}).encode()
        return Message(self._state_topic, content, qos=1, retain=True)

    def _announce(self) -> None:
        self._link.publish(self._presence(is_online=True, timestamp_ms=self._connected_ms))

    def _receive(self, topic: str, content: bytes) -> None:
        if topic == self._state_topic and not self._is_leaving:
            self._hear_of_ourselves(content)
        if topic.startswith(STATE_PREFIX):
            return
        try:
            with self._lock:
                outcome = self._state.receive(topic, content, _now_ms())
        except LinkError as error:
            self._rejected += 1
            self._last_rejection = error.message
            return
        if outcome.readings and self._store_failure is None:
            self._rows.put(outcome.readings)
        if outcome.ask_rebirth_of is not None:
            self._ask_rebirth(outcome.ask_rebirth_of)
        if outcome.is_complete:
            self._complete.set()

    def _hear_of_ourselves(self, content: bytes) -> None:
        """Say again that we are here when someone says that we are not.

        tck-id-message-flow-hid-sparkplug-state-message-delivered.
        """
        try:
            stated = json.loads(content)
        except (ValueError, RecursionError):
            stated = None
        if isinstance(stated, dict) and stated.get("online") is True:
            self._echo.set()
        else:
            self._announce()

    def _ask_rebirth(self, node: Topic) -> None:
        now = time.monotonic()
        if now - self._asked.get(node.descriptor, -ASK_AGAIN_S) < ASK_AGAIN_S:
            return
        if len(self._asked) >= MAX_NODES:
            self._asked.clear()
        self._asked[node.descriptor] = now
        metric = PayloadMetric(REBIRTH, True, DataType.BOOLEAN, None, _now_ms())
        command = encode(Payload(_now_ms(), (metric,)), state_datatypes=True)
        topic = Topic(node.group, MessageType.NODE_COMMAND, node.node)
        self._link.publish(Message(str(topic), command))

    def _lost(self) -> None:
        with self._lock:
            self._state.lose_connection()

    def _write(self) -> None:
        """Store what comes, in batches; after a failure, drop it and let `check` say so."""
        is_open = True
        while is_open:
            batches = [self._rows.get()]
            while len(batches) < BATCH_ROWS:
                try:
                    batches.append(self._rows.get_nowait())
                except queue.Empty:
                    break
            is_open = None not in batches
            readings = [reading for batch in batches if batch is not None for reading in batch]
            try:
                if self._store_failure is None:
                    self._rows_stored += self._store.add(readings)
            except Exception as error:  # whatever it is, the owner's thread must see it
                self._store_failure = error
            finally:
                for _ in batches:
                    self._rows.task_done()


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
