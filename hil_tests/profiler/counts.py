"""Read what the plugin wrote: executed instructions per address."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from jouleloop.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

HEADER = "jouleloop-counts"
VERSION = "1"


@dataclass(frozen=True)
class InstructionCount:
    """How often one instruction ran.

    Args:
        part: which part of the work it ran in; 0 before the first.
        address: of its first byte.
        code: its 2 or 4 bytes as they lie in memory.
        executed: how often.
        left: how often control went elsewhere than to the next address, `executed` at most.
    """

    part: int
    address: int
    code: bytes
    executed: int
    left: int


@dataclass(frozen=True)
class Counts:
    """A run's counts.

    Args:
        windows: executed instructions of each finished window, in order.
        instructions: by address; over all windows.
    """

    windows: tuple[int, ...]
    instructions: tuple[InstructionCount, ...]

    @property
    def executed(self) -> int:
        """Instructions in all windows."""
        return sum(self.windows)


def read_counts(path: Path) -> Counts:
    """Read a counts file.

    Raises:
        InputError: it is absent, broken or cut off, or QEMU ended inside a window.
    """
    try:
        text = path.read_text("ascii")
    except FileNotFoundError as error:
        raise InputError(
            f"{path} is absent: QEMU ended without writing its counts",
            hint="QEMU must end in order (SIGTERM, or the program's own exit), not be killed",
        ) from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is no counts file: {error}", hint="profile again") from error
    return parse_counts(text, str(path))


def parse_counts(text: str, where: str) -> Counts:
    """Parse the text of a counts file.

    Args:
        text: lines as plugin.c describes them.
        where: the file's name, for errors.

    Raises:
        InputError: it is broken or cut off, or QEMU ended inside a window.
    """
    lines = text.split("\n")
    header = lines[0].split(",")
    if header[:2] != [HEADER, VERSION] or len(header) != 3 or lines[-1] != "":
        raise InputError(
            f"{where} is no whole counts file: it starts with {lines[0][:40]!r}",
            hint=f"the first line is {HEADER},{VERSION},0; profile again",
        )
    if header[2] != "0":
        raise InputError(
            f"{where}: QEMU ended inside an inference, before jl_infer_end",
            hint="the program crashed or was stopped there; see QEMU's output",
        )
    windows: list[int] = []
    instructions: list[InstructionCount] = []
    for number, line in enumerate(lines[1:-1], start=2):
        try:
            row = _parse_row(line.split(","))
        except ValueError as error:
            raise InputError(
                f"{where}, line {number}: {line[:60]!r} is no row of counts ({error})",
                hint="profile again",
            ) from error
        if isinstance(row, int):
            windows.append(row)
        else:
            instructions.append(row)
    counts = Counts(tuple(windows), tuple(instructions))
    listed = sum(count.executed for count in instructions)
    if listed != counts.executed:
        raise InputError(
            f"{where}: the windows hold {counts.executed} instructions, the addresses {listed}",
            hint="the file is damaged; profile again",
        )
    return counts


def _parse_row(fields: list[str]) -> int | InstructionCount:
    match fields:
        case ["window", executed]:
            return _natural(executed)
        case ["insn", part, address, code, executed, left]:
            count = InstructionCount(
                _natural(part),
                int(address, 16),
                bytes.fromhex(code),
                _natural(executed),
                _natural(left),
            )
            if len(count.code) not in (2, 4) or count.left > count.executed:
                raise ValueError("bytes or counts out of range")
            return count
    raise ValueError("unknown row")


def _natural(text: str) -> int:
    if not text.isdecimal():
        raise ValueError(f"{text!r} is no count")
    return int(text)
