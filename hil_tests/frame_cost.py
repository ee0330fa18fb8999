"""What an emulated board executes for every frame that it receives, at the pace of a slow line.

A pty stands between a client and the board. A byte goes on to the board once it sleeps: so every
byte wakes it, as at 115 200 baud, where the board has long finished when the next one comes. The
counts do not depend on this machine's speed, as long as answers are short: a board that sends
waits for the pty, and counts its rounds.
"""

from __future__ import annotations

import os
import select
import struct
import threading
import tty
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edge_runtime.wire import smp
from hil_tests.emulator import Emulator
from hil_tests.profiler.plugin import build_plugin
from jouleloop.errors import MachineError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from device_profiles import DeviceProfile
    from edge_runtime.wire.keys import PublicKey

PLUGIN = Path(__file__).parent / "profiler/sleeps.c"
COUNT = struct.Struct("<Q")
# More than the slowest byte, which has a signature verified.
PATIENCE_S = 20.0
POLL_S = 0.2
# A board that was quiet for so long sleeps; from an answer it takes microseconds.
SETTLED_S = 0.5
BITS_PER_BYTE = 10  # 8N1


@dataclass(frozen=True)
class FrameCost:
    """A message as it came over the line: one frame in SMP's framing, of one line or several.

    Args:
        line_bytes: of its lines, in order.
        line_instructions: executed from each line's first byte until the board slept again. The
            last line's are with all that the message asked for, the answer included.
    """

    line_bytes: tuple[int, ...]
    line_instructions: tuple[int, ...]

    @property
    def bytes(self) -> int:
        """Received."""
        return sum(self.line_bytes)

    @property
    def instructions(self) -> int:
        """Executed."""
        return sum(self.line_instructions)

    def seconds(self, baud: int) -> float:
        """How long it takes on a line."""
        return self.bytes * BITS_PER_BYTE / baud


class PacedBoard:
    """An emulated board behind a slow line.

    Args:
        emulator: runs, with the plugin.
        counts: reading end of the plugin's pipe.
        port: path of the pty for the client.
    """

    def __init__(self, emulator: Emulator, counts: int, port: str) -> None:
        self.emulator = emulator
        self.port = port
        self._counts = counts
        self._lines: list[tuple[bytes, int]] = []
        self.answer_bytes = 0

    def frames(self) -> tuple[FrameCost, ...]:
        """What was received, message by message.

        Complete once the board is left: a client has its answer before the board sleeps.
        """
        starts = [k for k, (line, _) in enumerate(self._lines) if line.startswith(smp.FRAME_START)]
        ends = [*starts[1:], len(self._lines)]
        return tuple(
            FrameCost(
                tuple(len(line) for line, _ in self._lines[start:end]),
                tuple(count for _, count in self._lines[start:end]),
            )
            for start, end in zip(starts, ends, strict=True)
        )

    def relay(self, client: int, board: int, stop: threading.Event) -> None:
        """Carry bytes to and fro until told to stop.

        Args:
            client: descriptor of the client's pty.
            board: descriptor of the board's.
            stop: ends it.
        """
        before = self._settle(board)
        line, spent = bytearray(), 0
        while not stop.is_set():
            ready, _, _ = select.select([client, board], [], [], POLL_S)
            if board in ready:
                self._answer(client, board)
            for byte in os.read(client, 4096) if client in ready else b"":
                os.write(board, bytes([byte]))
                after = self._wait_until_asleep(client, board)
                line.append(byte)
                spent, before = spent + after - before, after
                if byte == ord("\n"):
                    self._lines.append((bytes(line), spent))
                    line, spent = bytearray(), 0

    def _settle(self, board: int) -> int:
        """The count once the board sleeps and has answered all that was asked while it started."""
        words = b""
        while ready := select.select([self._counts, board], [], [], SETTLED_S)[0]:
            for descriptor in ready:
                read = os.read(descriptor, 65536)
                words = read if descriptor == self._counts else words
        return int(COUNT.unpack(words[-COUNT.size :])[0])

    def _wait_until_asleep(self, client: int, board: int) -> int:
        while True:
            ready, _, _ = select.select([self._counts, board], [], [], PATIENCE_S)
            if board in ready:
                self._answer(client, board)
            if self._counts in ready:
                return int(COUNT.unpack(os.read(self._counts, COUNT.size))[0])
            if not ready:
                raise MachineError(f"the board did not sleep for {PATIENCE_S:.0f} s")

    def _answer(self, client: int, board: int) -> None:
        answer = os.read(board, 4096)
        os.write(client, answer)
        self.answer_bytes += len(answer)


@contextmanager
def paced_board(
    profile: DeviceProfile, folder: Path, *, trust: Sequence[PublicKey] = ()
) -> Iterator[PacedBoard]:
    """Start a board on erased flash, behind a slow line.

    Args:
        profile: an emulated board.
        folder: empty, for its flash and the like.
        trust: keys that the board trusts besides those of the user's key folder.

    Raises:
        MachineError: the board did not start, or did not sleep any more.
    """
    counts_path = folder / "counts"
    os.mkfifo(counts_path)
    plugin = f"{build_plugin(PLUGIN)},out={str(counts_path).replace(',', ',,')}"
    stop = threading.Event()
    with ExitStack() as stack:
        counts = stack.enter_context(_opened(counts_path, os.O_RDONLY | os.O_NONBLOCK))
        flash = folder / "flash.bin"
        emulator = stack.enter_context(
            Emulator(profile, flash, trust=trust, arguments=("-plugin", plugin))
        )
        board = stack.enter_context(_opened(Path(emulator.port), os.O_RDWR | os.O_NOCTTY))
        client, client_side = os.openpty()
        stack.callback(os.close, client)
        stack.callback(os.close, client_side)
        tty.setraw(board)
        tty.setraw(client_side)
        paced = PacedBoard(emulator, counts, os.ttyname(client_side))
        executor = stack.enter_context(ThreadPoolExecutor(1))
        relay = executor.submit(paced.relay, client, board, stop)
        try:
            yield paced
        finally:
            stop.set()
            relay.result()


@contextmanager
def _opened(path: Path, flags: int) -> Iterator[int]:
    descriptor = os.open(path, flags)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
