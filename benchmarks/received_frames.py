"""What the firmware executes for each SMP frame of a 64 KiB upload, against the frame's time.

A stock client sends a module of 64 KiB to boards on QEMU, byte by byte as a line of 115 200 baud
does. A core of 64 MHz keeps up where a frame costs no more cycles than its bytes take on the line.
The last frame asks for more than storing: the whole module is hashed, its signature verified, and
its golden rows run. No frame follows it, so its limit is what the client waits for an answer. What
follows a frame's last byte (storing, and the answer) is also told in bytes of a line that goes on:
they have to fit into the receiver's ring. Of the flash, the loops that play it are counted; a real
one takes its own time.
"""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from statistics import mean
from typing import TYPE_CHECKING

from smpclient import SMPClient
from smpclient.transport.serial import SMPSerialTransport

import device_profiles
from device_profiles.energy_model import estimate_cycles
from edge_runtime.node.smp_link import BAUD
from hil_tests.frame_cost import BITS_PER_BYTE, paced_board
from hil_tests.result import Measure
from tests.edge_runtime.tiny_module import ARM, CORTEX_M3, TinyModule
from tests.keys import KEY

if TYPE_CHECKING:
    from hil_tests.frame_cost import FrameCost, PacedBoard

BOARDS = {"mps2-an385": CORTEX_M3, "mps2-an386": ARM}
CLOCK_HZ = 64e6
MODULE_BYTES = 64 * 1024
SELF_TEST_ROWS = 4  # as export makes them
WIRE_LIMIT = 1.55  # bytes on the line, both ways, per byte of the module
CLIENT_WAITS_S = 2.5  # smpclient's default
EMULATOR_WAITS_S = 30.0
RING_BYTES = 256  # of the port's receiver
SLOT = 1  # of stock clients: image 1


def main() -> tuple[Measure, ...]:
    """The figures of both cores."""
    return tuple(measure for board in BOARDS for measure in figures(board, MODULE_BYTES))


def figures(board: str, module_bytes: int) -> list[Measure]:
    """Upload a module to an emulated board, and say what its frames cost.

    Args:
        board: profile id.
        module_bytes: about so large.
    """
    image = module_image(board, module_bytes)
    with tempfile.TemporaryDirectory(prefix="jouleloop-benchmark-") as folder:
        profile = device_profiles.load(board)
        with paced_board(profile, Path(folder), trust=[KEY.public]) as paced:
            asyncio.run(_upload(paced, image))
        frames = paced.frames()
        wire_bytes = sum(frame.bytes for frame in frames) + paced.answer_bytes
    return _measures(profile.core.name, frames, wire_bytes / len(image))


def module_image(board: str, module_bytes: int) -> bytes:
    """A signed module for a board, of golden rows for the most part."""
    size = module_bytes // (2 * SELF_TEST_ROWS)
    return TinyModule(machine=BOARDS[board], size=size, rows=SELF_TEST_ROWS).image()


async def _upload(paced: PacedBoard, image: bytes) -> None:
    # The emulator's speed is not the board's.
    async with SMPClient(SMPSerialTransport(), paced.port, timeout_s=EMULATOR_WAITS_S) as client:
        async for _ in client.upload(image, slot=SLOT, first_timeout_s=EMULATOR_WAITS_S):
            pass


def _measures(core: str, frames: tuple[FrameCost, ...], wire_ratio: float) -> list[Measure]:
    _, *storing, last = frames  # the first asks for the buffer's size
    worst = max(storing, key=share_of_time)
    place = f"no. {frames.index(worst) + 1} of {len(frames)}, {worst.bytes} B"
    wait = _cycles(last.instructions) / (CLIENT_WAITS_S * CLOCK_HZ)
    behind = max(frame.line_instructions[-1] for frame in storing)
    return [
        _count(f"{core}: instructions of a frame, mean", mean(f.instructions for f in storing)),
        _count(f"{core}: instructions of a frame, most", max(f.instructions for f in storing)),
        _modelled(f"{core}: costliest frame ({place}), cycles / its time", share_of_time(worst)),
        _modelled(
            f"{core}: bytes that the line brings while a frame is stored",
            _cycles(behind) / CLOCK_HZ * BAUD / BITS_PER_BYTE,
            unit="B",
            limit=RING_BYTES,
        ),
        _count(f"{core}: instructions of the last frame", last.instructions),
        _modelled(f"{core}: last frame, cycles / the client's wait", wait),
        Measure(
            f"{core}: bytes on the line per byte of the module",
            wire_ratio,
            "",
            "measured",
            "counted at the board's line, both ways",
            limit=WIRE_LIMIT,
        ),
    ]


def share_of_time(frame: FrameCost) -> float:
    """Cycles that a frame's instructions take at most, over those that it lasts on the line."""
    return _cycles(frame.instructions) / (frame.seconds(BAUD) * CLOCK_HZ)


def _cycles(instructions: int) -> float:
    return estimate_cycles(instructions).high


def _count(name: str, value: float) -> Measure:
    return Measure(name, value, "", "measured", "counted by a QEMU plugin, byte by byte")


def _modelled(name: str, value: float, *, unit: str = "", limit: float = 1.0) -> Measure:
    source = f"{estimate_cycles(0).source}, the high end; {CLOCK_HZ / 1e6:.0f} MHz, {BAUD} baud"
    return Measure(name, value, unit, "modelled", source, limit=limit)
