"""An emulated board: QEMU boots our firmware, its serial port is a pty, its flash is a file."""

from __future__ import annotations

import fcntl
import os
import re
import selectors
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Self

from edge_runtime.firmware.build import board_of, build_firmware
from edge_runtime.node.serial_device import SerialDevice
from jouleloop.errors import DeviceTimeoutError, InputError, LinkError, MachineError
from jouleloop.programs import require_program, spawn, stop

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import TracebackType

    from device_profiles import DeviceProfile
    from edge_runtime.firmware.build import Firmware
    from edge_runtime.wire.keys import PublicKey

# What the firmware takes for flash: the begin of the memory that QEMU keeps in a file.
FLASH_BYTES = 16 * 2**20
# Of that memory as a whole: the PSRAM of the MPS2 boards, the DDR of the MPS3 board (QEMU
# hw/arm/mps2.c and mps2-tz.c). What lies behind the flash is never touched: a hole in the file.
_DDR_BYTES = {"mps3-an547": 2 * 2**30}
ERASED = b"\xff"
# Where firmware lies in it (port/mps2/mps2.h), and what a slot without any begins with.
FIRMWARE_SLOTS = (0xC00000, 0xE00000)
NO_IMAGE = ERASED * 4
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
        trust: keys whose images the board takes besides those of the user's key folder.
        arguments: more of them for QEMU, e.g. a plugin.

    Raises:
        MissingToolError: QEMU or the compiler is not installed.
        InputError: no firmware for this device, too many keys, or the file is no flash of it.
        KeyFileError: the key folder cannot be used.
        MachineError: the firmware did not build, QEMU did not start, or the flash is in use.
    """

    def __init__(
        self,
        profile: DeviceProfile,
        flash_path: Path,
        *,
        trust: Sequence[PublicKey] = (),
        arguments: Sequence[str] = (),
    ) -> None:
        require_program("qemu-system-arm")
        self.profile = profile
        self.flash_path = flash_path
        self.firmware = build_firmware(profile, trust=trust)
        self._machine = board_of(profile).machine
        self._arguments = tuple(arguments)
        self._memory_bytes = _DDR_BYTES.get(self._machine, FLASH_BYTES)
        self._stack = ExitStack()
        self._said = b""
        self.port = ""

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            stack.enter_context(_locked_flash(self.flash_path, self._memory_bytes))
            _provision(self.flash_path, self.firmware)
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
        flash = f"memory-backend-file,id=flash,size={self._memory_bytes},share=on,mem-path="
        # A comma in a value is written twice.
        flash += str(self.flash_path).replace(",", ",,")
        return [
            "qemu-system-arm",
            *("-machine", f"{self._machine},memory-backend=flash"),
            *("-object", flash),
            *("-kernel", str(self.firmware.boot)),
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


def _provision(flash: Path, firmware: Firmware) -> None:
    """What a factory does: firmware into the first slot of a board that has none."""
    with flash.open("r+b") as file:
        for offset in FIRMWARE_SLOTS:
            file.seek(offset)
            if file.read(len(NO_IMAGE)) != NO_IMAGE:
                return
        file.seek(FIRMWARE_SLOTS[0])
        file.write(firmware.image(0))


def _locked_flash(path: Path, memory_bytes: int) -> ExitStack:
    """Make the flash file when there is none, and keep other boards off it."""
    with ExitStack() as stack:
        if not path.exists():
            partial = path.with_name(path.name + ".partial")
            partial.write_bytes(ERASED * FLASH_BYTES)
            os.truncate(partial, memory_bytes)
            partial.replace(path)
        file = stack.enter_context(path.open("r+b"))
        if os.fstat(file.fileno()).st_size != memory_bytes:
            raise InputError(
                f"{path} is not a board's flash: it has {path.stat().st_size} bytes, "
                f"not {memory_bytes}",
                hint="name a file that does not exist yet",
            )
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise MachineError(
                f"another board uses the flash {path}", hint="give this one a file of its own"
            ) from error
        return stack.pop_all()
