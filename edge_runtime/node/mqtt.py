"""One MQTT 5 connection that keeps itself alive, for nodes and for host applications.

MQTT 5 rather than 3.1.1: a refused subscription or connection says why, and a second client with
the same id is told so, instead of the two disconnecting each other for ever. Every CONNECT is a
clean start with a session expiry of 0, as Sparkplug demands.
"""

from __future__ import annotations

import contextlib
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from jouleloop.errors import InputError, LinkError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from paho.mqtt.client import MQTTMessage

DEFAULT_PORT = 1883
# A broker declares a hung client dead after 1.5 keep-alives.
KEEPALIVE_S = 15
CONNECT_TIMEOUT_S = 5.0
READY_TIMEOUT_S = 10.0
DEATH_TIMEOUT_S = 3.0
LONGEST_RETRY_S = 30
SESSION_TAKEN_OVER = 0x8E


@dataclass(frozen=True)
class BrokerAddress:
    """Where a broker listens."""

    host: str
    port: int

    @property
    def url(self) -> str:
        """`mqtt://HOST:PORT`."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"mqtt://{host}:{self.port}"


def parse_broker_url(url: str) -> BrokerAddress:
    """Read `mqtt://HOST[:PORT]`; the port is 1883 when left out.

    >>> parse_broker_url("mqtt://[::1]:1884")
    BrokerAddress(host='::1', port=1884)

    Raises:
        InputError: another form.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise InputError(
            f"{url!r} is no broker address: {error}", hint="write mqtt://HOST:PORT"
        ) from error
    extra = parts.path.strip("/") or parts.query or parts.fragment or parts.username
    if parts.scheme != "mqtt" or not host or extra or port == 0:
        raise InputError(
            f"{url!r} is no broker address: it must be mqtt://HOST:PORT without user or path",
            hint="write, for example, mqtt://127.0.0.1:1883",
        )
    return BrokerAddress(host, DEFAULT_PORT if port is None else port)


@dataclass(frozen=True)
class Message:
    """An MQTT message to publish."""

    topic: str
    content: bytes
    qos: int = 0
    retain: bool = False


class MqttLink:
    """A connection to a broker that reconnects by itself until it is closed.

    Args:
        url: `mqtt://HOST:PORT`.
        client_id: unique on the broker; a second client with the same id ends this one.
        subscriptions: topic filters, asked for at QoS 1 after every CONNECT.
        make_will: gives the Will of the next CONNECT; called once for every CONNECT.
        on_ready: called after every CONNECT, once the broker has granted the subscriptions.
        on_message: called with topic and content of every message received.
        on_lost: called when the connection is lost.

    The four are called in the connection's own thread, one after the other.

    Raises:
        InputError: the URL is no broker address.
    """

    def __init__(
        self,
        url: str,
        client_id: str,
        *,
        subscriptions: Sequence[str],
        make_will: Callable[[], Message],
        on_ready: Callable[[], None],
        on_message: Callable[[str, bytes], None],
        on_lost: Callable[[], None] = lambda: None,
    ) -> None:
        self.address = parse_broker_url(url)
        self._subscriptions = [(topic, 1) for topic in subscriptions]
        self._make_will = make_will
        self._on_ready = on_ready
        self._on_lost = on_lost
        self._answered = threading.Event()
        self._failure: Exception | None = None
        self._closing = False
        client = Client(
            CallbackAPIVersion.VERSION2, client_id=client_id, protocol=MQTTProtocolVersion.MQTTv5
        )
        client.connect_timeout = CONNECT_TIMEOUT_S
        client.reconnect_delay_set(1, LONGEST_RETRY_S)
        # Called right before CONNECT is sent, and not for an attempt that TCP refuses.
        client.on_socket_open = lambda *_: self._guard(self._set_will)
        client.on_connect = lambda *given: self._guard(self._connected, given[3])
        client.on_subscribe = lambda *given: self._guard(self._subscribed, given[3])
        client.on_disconnect = lambda *given: self._guard(self._disconnected, given[3])
        client.on_message = lambda _, __, message: self._guard(self._received, on_message, message)
        self._client = client

    def open(self) -> None:
        """Connect, and wait until `on_ready` has run.

        Raises:
            LinkError: no broker there, or it refused.
        """
        host, port = self.address.host, self.address.port
        try:
            self._client.connect(
                host, port, KEEPALIVE_S, clean_start=True, properties=_expire_at_once()
            )
        except (OSError, ValueError) as error:
            raise LinkError(
                f"no MQTT broker answers on {host} port {port}: {error}",
                hint="start one with `jouleloop monitor`, or give the address of a running one",
            ) from error
        self._client.loop_start()
        is_answered = self._answered.wait(READY_TIMEOUT_S)
        if self._failure is not None or not is_answered:
            self.close(None)
            self.check()
            raise LinkError(
                f"what listens on {host} port {port} did not answer as an MQTT 5 broker within "
                f"{READY_TIMEOUT_S:g} s",
                hint="check that the address is that of an MQTT broker",
            )

    def check(self) -> None:
        """Raise what ended the connection for good, if anything has.

        Raises:
            LinkError: the broker refused, or another client took the id.
        """
        if self._failure is not None:
            raise self._failure

    @property
    def is_connected(self) -> bool:
        """Whether the broker has accepted the connection that is open now."""
        return self._client.is_connected()

    def publish(self, message: Message) -> bool:
        """Hand a message to the connection.

        Returns:
            False where there is no connection at the moment, so that a QoS 0 message is lost.
        """
        info = self._client.publish(message.topic, message.content, message.qos, message.retain)
        return info.rc == MQTTErrorCode.MQTT_ERR_SUCCESS

    def close(self, death: Message | None, *, publish_will: bool = False) -> bool:
        """Publish a death message, then disconnect in order; never raises.

        Args:
            death: what to publish last, at QoS 1, or None.
            publish_will: have the broker publish the Will as well, as Sparkplug 3.0 wants it of a
                node on MQTT 5 (tck-id-payloads-ndeath-will-message-publisher-disconnect-mqtt50).

        Returns:
            Whether the broker has acknowledged it, and so has everything sent before it.
        """
        is_acknowledged = False
        self._closing = True
        if death is not None and self._client.is_connected():
            info = self._client.publish(death.topic, death.content, 1, death.retain)
            # The connection may break at this very moment.
            with contextlib.suppress(RuntimeError, ValueError):
                info.wait_for_publish(DEATH_TIMEOUT_S)
                is_acknowledged = info.is_published()
        how = "Disconnect with will message" if publish_will else "Normal disconnection"
        self._client.disconnect(ReasonCode(PacketTypes.DISCONNECT, how))
        self._client.loop_stop()
        return is_acknowledged

    def _set_will(self) -> None:
        will = self._make_will()
        self._client.will_set(will.topic, will.content, will.qos, will.retain)

    def _connected(self, reason: ReasonCode) -> None:
        if reason.is_failure:
            self._fail(LinkError(f"the broker {self.address.url} refused the connection: {reason}"))
        else:
            self._client.subscribe(self._subscriptions)

    def _subscribed(self, reasons: Sequence[ReasonCode]) -> None:
        for (topic, _), reason in zip(self._subscriptions, reasons, strict=True):
            if reason.is_failure:
                self._fail(
                    LinkError(f"the broker {self.address.url} refused to deliver {topic}: {reason}")
                )
                return
        self._on_ready()
        self._answered.set()

    def _disconnected(self, reason: ReasonCode) -> None:
        if reason.value == SESSION_TAKEN_OVER and not self._closing:
            self._fail(
                LinkError(
                    f"another client took over this one's id on {self.address.url}",
                    hint="give every node its own id",
                )
            )
        self._on_lost()

    @staticmethod
    def _received(on_message: Callable[[str, bytes], None], message: MQTTMessage) -> None:
        on_message(message.topic, bytes(message.payload))

    def _fail(self, failure: Exception) -> None:
        self._failure = self._failure or failure
        # Ends the reconnecting.
        self._client.disconnect()
        self._answered.set()

    def _guard(self, step: Callable[..., None], *arguments: Any) -> None:
        """Run a callback; an exception would end paho's thread unseen, so `check` raises it."""
        try:
            step(*arguments)
        except Exception as error:
            self._fail(error)


def _expire_at_once() -> Properties:
    properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]  # paho's gap
    properties.SessionExpiryInterval = 0
    return properties
