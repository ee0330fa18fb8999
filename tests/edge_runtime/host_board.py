"""The host port of the firmware: the same C as a process of this machine, under sanitizers."""

from __future__ import annotations

import os
import select
import subprocess
import time
from collections import deque
from typing import TYPE_CHECKING, Any, Self

import cbor2

import jouleloop
from edge_runtime.firmware.build import FOLDER, SHIM_OBJECTS, WARNINGS, shim_steps
from edge_runtime.firmware.trusted_keys import render_trusted_keys
from edge_runtime.wire import smp
from edge_runtime.wire.image import parse_image
from jouleloop.programs import require_program
from tests.keys import KEY, OTHER_KEY

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

FLASH_BYTES = 2**20
SLOT_BYTES = 0x40000
ERASE_BYTES = 4096
ARENA_BYTES = 64 * 1024
# More flags for the C of the tests: how tests/firmware_coverage.py has its lines counted.
TEST_C_FLAGS_VARIABLE = "JOULELOOP_TEST_C_FLAGS"
SANITIZERS = (
    "-fsanitize=address,undefined",
    "-fno-sanitize-recover=all",
    *os.environ.get(TEST_C_FLAGS_VARIABLE, "").split(),
)


def build_shims(folder: Path) -> list[str]:
    """Build the shims over Zig's standard library for this machine; returns their objects."""
    # gcc links nothing that knows Zig's way of probing the stack.
    for step in shim_steps("-O", "ReleaseSafe", "-fPIC", "-fno-stack-check"):
        subprocess.run(step, cwd=folder, check=True)
    return list(SHIM_OBJECTS)


def build_host_board(folder: Path) -> Path:
    """Compile the portable sources and the host port, with the warnings of every build."""
    objects = build_shims(folder)
    (folder / "trusted_keys.c").write_text(render_trusted_keys([KEY.public, OTHER_KEY.public]))
    sources = [*sorted((FOLDER / "src").glob("*.c")), *sorted((FOLDER / "port/host").glob("*.c"))]
    version = f'-DJL_FIRMWARE_VERSION="{jouleloop.__version__}"'
    flags = ["-std=c11", "-O1", "-g", *SANITIZERS, *WARNINGS, version, f"-I{FOLDER}/include"]
    gcc = [require_program("gcc"), *flags, *map(str, sources), "trusted_keys.c", *objects]
    subprocess.run([*gcc, "-o", "host"], cwd=folder, check=True)
    return folder / "host"


class HostBoard:
    """A running host board; leaving the context fails where a sanitizer complained."""

    def __init__(self, program: Path, flash: Path, *, is_read_only: bool = False) -> None:
        if not flash.exists():
            flash.write_bytes(b"\xff" * FLASH_BYTES)
        self.flash = flash
        self._command: list[str | Path] = [program, flash]
        if is_read_only:
            self._command.append("read-only")
        self._decoder = smp.LineDecoder()
        self._messages: deque[bytes] = deque()
        self._sequence = 0
        self.start()

    def start(self) -> None:
        """Switch it on."""
        self._process = subprocess.Popen(
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """End the board by ending its input; a sanitizer's finding is an error."""
        _, complaint = self._process.communicate(timeout=60)
        assert self._process.returncode == 0, complaint.decode()

    def restart(self) -> None:
        """Switch it off and on."""
        self.stop()
        self.start()

    def send(self, data: bytes) -> None:
        """Bytes on the line."""
        assert self._process.stdin is not None
        self._process.stdin.write(data)

    def receive(self, timeout_s: float = 10.0) -> bytes:
        """The next message that the board sends."""
        assert self._process.stdout is not None
        deadline = time.monotonic() + timeout_s
        while not self._messages:
            ready, _, _ = select.select([self._process.stdout], [], [], deadline - time.monotonic())
            chunk = os.read(self._process.stdout.fileno(), 65536) if ready else b""
            if not chunk:
                self._process.kill()
                _, complaint = self._process.communicate()
                raise AssertionError(f"the board gave no answer; it said:\n{complaint.decode()}")
            self._messages.extend(self._decoder.feed(chunk))
        return self._messages.popleft()

    def ask_raw(self, operation: int, group: int, command: int, body: bytes) -> bytes:
        """Send a request with this body; returns the body of the answer."""
        self._sequence = (self._sequence + 1) % 256
        header = smp.Header(operation, group, command, self._sequence, len(body))
        self.send(smp.encode_lines(header.pack() + body))
        message = self.receive()
        answer = smp.Header.unpack(message)
        assert (answer.operation, answer.group, answer.command) == (operation + 1, group, command)
        assert answer.sequence == self._sequence
        assert answer.length == len(message) - smp.HEADER_BYTES
        return message[smp.HEADER_BYTES :]

    def ask(
        self, operation: int, group: int, command: int, payload: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Send a request; returns the map of the answer."""
        answer = cbor2.loads(self.ask_raw(operation, group, command, cbor2.dumps(payload)))
        assert isinstance(answer, dict)
        return answer

    def choose(self, image: bytes, *, confirm: bool) -> dict[str, Any]:
        """Ask for an image by its hash: on trial, or for good."""
        payload = {"hash": parse_image(image).sha256, "confirm": confirm}
        return self.ask(2, smp.Group.IMAGE, smp.ImageCommand.STATE, payload)

    def upload(self, image: bytes, piece_bytes: int = 800) -> dict[str, Any]:
        """Upload an image; returns the last answer, or the first that is an error."""
        answer: dict[str, Any] = {"off": 0}
        while answer["off"] < max(len(image), 1):
            off = answer["off"]
            payload = {"off": off, "data": image[off : off + piece_bytes]}
            if off == 0:
                payload |= {"image": smp.IMAGE_MODEL, "len": len(image)}
            answer = self.ask(2, smp.Group.IMAGE, smp.ImageCommand.UPLOAD, payload)
            if "off" not in answer or not image:
                break
        return answer
