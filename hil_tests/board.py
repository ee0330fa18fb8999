"""A board with our firmware as a target, emulated or real, driven over its serial port."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

import device_profiles
from edge_runtime.node.serial_device import SerialDevice
from edge_runtime.wire.image import parse_image
from edge_runtime.wire.smp import Clock
from hil_tests.target import Reply

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from device_profiles import DeviceProfile
    from edge_runtime.wire.bundle import Bundle


@dataclass(frozen=True)
class BoardTarget:
    """A board that serves the model.

    Args:
        name: `qemu` or `serial`.
        description: what stands behind it, for people.
        board: its profile.
        device: the line to it.
    """

    name: str
    description: str
    board: DeviceProfile
    device: SerialDevice

    @cached_property
    def ticks_hz(self) -> int:
        """Length of a second in the board's ticks; asked once."""
        return self.device.ledger().ticks_hz

    @cached_property
    def is_emulated(self) -> bool:
        """Whether it counts instructions and has no time of its own; asked once."""
        return not self.board.has_silicon or self.device.board().clock is Clock.UNCONTROLLED

    def infer(self, row: NDArray[np.int8]) -> Reply:
        """Run the model once.

        An emulator counts instructions, exact to one tick of its cycle source; a real board
        measures the time that the model's code took, by its own clock.
        """
        before = self.device.bytes_sent + self.device.bytes_received
        answer = self.device.infer(row.tobytes())
        link_bytes = self.device.bytes_sent + self.device.bytes_received - before
        output = np.frombuffer(answer.output, np.int8)
        if self.board.emulator is not None and self.is_emulated:
            instructions = self.board.emulator.instructions(answer.ticks)
            return Reply(output, instructions, None, link_bytes)
        return Reply(output, None, answer.ticks / self.ticks_hz, link_bytes)


@contextmanager
def open_serial(
    bundle: Bundle, port: str, progress: Callable[[int, int], None] | None = None
) -> Iterator[BoardTarget]:
    """Put a bundle's model on the board behind a serial port, and serve from there.

    Args:
        bundle: the exported model; the board is taken for the device that it was made for.
        port: path of the serial device or pty.
        progress: called with (bytes uploaded, bytes in all).

    Raises:
        BundleError: the bundle has no native module.
        LinkError: nobody answers there, or the board refused the model.
    """
    image = bundle.native
    with SerialDevice(port) as device:
        _put_model(device, image, progress)
        board = device_profiles.load(bundle.device_id)
        yield BoardTarget("serial", f"{board.name} on {port}", board, device)


def _put_model(
    device: SerialDevice, image: bytes, progress: Callable[[int, int], None] | None
) -> None:
    """Upload a model, unless the board takes none and serves this very one."""
    if device.board().is_read_only:
        active = device.active_model()
        if active is not None and active.sha256 == parse_image(image).sha256:
            return
    device.upload_model(image, progress=progress)
