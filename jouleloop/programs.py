"""External programs: find them, start them, and never leave one behind."""

from __future__ import annotations

import errno
import importlib.util
import multiprocessing
import os
import shlex
import shutil
import socket
import subprocess
import sys
import threading
from contextlib import closing
from typing import TYPE_CHECKING, Any

from jouleloop.errors import InputError, MachineError, MissingToolError, PortInUseError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

# program -> Debian package
APT_PACKAGES = {
    "qemu-system-arm": "qemu-system-arm",
    "mosquitto": "mosquitto",
    "chromium": "chromium",
    "setpriv": "util-linux",
    "gcc": "gcc",
}

# import name -> (distribution, jouleloop extra that brings it)
PYTHON_PACKAGES = {
    "cryptography": ("cryptography", "export"),
    "torch": ("torch", "train"),
    "PV_ICE": ("PV_ICE", "train"),
    "onnx": ("onnx", "export"),
    "onnxscript": ("onnxscript", "export"),
    "flatbuffers": ("flatbuffers", "export"),
    "ziglang": ("ziglang", "export"),
    "matplotlib": ("matplotlib", "hil"),
    "jinja2": ("jinja2", "hil"),
    "scipy": ("scipy", "hil"),
    "gymnasium": ("gymnasium", "environments"),
    "pettingzoo": ("pettingzoo", "environments"),
}


def require_program(name: str) -> str:
    """Path of a program on PATH.

    Raises:
        MissingToolError: it is not installed; names the Debian package.
    """
    # Debian keeps daemons such as mosquitto in /usr/sbin, which is not on every user's PATH.
    path = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")
    if path is None:
        package = APT_PACKAGES.get(name, name)
        raise MissingToolError(name, package, f"sudo apt-get install {package}")
    return path


def require_package(module: str) -> None:
    """Check that a Python package of an extra can be imported, without importing it.

    Raises:
        MissingToolError: it is not installed; names the extra that brings it.
    """
    if importlib.util.find_spec(module) is None:
        distribution, extra = PYTHON_PACKAGES.get(module, (module, "dev"))
        # This interpreter's pip: the first one on PATH may belong to another Python.
        install = shlex.join([sys.executable, "-m", "pip", "install", f"jouleloop[{extra}]"])
        raise MissingToolError(f"the Python package {module}", distribution, install)


def zig_command(*arguments: str) -> list[str]:
    """Command line of the Zig toolchain that the `ziglang` wheel carries.

    Raises:
        MissingToolError: the wheel is not installed.
    """
    require_package("ziglang")
    return [sys.executable, "-m", "ziglang", *arguments]


# The kernel drops the setting when the parent dies before it is made; then nobody is left to stop
# the program, so it must not start. `$0` is the parent's process id, `$@` the command.
_START_UNLESS_ORPHANED = 'test "$PPID" -eq "$0" && exec "$@"'


def spawn(
    command: Sequence[str], *, cwd: Path | None = None, **pipes: Any
) -> subprocess.Popen[bytes]:
    """Start a program that the kernel kills when the thread that called this ends, however it ends.

    Call it from a thread that lives as long as the program must (as a rule the main thread). A
    program that changes its user (Mosquitto does when root starts it, unless its configuration
    says `user root`) loses the kernel's promise.

    Args:
        command: program and arguments; the program is looked up by `require_program`.
        cwd: working directory, or None for the current one.
        pipes: `stdin`, `stdout`, `stderr` as for `subprocess.Popen`.

    Raises:
        MissingToolError: the program is not installed.
    """
    program = require_program(command[0])
    guard = [require_program("setpriv"), "--pdeathsig", "KILL", "--"]
    guard += [require_program("sh"), "-c", _START_UNLESS_ORPHANED, str(os.getpid())]
    # Own session: an interrupt from the terminal reaches us alone, and we end the child in order.
    return subprocess.Popen(
        [*guard, program, *command[1:]], cwd=cwd, start_new_session=True, **pipes
    )


def stop(process: subprocess.Popen[bytes], *, grace_s: float = 3.0) -> None:
    """End a program started by `spawn`: ask, wait `grace_s` seconds, then kill; always reaps."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(grace_s)
        except subprocess.TimeoutExpired:
            process.kill()
    process.wait()
    for stream in (process.stdin, process.stdout, process.stderr):
        if stream is not None:
            stream.close()


def claim_port(host: str, port: int) -> int:
    """A TCP port that nothing listens on: `port` itself, or a free one when it is 0.

    Args:
        host: name or address of this machine, IPv4 or IPv6.
        port: 0..65535.

    Raises:
        InputError: no such port number.
        PortInUseError: something listens there.
        MachineError: this machine may not listen there: a foreign address, a privileged port.
    """
    if not 0 <= port <= 65535:
        raise InputError(f"port {port} does not exist", hint="a port is a number from 0 to 65535")
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with closing(socket.socket(family, kind)) as probe:
            # Ports of connections that are just closing count as free, as they do for a broker.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
            chosen: int = probe.getsockname()[1]
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise PortInUseError(host, port) from error
        raise MachineError(
            f"cannot listen on port {port} of {host}: {error.strerror}",
            hint="choose an address of this machine, and a port above 1023",
        ) from error
    return chosen


def die_with_parent() -> None:
    """End this worker of a process pool when the process that started it is gone, even by a kill.

    The initializer of a pool.
    """
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
