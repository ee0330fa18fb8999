"""One MQTT 5 connection that keeps itself alive, for nodes and for host applications.

MQTT 5 rather than 3.1.1: a refused connection, subscription or message says why. Every CONNECT is
a clean start with a session expiry of 0, as Sparkplug demands of MQTT 5.
"""

from __future__ import annotations

import contextlib
import threading
import time
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
FIRST_RETRY_S = 1
LONGEST_RETRY_S = 30
# A broker ends a connection when another client comes with the same id, and not every broker says
# so. Two such clients would throw each other out for ever.
SHORT_LIFE_S = 3.0
SHORT_LIVES = 3


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
        client_id: unique on the broker.
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
        self._is_closing = False
        self._accepted_s: float | None = None
        self._short_lives = 0
        self._client_id = client_id
        self._on_message = on_message
        self._client: Client | None = None

    def open(self) -> None:
        """Connect, and wait until `on_ready` has run.

        Raises:
            LinkError: no broker there, or it refused.
        """
        host, port = self.address.host, self.address.port
        client = self._client = self._make_client()
        try:
            client.connect(host, port, KEEPALIVE_S, clean_start=True, properties=_expire_at_once())
        except (OSError, ValueError) as error:
            self._client = None
            raise LinkError(
                f"no MQTT broker answers on {host} port {port}: {error}",
                hint="start one with `jouleloop monitor`, or give the address of a running one",
            ) from error
        client.loop_start()
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
            LinkError: the broker refused, or another client has the same id.
        """
        if self._failure is not None:
            raise self._failure

    @property
    def is_connected(self) -> bool:
        """Whether the broker has accepted the connection that is open now."""
        return self._client is not None and self._client.is_connected()

    def publish(self, message: Message) -> bool:
        """Hand a message to the connection.

        Returns:
            False where there is no connection at the moment, so that a QoS 0 message is lost.
        """
        if self._client is None:
            return False
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
        client, is_acknowledged = self._client, False
        if client is None:
            return False
        self._is_closing = True
        if death is not None and client.is_connected():
            info = client.publish(death.topic, death.content, 1, death.retain)
            # The connection may break at this very moment.
            with contextlib.suppress(RuntimeError, ValueError):
                info.wait_for_publish(DEATH_TIMEOUT_S)
                is_acknowledged = info.is_published()
        how = "Disconnect with will message" if publish_will else "Normal disconnection"
        client.disconnect(ReasonCode(PacketTypes.DISCONNECT, how))
        client.loop_stop()
        # The client closes the last of its sockets when nothing refers to it any more.
        self._client = None
        return is_acknowledged

    def _make_client(self) -> Client:
        client = Client(
            CallbackAPIVersion.VERSION2,
            client_id=self._client_id,
            protocol=MQTTProtocolVersion.MQTTv5,
        )
        client.connect_timeout = CONNECT_TIMEOUT_S
        client.reconnect_delay_set(FIRST_RETRY_S, LONGEST_RETRY_S)
        # Called right before CONNECT is sent, and not for an attempt that TCP refuses.
        client.on_socket_open = lambda *given: self._guard(self._set_will, given[0])
        client.on_connect = lambda *given: self._guard(self._connected, given[0], given[3])
        client.on_subscribe = lambda *given: self._guard(self._subscribed, given[3])
        client.on_disconnect = lambda *_: self._guard(self._disconnected)
        client.on_message = lambda *given: self._guard(self._received, given[2])
        return client

    def _set_will(self, client: Client) -> None:
        will = self._make_will()
        client.will_set(will.topic, will.content, will.qos, will.retain)

    def _connected(self, client: Client, reason: ReasonCode) -> None:
        if reason.is_failure:
            self._fail(LinkError(f"the broker {self.address.url} refused the connection: {reason}"))
        else:
            self._accepted_s = time.monotonic()
            client.subscribe(self._subscriptions)

    def _subscribed(self, reasons: Sequence[ReasonCode]) -> None:
        for (topic, _), reason in zip(self._subscriptions, reasons, strict=True):
            if reason.is_failure:
                self._fail(
                    LinkError(f"the broker {self.address.url} refused to deliver {topic}: {reason}")
                )
                return
        self._on_ready()
        self._answered.set()

    def _disconnected(self) -> None:
        if self._accepted_s is not None and not self._is_closing:
            lived_s = time.monotonic() - self._accepted_s
            self._short_lives = self._short_lives + 1 if lived_s < SHORT_LIFE_S else 0
        self._accepted_s = None
        if self._short_lives >= SHORT_LIVES:
            self._fail(
                LinkError(
                    f"the broker {self.address.url} accepted this client {SHORT_LIVES} times and "
                    f"dropped it within {SHORT_LIFE_S:g} s: another one seems to have the same id",
                    hint="give every node its own id",
                )
            )
        self._on_lost()

    def _received(self, message: MQTTMessage) -> None:
        self._on_message(message.topic, bytes(message.payload))

    def _fail(self, failure: Exception) -> None:
        self._failure = self._failure or failure
        if self._client is not None:
            self._client.disconnect()  # ends the reconnecting
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
