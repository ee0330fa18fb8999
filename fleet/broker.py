"""A Mosquitto of our own: configured, started, watched and stopped."""

from __future__ import annotations

import ipaddress
import os
import pwd
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Self

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion

from edge_runtime.node.mqtt import DEFAULT_PORT, BrokerAddress
from edge_runtime.wire.sparkplug import MAX_PAYLOAD_BYTES
from jouleloop.errors import InputError, LinkError, MachineError, PortInUseError
from jouleloop.programs import claim_port, spawn, stop

if TYPE_CHECKING:
    from types import TracebackType

START_TIMEOUT_S = 10.0
ATTEMPT_EVERY_S = 0.02
LOG_LINES = 5
RUNNING = b" running\n"  # "mosquitto version 2.0.11 running", once its listeners are open


class Broker:
    """A Mosquitto, while the context lasts; it ends with this process, however that ends.

    It keeps nothing on disk and lets every client in, so it listens on this machine alone unless
    another address is asked for.

    Args:
        port: TCP port, or 0 for any free one.
        bind: IP address to listen on.

    Raises:
        InputError: not an IP address.
    """

    def __init__(self, port: int = DEFAULT_PORT, bind: str = "127.0.0.1") -> None:
        try:
            self._address = ipaddress.ip_address(bind)
        except ValueError as error:
            raise InputError(
                f"cannot listen on {bind!r}: {error}",
                hint="give an IP address of this machine: 127.0.0.1, or 0.0.0.0 for all",
            ) from error
        self.bind = bind
        self.port = port
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where clients on this machine reach it, `mqtt://HOST:PORT`."""
        return BrokerAddress(self._host, self.port).url

    @property
    def _host(self) -> str:
        if not self._address.is_unspecified:
            return self.bind
        return "127.0.0.1" if self._address.version == 4 else "::1"

    @property
    def warning(self) -> str:
        """What everyone should know about where it listens; empty on loopback."""
        if self._address.is_loopback:
            return ""
        return (
            f"the broker listens on {self.bind} without passwords or encryption: whoever reaches "
            f"port {self.port} can read and publish everything"
        )

    def __enter__(self) -> Self:
        """Start it, and wait until it accepts MQTT.

        Raises:
            MissingToolError: Mosquitto is not installed.
            PortInUseError: another process listens there.
            InputError: no such port number.
            MachineError: this machine may not listen there, or it ended at once; with its last
                words.
            LinkError: it does not answer in time.
        """
        self.port = claim_port(self.bind, self.port)
        self._folder = tempfile.TemporaryDirectory(prefix="jouleloop-broker-")
        folder = Path(self._folder.name)
        config = folder / "mosquitto.conf"
        config.write_text(self._config())
        try:
            with (folder / "log").open("wb") as log:
                command = ("mosquitto", "-c", str(config))
                self._process = spawn(
                    command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT
                )
            self._wait(self._process, folder / "log")
        except BaseException:
            self._close()
            raise
        return self

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._close()

    def check(self) -> None:
        """Raise when it has ended by itself.

        Raises:
            MachineError: it has; with its last words.
        """
        if (
            self._process is not None
            and self._folder is not None
            and self._process.poll() is not None
        ):
            raise self._ended(self._process, Path(self._folder.name) / "log")

    def _config(self) -> str:
        # Started as root, Mosquitto changes to another user, and the kernel then forgets to end it
        # with its parent; naming the present user keeps it as it is.
        user = pwd.getpwuid(os.geteuid()).pw_name
        lines = (
            f"listener {self.port} {self.bind}",
            "allow_anonymous true",
            "persistence false",
            f"user {user}",
            f"message_size_limit {MAX_PAYLOAD_BYTES}",
            "log_dest stderr",
            "log_type error",
            "log_type warning",
            "log_type information",
            "connection_messages false",
        )
        return "\n".join((*lines, ""))

    def _wait(self, process: subprocess.Popen[bytes], log: Path) -> None:
        deadline = time.monotonic() + START_TIMEOUT_S
        # An answer on the port could come from another process that was quicker to take it.
        while RUNNING not in log.read_bytes():
            if time.monotonic() > deadline:
                raise LinkError(
                    f"mosquitto was started, but is not running after {START_TIMEOUT_S:g} s",
                    hint="is this machine overloaded?",
                )
            try:
                process.wait(ATTEMPT_EVERY_S)
            except subprocess.TimeoutExpired:
                continue
            raise self._ended(process, log)
        _knock(BrokerAddress(self._host, self.port))

    def _ended(self, process: subprocess.Popen[bytes], log: Path) -> MachineError:
        lines = log.read_text(errors="replace").strip().splitlines()[-LOG_LINES:]
        if any("Address already in use" in line for line in lines):
            return PortInUseError(self.bind, self.port)
        return MachineError(
            f"mosquitto ended with code {process.returncode}: {' | '.join(lines) or 'no message'}",
            hint=f"can {self.bind} port {self.port} be listened on by this user?",
        )

    def _close(self) -> None:
        if self._process is not None:
            stop(self._process)
            self._process = None
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None


def _knock(address: BrokerAddress) -> None:
    """One MQTT handshake.

    Raises:
        LinkError: no connection, or no answer of a broker.
    """
    client = Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv5)
    try:
        client.connect(address.host, address.port)
    except OSError as error:
        raise LinkError(f"{address.url}: {error}") from error
    deadline = time.monotonic() + START_TIMEOUT_S
    while not client.is_connected():
        is_alive = client.loop(timeout=0.1) == MQTTErrorCode.MQTT_ERR_SUCCESS
        if not is_alive or time.monotonic() > deadline:
            raise LinkError(f"{address.url} is no MQTT broker")
    client.disconnect()
