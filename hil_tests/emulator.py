"""An emulated board: QEMU boots our firmware, its serial port is a pty, its flash is a file."""

from __future__ import annotations

import os
import re
import selectors
import time
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Self

from edge_runtime.firmware.build import board_of, build_firmware
from edge_runtime.node.serial_device import SerialDevice
from hil_tests.emulated_flash import EmulatedFlash
from jouleloop.errors import DeviceTimeoutError, LinkError, MachineError
from jouleloop.programs import require_program, spawn, stop

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path
    from types import TracebackType

    from device_profiles import DeviceProfile
    from edge_runtime.wire.keys import PublicKey

START_TIMEOUT_S = 20.0
PTY_LINE = re.compile(rb"char device redirected to (\S+) .*\n")


class Emulator:
    """A running board; a context manager, and no process outlives it or the thread that made it.

    Flash survives in its file: leave the context, or kill QEMU as a power cut would, and start a
    new emulator on the same file. Under `-icount shift=0` an instruction takes one nanosecond of
    the board's time, and a sleep takes as long as it says.

    Args:
        profile: a device whose machine QEMU emulates and our firmware has a port for.
        flash_path: the board's flash; made erased when it does not exist. One board at a time.
        model: a signed image that the board is to serve: a board that does not write its flash
            gets it from the factory, the others by an upload. None: what they have already.
        progress: of the upload, called with (bytes stored, bytes in all).
        trust: keys whose images the board takes besides those of the user's key folder.
        arguments: more of them for QEMU, e.g. a plugin.

    Raises:
        MissingToolError: QEMU or the compiler is not installed.
        InputError: no firmware for this device, too many keys, the file is no flash of it, or the
            model is too large.
        KeyFileError: the key folder cannot be used.
        MachineError: the firmware did not build, QEMU did not start, or the flash is in use.
        LinkError: the board did not take the model.
    """

    def __init__(
        self,
        profile: DeviceProfile,
        flash_path: Path,
        *,
        model: bytes | None = None,
        progress: Callable[[int, int], None] | None = None,
        trust: Sequence[PublicKey] = (),
        arguments: Sequence[str] = (),
    ) -> None:
        require_program("qemu-system-arm")
        self.profile = profile
        self.flash_path = flash_path
        self.firmware = build_firmware(profile, trust=trust)
        self._board = board_of(profile)
        self._flash = EmulatedFlash(flash_path, self._board)
        self._model, self._progress = model, progress
        self._arguments = tuple(arguments)
        self._stack = ExitStack()
        self._said = b""
        self.port = ""

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            stack.enter_context(self._flash.lock())
            self._flash.provision(self.firmware, self._model)
            read_end, write_end = os.pipe()
            self._words = stack.enter_context(os.fdopen(read_end, "rb", buffering=0))
            try:
                self.process = spawn(self._command(), stdout=write_end, stderr=write_end)
            finally:
                os.close(write_end)
            stack.callback(stop, self.process)
            self.port = self._read_port()
            # QEMU looks for a new reader of a pty only once a second. While somebody holds it
            # open, clients that come and go are served at once.
            stack.enter_context(self._held_port())
            self._wait_for_firmware()
            self._give_model()
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stack.close()

    def _command(self) -> list[str]:
        return [
            "qemu-system-arm",
            *self._flash.qemu_arguments(self.firmware),
            *("-icount", "shift=0"),
            *("-display", "none"),
            *("-monitor", "none"),
            *("-serial", "pty"),
            *self._arguments,
        ]

    def _read_port(self) -> str:
        """Wait until QEMU says which pty it opened."""
        deadline = time.monotonic() + START_TIMEOUT_S
        with selectors.DefaultSelector() as selector:
            selector.register(self._words, selectors.EVENT_READ)
            while True:
                if not selector.select(deadline - time.monotonic()):
                    raise MachineError(f"QEMU opened no serial port in {START_TIMEOUT_S:.0f} s")
                chunk = self._words.read(4096)
                self._said += chunk
                if found := PTY_LINE.search(self._said):
                    return found[1].decode()
                if not chunk:
                    raise self._death()

    @contextmanager
    def _held_port(self) -> Iterator[None]:
        try:
            descriptor = os.open(self.port, os.O_RDWR | os.O_NOCTTY)
        except OSError as error:
            raise self._death() from error  # the pty went away with QEMU
        try:
            yield
        finally:
            os.close(descriptor)

    def _wait_for_firmware(self) -> None:
        try:
            with SerialDevice(self.port) as device:
                device.wait_until_up()
        except DeviceTimeoutError as error:
            raise MachineError(
                f"the firmware of the emulated {self.profile.id} does not answer",
                hint="move its flash file away to start with erased flash: " + str(self.flash_path),
            ) from error
        except LinkError as error:
            raise self._death() from error

    def _give_model(self) -> None:
        if self._model is None:
            return
        with SerialDevice(self.port) as device:
            if self._board.model_address is None:
                device.upload_model(self._model, self._progress)
            elif device.active_model() is None:
                raise LinkError(
                    f"the emulated {self.profile.id} does not serve the model that was put into "
                    f"its flash: {device.rollback().model}",
                    hint="export it for this device, with a key that the board trusts (--trust)",
                )

    def _death(self) -> MachineError:
        """What to say when QEMU ended, or is ending."""
        self._said += self._words.read()
        code = self.process.wait()
        words = PTY_LINE.sub(b"", self._said).decode(errors="replace").strip() or "nothing"
        return MachineError(
            f"the emulated {self.profile.id} ended (QEMU exited with {code}); it said: {words}",
            hint="qemu-system-arm of Debian 12 or newer is needed; `jouleloop doctor` checks it",
        )

    def wait(self) -> None:
        """Wait until the board ends by itself, which it never should.

        Raises:
            MachineError: it ended; with what QEMU said.
        """
        raise self._death()

    def cut_power(self) -> None:
        """End QEMU at once, as a power cut ends a board; what flash holds stays."""
        self.process.kill()
        self.process.wait()
