"""A Helium routine as a list of lines: the DSP class's, with vector registers to save."""

from __future__ import annotations

from typing import TYPE_CHECKING

from export.kernels.layer import Routine
from export.kernels.m4.assembly import Assembly, register_list

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["ACCUMULATORS", "SAVED_BYTES", "HeliumAssembly", "register_list"]

# VMLADAVA adds into even registers only; LDM and STM keep them in this order.
ACCUMULATORS = ("r0", "r2", "r4", "r6", "r8", "r10", "r12", "lr")
SAVED_BYTES = 36 + 64  # push {r4-r11, lr} and vpush {d8-d15}

# Neither `.arch` nor `.cpu`: with LLVM they switch Helium off that -mcpu=cortex_m55+mve gave.
_PREAMBLE = ".syntax unified\n.thumb\n"


class HeliumAssembly(Assembly):
    """Text of one function; the calling convention keeps Q4-Q7 for the caller."""

    def enter(self) -> None:
        """Save every register that the calling convention wants back, `SAVED_BYTES`."""
        self.op("push", "{r4-r11, lr}")
        self.op("vpush", "{d8-d15}")

    def leave(self) -> None:
        """Restore them and return."""
        self.op("vpop", "{d8-d15}")
        self.op("pop", "{r4-r11, pc}")

    def ops(self, lines: Iterable[str]) -> None:
        """Several instructions, one a line."""
        for line in lines:
            mnemonic, _, operands = line.strip().partition(" ")
            self.op(mnemonic, *([operands.strip()] if operands else []))

    def finish(self, stack_bytes: int) -> Routine:
        """The finished function in a section of its own, so that a linker may drop it."""
        head = (
            f'.section .text.{self.symbol}, "ax", %progbits\n.balign 4\n.global {self.symbol}\n'
            f".type {self.symbol}, %function\n.thumb_func\n"
        )
        body = "\n".join([self._lines[0], f"{self.symbol}:", *self._lines[1:]])
        source = f"{_PREAMBLE}{head}{body}\n.size {self.symbol}, . - {self.symbol}\n"
        return Routine(self.symbol, source, ".S", stack_bytes)
