import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

import fleet.broker
from fleet.broker import Broker
from jouleloop.errors import InputError, MachineError, MissingToolError, PortInUseError
from tests.fleet.brokers import Listener, wait_until

pytestmark = pytest.mark.broker


def test_it_serves_mqtt_on_a_free_port_and_is_gone_afterwards() -> None:
    with Broker(0) as broker:
        assert broker.url == f"mqtt://127.0.0.1:{broker.port}"
        assert not broker.warning
        broker.check()
        with Listener(broker.url) as listener:
            listener.send("a/topic", b"content")
            assert listener.next().payload == b"content"
        folder = Path(broker._folder.name) if broker._folder else Path()
        assert "persistence false" in (folder / "mosquitto.conf").read_text()
        # The config lies where no one else can read or change it.
        assert folder.stat().st_mode & 0o077 == 0
    assert not folder.exists()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", broker.port))


def test_ipv6_and_every_address_work_and_the_open_one_is_warned_about() -> None:
    with Broker(0, "::1") as broker, Listener(broker.url):
        assert broker.url.startswith("mqtt://[::1]:")
    with Broker(0, "0.0.0.0") as broker, Listener(broker.url):  # noqa: S104  # what is tested
        assert broker.url.startswith("mqtt://127.0.0.1:")
        assert f"without passwords or encryption: whoever reaches port {broker.port}" in (
            broker.warning
        )


def test_a_port_in_use_is_named() -> None:
    with Broker(0) as broker, pytest.raises(PortInUseError, match=f"port {broker.port} on"):
        Broker(broker.port).__enter__()


def test_a_port_lost_in_a_race_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with Broker(0) as other:
        # Between the check and Mosquitto's start another process took the port.
        monkeypatch.setattr(fleet.broker, "claim_port", lambda _, port: port)
        with pytest.raises(PortInUseError, match=f"port {other.port} on"):
            Broker(other.port).__enter__()


@pytest.mark.parametrize("bind", ["", "localhost", "127.0.0.1/8", "999.0.0.1"])
def test_what_is_no_address_is_refused(bind: str) -> None:
    with pytest.raises(InputError, match="cannot listen on"):
        Broker(0, bind)


def test_a_foreign_address_is_refused() -> None:
    with pytest.raises(MachineError, match=r"192\.0\.2\.1"):
        Broker(0, "192.0.2.1").__enter__()


def test_a_missing_mosquitto_names_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda *_, **__: None)
    with pytest.raises(MissingToolError, match="mosquitto") as caught:
        Broker(0).__enter__()
    assert "apt-get install mosquitto" in caught.value.hint


def test_one_that_ends_at_once_leaves_its_last_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Broker, "_config", lambda _: "no_such_option true\n")
    with pytest.raises(MachineError, match=r"mosquitto ended with code .*no_such_option"):
        Broker(0).__enter__()


def test_one_that_is_killed_later_is_noticed() -> None:
    with Broker(0) as broker:
        assert broker._process is not None
        broker._process.kill()
        broker._process.wait()
        with pytest.raises(MachineError, match="mosquitto ended with code"):
            broker.check()


def test_it_ends_with_a_parent_that_is_killed() -> None:
    program = (
        "import signal\n"
        "from fleet.broker import Broker\n"
        "with Broker(0) as broker:\n"
        "    print(broker.port, broker._process.pid, flush=True)\n"
        "    signal.pause()\n"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        port, pid = map(int, parent.stdout.readline().split())
        socket.create_connection(("127.0.0.1", port)).close()
        parent.send_signal(signal.SIGKILL)
        parent.wait()
    wait_until(lambda: not _is_running(pid))
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # A zombie waits for this machine's init, and does nothing any more.
    return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
