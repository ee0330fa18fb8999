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
        instructions: of the mean plan, everything included; None where nothing counts them.
        energy: of the same, or None where the device's profile lacks a figure.
        violation: largest of any constraint in any plan, in units of capacity.
        distance: root mean square distance of flows from the nearest plan's, of capacity.
    """

    instructions: float | None
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
        exact: figures of the exact projector; None where nothing was to be compared.
        amortised: of the learned one.
    """

    mode: ProjectorMode
    reason: str
    exact: ProjectorFigures | None = None
    amortised: ProjectorFigures | None = None

    def as_record(self) -> dict[str, Any]:
        """The record for JSON."""
        figures = {"exact": self.exact, "amortised": self.amortised}
        return {"chosen": str(self.mode), "reason": self.reason} | {
            name: None if value is None else value.as_record() for name, value in figures.items()
        }


def choose_projector(
    asked: ProjectorMode, exact: ProjectorFigures | None, amortised: ProjectorFigures | None
) -> Choice:
    """Take what was asked for, or of both the cheaper one among equals.

    Args:
        asked: AUTO compares.
        exact: figures of the exact projector; None where nothing is to be compared.
        amortised: of the learned one, or None where none was trained.

    Raises:
        InputError: AMORTISED was asked for and there is none.
    """
    if exact is None or amortised is None:
        if asked is ProjectorMode.AMORTISED:
            raise InputError(
                "the checkpoint has no amortised projector",
                hint="`jouleloop train planner` trains one; or export with --projector exact",
            )
        was_asked = asked is ProjectorMode.EXACT
        reason = "it was asked for" if was_asked else "no amortised projector was trained"
        return Choice(ProjectorMode.EXACT, reason)
    if asked is not ProjectorMode.AUTO:
        return Choice(asked, "it was asked for", exact, amortised)
    costs = _costs(amortised, exact)
    takes = (
        "" if costs is None else f"takes {costs[0] / costs[1]:.2f} times what the exact one takes"
    )
    if amortised.violation > max(exact.violation, FEASIBLE):
        against = f"violates a constraint by {amortised.violation:.2g} of capacity"
    elif costs is None:
        against = "cannot be shown to be cheaper: nothing counts what either takes on this device"
    elif amortised.distance > max(MOST_DISTANCE, exact.distance):
        against = (
            f"{takes}, but ends {amortised.distance:.2g} of capacity from the nearest plan, the "
            f"exact one {exact.distance:.2g}; at most {MOST_DISTANCE:g} counts as equal"
        )
    else:
        against = takes if costs[0] >= costs[1] else ""
    mode = ProjectorMode.EXACT if against else ProjectorMode.AMORTISED
    return Choice(mode, f"the amortised one {against or takes}", exact, amortised)


def _costs(first: ProjectorFigures, second: ProjectorFigures) -> tuple[float, float] | None:
    """Joules of both where both are known, instructions otherwise."""
    if first.energy is not None and second.energy is not None:
        return first.energy.joules, second.energy.joules
    if first.instructions is None or second.instructions is None:
        return None
    return first.instructions, second.instructions
