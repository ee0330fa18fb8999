"""Runs the harness and reads what it found."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hil_tests.powercut.build import build_harness
from jouleloop.errors import InputError
from jouleloop.programs import spawn, stop

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from hil_tests.powercut.mutant import Mutant

MAX_SEED = 2**64 - 1


@dataclass(frozen=True)
class ScenarioTally:
    """What the cuts of one scenario came to.

    Args:
        cut_points: places at which the power was cut once: before, after and in the middle of every
            flash operation.
        torn: those in the middle.
        double_cut: pairs of a cut and a second one in the recovery from it.
        violations: runs, with one cut or two or a failure, that broke a promise.
        failures: operations that failed once, torn, and the flash reported it.
        recovery_operations: the most flash operations that a start after a cut took.
    """

    cut_points: int
    torn: int
    double_cut: int
    violations: int
    failures: int
    recovery_operations: int


@dataclass(frozen=True)
class Proof:
    """What a run of the harness found.

    Args:
        seed: decides which bits a torn operation leaves.
        recovery_limit: flash operations that a start after a cut may take.
        scenarios: by name.
        violations_found: the first ones of each scenario, with what repeats them.
    """

    seed: int
    recovery_limit: int
    scenarios: dict[str, ScenarioTally]
    violations_found: tuple[str, ...]

    def total(self, field: str) -> int:
        """Sum over all scenarios of one field of `ScenarioTally`."""
        return sum(int(getattr(tally, field)) for tally in self.scenarios.values())

    @property
    def recovery_operations(self) -> int:
        """The most flash operations that a start after a cut took."""
        return max((t.recovery_operations for t in self.scenarios.values()), default=0)


class _Reader:
    """Puts the harness's lines together."""

    def __init__(self, seed: int, progress: Callable[[int, int], None] | None) -> None:
        self._seed = seed
        self._progress = progress
        self._total = 0
        self._recovery_limit = 0
        self._scenarios: dict[str, ScenarioTally] = {}
        self._violations: list[str] = []

    def take(self, line: str) -> None:
        word, _, rest = line.partition(" ")
        if word == "violation":
            self._violations.append(rest)
        elif word == "scenario":
            name, *figures = rest.split()
            self._scenarios[name] = ScenarioTally(*map(int, figures))
        elif word == "total":
            self._total = int(rest)
        elif word == "recovery":
            self._recovery_limit = int(rest)
        elif word == "done" and self._progress is not None:
            self._progress(int(rest), self._total)

    @property
    def has_found(self) -> bool:
        """Whether a promise was broken."""
        return bool(self._violations)

    def cut_short(self) -> Proof:
        """The harness was stopped at the first violation: no scenario is counted but its own."""
        name = self._violations[0].partition(":")[0]
        self._scenarios[name] = ScenarioTally(0, 0, 0, 1, 0, 0)
        return Proof(self._seed, self._recovery_limit, self._scenarios, tuple(self._violations))

    def finish(self, wanted: Sequence[str], exit_code: int) -> Proof:
        """A harness that died was killed by the board's code: that breaks a promise too."""
        for name in wanted:
            if name not in self._scenarios:
                self._scenarios[name] = ScenarioTally(0, 0, 0, 1, 0, 0)
                how = f"exit code {exit_code}; seed {self._seed}"
                self._violations.append(f"{name}: the board's code ended the harness ({how})")
        return Proof(self._seed, self._recovery_limit, self._scenarios, tuple(self._violations))


def scenario_names(harness: Path) -> tuple[str, ...]:
    """The scenarios that a harness knows, in its order."""
    listed = subprocess.run([harness, "--list"], capture_output=True, text=True, check=True)
    return tuple(listed.stdout.split())


def prove(
    *,
    seed: int = 1,
    scenarios: Sequence[str] = (),
    mutant: Mutant | None = None,
    flags: Sequence[str] = (),
    until_found: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Proof:
    """Cut the power at every flash operation of the scenarios, and again in every recovery.

    Args:
        seed: 0 to 2**64 - 1; decides which bits a torn operation leaves.
        scenarios: names; none means all.
        mutant: a fault to put into the firmware first, or None for the firmware as it is.
        flags: more of them for gcc: sanitizers, another size of the flash's program unit.
        until_found: stop at the first violation.
        progress: called with (cut points done, cut points in all).

    Raises:
        InputError: no such scenario or seed, or the mutant does not fit the sources.
        MissingToolError: gcc or the `ziglang` wheel is not installed.
        MachineError: the compiler refuses the sources.
    """
    if not 0 <= seed <= MAX_SEED:
        raise InputError(f"seed {seed} is not a number from 0 to {MAX_SEED}")
    harness = build_harness(mutant, flags=flags)
    known = scenario_names(harness)
    for name in scenarios:
        if name not in known:
            raise InputError(
                f"there is no scenario called {name!r}", hint=f"scenarios: {', '.join(known)}"
            )
    reader = _Reader(seed, progress)
    process = spawn([str(harness), str(seed), *scenarios], stdout=subprocess.PIPE)
    try:
        for line in process.stdout or ():
            reader.take(line.decode().rstrip("\n"))
            if until_found and reader.has_found:
                return reader.cut_short()
        exit_code = process.wait()
    finally:
        stop(process)
    return reader.finish(scenarios or known, exit_code)
