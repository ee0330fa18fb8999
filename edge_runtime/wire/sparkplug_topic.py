"""Sparkplug B 3.0 topics: `spBv1.0/GROUP/TYPE/NODE[/DEVICE]` and `spBv1.0/STATE/HOST`."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from jouleloop.errors import InputError, LinkError

NAMESPACE = "spBv1.0"
# Section 4.1: reserved in MQTT's topics and filters; U+0000 is forbidden by MQTT itself.
RESERVED = ("+", "/", "#", "\0")
# MQTT's limit for a topic is 65 535 bytes; ids travel with every message.
MAX_ID_BYTES = 256


class MessageType(StrEnum):
    """The verb of a topic."""

    NODE_BIRTH = "NBIRTH"
    NODE_DATA = "NDATA"
    NODE_DEATH = "NDEATH"
    NODE_COMMAND = "NCMD"
    DEVICE_BIRTH = "DBIRTH"
    DEVICE_DATA = "DDATA"
    DEVICE_DEATH = "DDEATH"
    DEVICE_COMMAND = "DCMD"


def check_id(what: str, value: str) -> str:
    """A group, node, device or host id that may stand in a topic.

    Args:
        what: what it is the id of, for the error.
        value: the id.

    Raises:
        InputError: empty, too long, no UTF-8, or with one of `+ / #` or U+0000.
    """
    reserved = [character for character in RESERVED if character in value]
    if reserved:
        raise InputError(
            f"the {what} id {value!r} contains {' '.join(map(repr, reserved))}, which Sparkplug "
            "reserves for topics",
            hint="use letters, digits, - and _",
        )
    try:
        size = len(value.encode())
    except UnicodeEncodeError as error:
        raise InputError(f"the {what} id {value!r} is no UTF-8 text") from error
    if not 0 < size <= MAX_ID_BYTES:
        raise InputError(
            f"the {what} id {value!r} has {size} bytes; 1 to {MAX_ID_BYTES} are allowed"
        )
    return value


@dataclass(frozen=True)
class Topic:
    """A node's or device's topic.

    Args:
        group: group id.
        type: what the message is.
        node: edge node id.
        device: device id, given for the device messages and for no others.

    >>> str(Topic("plant", MessageType.DEVICE_DATA, "gateway", "board"))
    'spBv1.0/plant/DDATA/gateway/board'
    >>> parse_topic("spBv1.0/plant/NBIRTH/gateway").descriptor
    'plant/gateway'

    Raises:
        InputError: an id that may not stand in a topic.
    """

    group: str
    type: MessageType
    node: str
    device: str | None = None

    def __post_init__(self) -> None:
        check_id("group", self.group)
        check_id("node", self.node)
        if (self.device is not None) != self.type.startswith("D"):
            raise InputError(
                f"{self.type} goes {'with' if self.device is None else 'without'} a device id"
            )
        if self.device is not None:
            check_id("device", self.device)

    def __str__(self) -> str:
        ids = (self.node,) if self.device is None else (self.node, self.device)
        return "/".join((NAMESPACE, self.group, self.type, *ids))

    @property
    def descriptor(self) -> str:
        """The Edge Node Descriptor, `group/node`: unique among all nodes of a broker."""
        return f"{self.group}/{self.node}"


def parse_topic(topic: str) -> Topic:
    """Read a topic that anyone may have used.

    Raises:
        LinkError: not a node's or device's topic.
    """
    parts = topic.split("/")
    if len(parts) not in (4, 5) or parts[0] != NAMESPACE or parts[2] not in set(MessageType):
        raise LinkError(f"{topic[:100]!r} is no Sparkplug B topic of a node or device")
    try:
        return Topic(parts[1], MessageType(parts[2]), parts[3], *parts[4:])
    except InputError as error:
        raise LinkError(f"{topic[:100]!r} is no Sparkplug B topic: {error.message}") from error


def state_topic(host_id: str) -> str:
    """Where a host application says whether it is there.

    Raises:
        InputError: an id that may not stand in a topic.
    """
    return f"{NAMESPACE}/STATE/{check_id('host', host_id)}"
