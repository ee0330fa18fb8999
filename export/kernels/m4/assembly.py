"""A routine of Thumb-2 assembly as a list of lines: operations, labels and a comment a block."""

from __future__ import annotations

from export.kernels.layer import Routine

# Which instructions and registers the assembler accepts: the smallest core of the DSP class.
_PREAMBLE = ".syntax unified\n.cpu cortex-m4\n.fpu fpv4-sp-d16\n.thumb\n"
_SAVED_BYTES = 36  # push {r4-r11, lr}


def register_list(registers: list[str] | tuple[str, ...]) -> str:
    """Operand of LDM, STM, PUSH and POP, e.g. `{r2, r3}`."""
    return "{" + ", ".join(registers) + "}"


class Assembly:
    """Text of one function, which grows line by line and counts its instructions.

    Args:
        symbol: global name of the function.
        description: first comment: arguments and what it does.
    """

    def __init__(self, symbol: str, description: str) -> None:
        self.symbol = symbol
        self.instructions = 0
        self._lines: list[str] = [f"/* {description} */"]

    def comment(self, text: str) -> None:
        """A line that says why the next block is there."""
        self._lines.append(f"    /* {text} */")

    def op(self, mnemonic: str, *operands: str) -> None:
        """One instruction."""
        self.instructions += 1
        self._lines.append(f"    {mnemonic} {', '.join(operands)}".rstrip())

    def label(self, name: str) -> None:
        """A numeric local label (`1`; branches to it say `1b` or `1f`)."""
        self._lines.append(f"{name}:")

    def directive(self, text: str) -> None:
        """A line for the assembler alone."""
        self._lines.append(text)

    def enter(self) -> None:
        """Save every register that the calling convention wants back."""
        self.op("push", "{r4-r11, lr}")

    def leave(self) -> None:
        """Restore them and return."""
        self.op("pop", "{r4-r11, pc}")

    def routine(self) -> Routine:
        """The finished function in a section of its own, so that a linker may drop it."""
        head = (
            f'.section .text.{self.symbol}, "ax", %progbits\n.balign 4\n.global {self.symbol}\n'
            f".type {self.symbol}, %function\n.thumb_func\n"
        )
        body = "\n".join([self._lines[0], f"{self.symbol}:", *self._lines[1:]])
        source = f"{_PREAMBLE}{head}{body}\n.size {self.symbol}, . - {self.symbol}\n"
        return Routine(self.symbol, source, ".S", _SAVED_BYTES)
