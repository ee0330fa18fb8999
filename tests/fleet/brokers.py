"""A broker for tests, and a listener that keeps every message as it came."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from edge_runtime.node.mqtt import parse_broker_url

if TYPE_CHECKING:
    from types import TracebackType

TIMEOUT_S = 15.0


class Listener:
    """Plain MQTT, none of the code under test: what is on the wire, in order."""

    def __init__(self, url: str, topics: str = "#") -> None:
        self._messages: queue.Queue[MQTTMessage] = queue.Queue()
        self._is_subscribed = threading.Event()
        self._topics = topics
        address = parse_broker_url(url)
        self.client = Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv5)
        self.client.on_message = lambda _, __, message: self._messages.put(message)
        self.client.on_subscribe = lambda *_: self._is_subscribed.set()
        self.client.on_connect = self._subscribe
        self.client.connect(address.host, address.port)

    def __enter__(self) -> Listener:
        self.client.loop_start()
        assert self._is_subscribed.wait(TIMEOUT_S)
        return self

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.client.disconnect()
        self.client.loop_stop()
        # The client closes the last of its sockets when nothing refers to it any more.
        self.client.on_message = self.client.on_connect = self.client.on_subscribe = None

    def _subscribe(self, *_: object) -> None:
        self.client.subscribe(self._topics, 1)

    def next(self, is_wanted: Callable[[MQTTMessage], bool] = lambda _: True) -> MQTTMessage:
        """The next message that is wanted; the others are dropped."""
        while True:
            message = self._messages.get(timeout=TIMEOUT_S)
            if is_wanted(message):
                return message

    def send(self, topic: str, content: bytes, *, retain: bool = False) -> None:
        self.client.publish(topic, content, 1, retain).wait_for_publish(TIMEOUT_S)


def wait_until(is_true: Callable[[], bool]) -> None:
    """Wait for a state that another thread reaches, for which there is no event."""
    pause = threading.Event()
    for _ in range(int(TIMEOUT_S / 0.02)):
        if is_true():
            return
        pause.wait(0.02)
    raise AssertionError(f"not true within {TIMEOUT_S} s")
