"""Programs are found or named with what installs them, and never outlive us."""

import os
import select
import signal
import socket
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from jouleloop.errors import InputError, MachineError, MissingToolError, PortInUseError
from jouleloop.programs import (
    claim_port,
    require_package,
    require_program,
    spawn,
    stop,
    zig_command,
)

pytestmark = pytest.mark.pure

END_S = 10.0


def wait_for_end(pid: int) -> None:
    """Wait until a process that is not our child is gone."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        ended, _, _ = select.select([handle], [], [], END_S)
        assert ended, f"process {pid} still lives"
    finally:
        os.close(handle)


def test_a_program_dies_with_its_parent_even_when_that_is_killed() -> None:
    parent = textwrap.dedent(
        """
        import signal, sys
        from jouleloop.programs import spawn
        child = spawn(["sleep", "600"])
        print(child.pid, flush=True)
        signal.pause()
        """
    )
    with subprocess.Popen([sys.executable, "-c", parent], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        child = int(process.stdout.readline())
        os.kill(child, 0)  # it lives
        process.kill()
        process.wait()
    wait_for_end(child)


def test_a_program_whose_parent_died_before_it_began_does_not_start(tmp_path: Path) -> None:
    # The gap: the parent dies between fork and the kernel's promise. Here the parent that spawn
    # names is a process that is not the program's parent, as it is for an orphan.
    trace = tmp_path / "started"
    code = textwrap.dedent(
        f"""
        import os
        from jouleloop import programs
        os.getpid = lambda: 1
        child = programs.spawn(["touch", {str(trace)!r}])
        print(child.wait())
        """
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(ended.stdout) != 0
    assert not trace.exists()


def test_stop_asks_first() -> None:
    process = spawn(
        ["sh", "-c", "trap 'echo asked; exit 7' TERM; echo ready; while :; do sleep 0.01; done"],
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    stop(process)
    assert process.returncode == 7
    assert process.stdout.closed


def test_stop_kills_what_does_not_listen_and_reaps_it() -> None:
    process = spawn(
        ["sh", "-c", "trap '' TERM; echo ready; while :; do sleep 0.01; done"],
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    stop(process, grace_s=0.05)
    assert process.returncode == -signal.SIGKILL
    assert not Path(f"/proc/{process.pid}").exists()


def test_stop_of_what_has_ended_keeps_its_exit_code() -> None:
    process = spawn(["sh", "-c", "exit 3"])
    process.wait()
    stop(process)
    stop(process)
    assert process.returncode == 3


def test_arguments_reach_the_program_as_they_are(tmp_path: Path) -> None:
    process = spawn(
        ["printf", "%s\\n", "a b", "$HOME", "", "'"], cwd=tmp_path, stdout=subprocess.PIPE
    )
    output, _ = process.communicate()
    assert output == b"a b\n$HOME\n\n'\n"


def test_a_missing_program_names_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jouleloop.programs.shutil.which", lambda *_, **__: None)
    with pytest.raises(MissingToolError) as caught:
        require_program("qemu-system-arm")
    assert "qemu-system-arm" in caught.value.message
    assert caught.value.hint == "run: sudo apt-get install qemu-system-arm"


def test_a_daemon_outside_the_path_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert require_program("mosquitto").endswith("/mosquitto")


def test_a_missing_package_names_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jouleloop.programs.importlib.util.find_spec", lambda _: None)
    with pytest.raises(MissingToolError, match="the Python package onnx") as caught:
        require_package("onnx")
    assert caught.value.command.endswith("-m pip install 'jouleloop[export]'")
    with pytest.raises(MissingToolError, match="ziglang"):
        zig_command("cc")


def test_a_package_that_is_there_is_not_imported() -> None:
    code = "import sys; from jouleloop.programs import require_package as r; r('torch')"
    code += "; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_port_in_use_is_refused(host: str) -> None:
    family, *_, address = socket.getaddrinfo(host, 0, type=socket.SOCK_STREAM)[0]
    with socket.socket(family) as listener:
        listener.bind(address)
        listener.listen()
        port = listener.getsockname()[1]
        with pytest.raises(PortInUseError, match=f"port {port} on {host} is in use"):
            claim_port(host, port)
    assert claim_port(host, port) == port


def test_any_free_port() -> None:
    first = claim_port("127.0.0.1", 0)
    assert 1024 <= first <= 65535


@pytest.mark.parametrize("port", [-1, 65536, 1 << 40])
def test_a_port_that_does_not_exist(port: int) -> None:
    with pytest.raises(InputError, match="does not exist"):
        claim_port("127.0.0.1", port)


def test_an_address_of_another_machine_is_not_a_port_in_use() -> None:
    # RFC 5737 keeps this network for documentation: no machine has an address of it.
    with pytest.raises(MachineError, match="cannot listen on port 9000 of 192") as caught:
        claim_port("192.0.2.1", 9000)
    assert not isinstance(caught.value, PortInUseError)
