"""External programs: find them, start them, and never leave one behind."""

from __future__ import annotations

import importlib.util
import shutil
import socket
import subprocess
import sys
from contextlib import closing
from typing import TYPE_CHECKING, Any

from jouleloop.errors import MissingToolError, PortInUseError

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
    "torch": ("torch", "train"),
    "PV_ICE": ("PV_ICE", "train"),
    "onnx": ("onnx", "export"),
    "onnxscript": ("onnxscript", "export"),
    "flatbuffers": ("flatbuffers", "export"),
    "ziglang": ("ziglang", "export"),
    "matplotlib": ("matplotlib", "hil"),
    "jinja2": ("jinja2", "hil"),
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
        raise MissingToolError(
            f"the Python package {module}", distribution, f"pip install 'jouleloop[{extra}]'"
        )


def zig_command(*arguments: str) -> list[str]:
    """Command line of the Zig toolchain that the `ziglang` wheel carries.

    Raises:
        MissingToolError: the wheel is not installed.
    """
    require_package("ziglang")
    return [sys.executable, "-m", "ziglang", *arguments]


def spawn(
    command: Sequence[str], *, cwd: Path | None = None, **pipes: Any
) -> subprocess.Popen[bytes]:
    """Start a program that the kernel kills when the thread that called this ends, however it ends.

    Call it from a thread that lives as long as the program must (as a rule the main thread).

    Args:
        command: program and arguments; the program is looked up by `require_program`.
        cwd: working directory, or None for the current one.
        pipes: `stdin`, `stdout`, `stderr` as for `subprocess.Popen`.

    Raises:
        MissingToolError: the program is not installed.
    """
    program = require_program(command[0])
    guard = [require_program("setpriv"), "--pdeathsig", "KILL", "--"]
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

    Raises:
        PortInUseError: something listens there.
    """
    with closing(socket.socket(socket.AF_INET, socket.SOCK_STREAM)) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise PortInUseError(host, port) from error
        chosen: int = probe.getsockname()[1]
    return chosen
