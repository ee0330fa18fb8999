"""Which projector a device gets: the exact one, or a learned one that is finished exactly."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from edge_runtime.planner.residuals import FEASIBLE
from jouleloop.errors import InputError

if TYPE_CHECKING:
    from jouleloop.energy import Energy

MOST_DISTANCE = 0.01  # of capacity, root mean square: a plan farther from the nearest is no equal


class ProjectorMode(StrEnum):
    """What `--projector` asks for."""

    AUTO = "auto"
    EXACT = "exact"
    AMORTISED = "amortised"


@dataclass(frozen=True)
class ProjectorFigures:
    """What a projector costs and how good its finished plans are.

    Args:
        instructions: of the mean plan, everything included.
        energy: of the same, or None where the device's profile lacks a figure.
        violation: largest of any constraint in any plan, in units of capacity.
        distance: root mean square distance of flows from the nearest plan's, of capacity.
    """

    instructions: float
    energy: Energy | None
    violation: float
    distance: float

    def as_record(self) -> dict[str, Any]:
        """The record for JSON."""
        return {
            "instructions": self.instructions,
            "energy": None if self.energy is None else self.energy.as_record(),
            "violation": self.violation,
            "distance": self.distance,
        }


@dataclass(frozen=True)
class Choice:
    """The projector that is exported, and why.

    Args:
        mode: EXACT or AMORTISED.
        reason: one sentence with the figures that decided.
    """

    mode: ProjectorMode
    reason: str


def choose_projector(
    asked: ProjectorMode, exact: ProjectorFigures, amortised: ProjectorFigures | None
) -> Choice:
    """Take what was asked for, or of both the cheaper one among equals.

    Args:
        asked: AUTO compares.
        exact: figures of the exact projector.
        amortised: of the learned one, or None where none was trained.

    Raises:
        InputError: AMORTISED was asked for and there is none.
    """
    if amortised is None:
        if asked is ProjectorMode.AMORTISED:
            raise InputError(
                "the checkpoint has no amortised projector",
                hint="train one, or export with --projector exact",
            )
        return Choice(ProjectorMode.EXACT, "no amortised projector was trained")
    if asked is not ProjectorMode.AUTO:
        return Choice(asked, "it was asked for")
    mine, theirs = _cost(amortised, exact)
    takes = f"takes {mine / theirs:.2f} times what the exact one takes"
    against = ""
    if amortised.violation > max(exact.violation, FEASIBLE):
        against = f"violates a constraint by {amortised.violation:.2g} of capacity"
    elif amortised.distance > max(MOST_DISTANCE, exact.distance):
        against = (
            f"{takes}, but ends {amortised.distance:.2g} of capacity from the nearest plan, the "
            f"exact one {exact.distance:.2g}; at most {MOST_DISTANCE:g} counts as equal"
        )
    elif mine >= theirs:
        against = takes
    mode = ProjectorMode.EXACT if against else ProjectorMode.AMORTISED
    return Choice(mode, f"the amortised one {against or takes}")


def _cost(first: ProjectorFigures, second: ProjectorFigures) -> tuple[float, float]:
    """Joules of both where both are known, instructions otherwise."""
    if first.energy is not None and second.energy is not None:
        return first.energy.joules, second.energy.joules
    return first.instructions, second.instructions
