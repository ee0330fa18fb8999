"""A single fault that is put into a copy of the firmware's sources."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from jouleloop.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class Mutant:
    """A fault: a text of one source file and what replaces it.

    Args:
        name: on the command line.
        fault: what is wrong then, in a few words.
        file: path in the firmware's folder.
        text: occurs exactly once in the file.
        replacement: takes its place.
        scenario: one that shows the fault.
    """

    name: str
    fault: str
    file: str
    text: str
    replacement: str
    scenario: str

    def apply(self, folder: Path) -> None:
        """Put the fault into a copy of the sources.

        Args:
            folder: a copy of the firmware's folder.

        Raises:
            InputError: the sources changed, so that the text is not there exactly once.
        """
        path = folder / self.file
        source = path.read_text(encoding="utf-8") if path.is_file() else ""
        count = source.count(self.text)
        if count != 1:
            raise InputError(
                f"the mutant {self.name} does not fit the firmware: its text occurs {count} times "
                f"in {self.file}, not once",
                hint="bring hil_tests/powercut/mutants_*.py in line with the source",
            )
        path.write_text(source.replace(self.text, self.replacement), encoding="utf-8")
