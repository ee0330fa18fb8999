"""The flash of an emulated board: a file, and what a factory puts into it."""

from __future__ import annotations

import fcntl
import os
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edge_runtime.firmware.flat import flatten
from jouleloop.errors import InputError, MachineError

if TYPE_CHECKING:
    from pathlib import Path

    from edge_runtime.firmware.build import Board, Firmware

# What the firmware of the MPS boards takes for flash: the begin of memory that is kept in a file.
FLASH_BYTES = 16 * 2**20
# Of that memory as a whole: the PSRAM of the MPS2 boards, the DDR of the MPS3 board (QEMU
# hw/arm/mps2.c and mps2-tz.c). What lies behind the flash is never touched: a hole in the file.
_DDR_BYTES = {"mps3-an547": 2 * 2**30}
# Flash of a board that does not write it: QEMU loads it from the file (hw/arm/netduinoplus2.c).
_ROM_BYTES = 2**20
ERASED = b"\xff"
# Where firmware lies in it (port/mps2/mps2.h), and what a slot without any begins with.
FIRMWARE_SLOTS = (0xC00000, 0xE00000)
NO_IMAGE = ERASED * 4


@dataclass(frozen=True)
class EmulatedFlash:
    """A board's flash in a file.

    Args:
        path: the file; made erased by `lock` when it does not exist.
        board: the board.
    """

    path: Path
    board: Board

    @property
    def file_bytes(self) -> int:
        """How large the file is."""
        if self.board.model_address is not None:
            return _ROM_BYTES
        return _DDR_BYTES.get(self.board.machine, FLASH_BYTES)

    def lock(self) -> ExitStack:
        """Make the file when there is none, and keep other boards off it.

        Raises:
            InputError: the file is no flash of this board.
            MachineError: another board uses it.
        """
        path, file_bytes = self.path, self.file_bytes
        with ExitStack() as stack:
            if not path.exists():
                partial = path.with_name(path.name + ".partial")
                partial.write_bytes(ERASED * min(file_bytes, FLASH_BYTES))
                os.truncate(partial, file_bytes)
                partial.replace(path)
            file = stack.enter_context(path.open("r+b"))
            if os.fstat(file.fileno()).st_size != file_bytes:
                raise InputError(
                    f"{path} is not a board's flash: it has {path.stat().st_size} bytes, "
                    f"not {file_bytes}",
                    hint="name a file that does not exist yet",
                )
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise MachineError(
                    f"another board uses the flash {path}", hint="give this one a file of its own"
                ) from error
            return stack.pop_all()

    def provision(self, firmware: Firmware, model: bytes | None) -> None:
        """What a factory does.

        A board with a boot loader that has no firmware yet gets it into its first slot. One that
        does not write its flash gets its firmware every time, as from a debug probe, and its model.

        Args:
            firmware: built for the board.
            model: a signed image; None: what lies there stays. A board that writes its flash takes
                models over its line instead.

        Raises:
            InputError: the model is larger than its place.
        """
        with self.path.open("r+b") as file:
            if self.board.model_address is None:
                slots = [_read(file.fileno(), offset) for offset in FIRMWARE_SLOTS]
                if slots == [NO_IMAGE] * len(FIRMWARE_SLOTS):
                    os.pwrite(file.fileno(), firmware.image(0), FIRMWARE_SLOTS[0])
                return
            base = self.board.address("FIRMWARE")
            model_at = self.board.model_address - base
            code = flatten(firmware.start.read_bytes(), base)
            os.pwrite(file.fileno(), code.ljust(model_at, ERASED), 0)
            if model is not None:
                room = _ROM_BYTES - model_at
                if len(model) > room:
                    raise InputError(
                        f"the model's image has {len(model)} bytes; the flash of "
                        f"{self.board.machine} has {room} for it",
                        hint="export a smaller model",
                    )
                os.pwrite(file.fileno(), model.ljust(room, ERASED), model_at)

    def qemu_arguments(self, firmware: Firmware) -> list[str]:
        """The machine with this flash, and what it starts."""
        if self.board.model_address is not None:
            return ["-machine", self.board.machine, "-kernel", str(self.path)]
        memory = f"memory-backend-file,id=flash,size={self.file_bytes},share=on,mem-path="
        # A comma in a value is written twice.
        memory += str(self.path).replace(",", ",,")
        return [
            *("-machine", f"{self.board.machine},memory-backend=flash"),
            *("-object", memory),
            *("-kernel", str(firmware.start)),
        ]


def _read(file: int, offset: int) -> bytes:
    return os.pread(file, len(NO_IMAGE), offset)
