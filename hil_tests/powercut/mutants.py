"""Single faults, each put into a copy of the firmware's sources: the proof must find every one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hil_tests.powercut.mutants_images import IMAGE_MUTANTS
from hil_tests.powercut.mutants_storage import STORAGE_MUTANTS
from jouleloop.errors import InputError

if TYPE_CHECKING:
    from hil_tests.powercut.mutant import Mutant

MUTANTS = IMAGE_MUTANTS + STORAGE_MUTANTS


def find_mutant(name: str) -> Mutant:
    """The mutant of this name.

    Raises:
        InputError: there is none.
    """
    for mutant in MUTANTS:
        if mutant.name == name:
            return mutant
    raise InputError(
        f"there is no mutant called {name!r}", hint="`jouleloop powercut --list-mutants` names them"
    )
