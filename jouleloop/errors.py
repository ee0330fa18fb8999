"""Every error that jouleloop raises on purpose.

    JouleloopError                      exit 1: the user or the environment can mend it
    ├── InputError                      what was given cannot be used
    │   ├── UnknownDeviceError          no profile has this id
    │   ├── MissingFigureError          the profile lacks the figure that the question needs
    │   ├── ProfileError                a profile file breaks the schema
    │   ├── CheckpointError             a checkpoint folder cannot be read
    │   ├── UnsupportedModelError       an operator, type or shape that the compiler has no code for
    │   ├── BundleError                 a .jlb that is broken, or made for another device
    │   │   └── SignatureError          an image that is not signed, or not by the key it names
    │   ├── KeyFileError                a key file that is missing, open to others, or no key
    │   ├── OverBudgetError             flash, RAM or joules above the budget
    │   ├── ScenarioError               a scenario that cannot be built
    │   ├── NetworkError                a material network that is broken, or that no plan can keep
    │   └── PlanError                   plans that are broken, or of another network
    ├── MachineError                    this machine lacks something
    │   ├── MissingToolError            a program or Python package is not installed
    │   └── PortInUseError              another process listens there
    ├── LinkError                       the device or the broker did not answer as it must
    │   ├── DeviceTimeoutError          no answer in time
    │   └── DeviceRefusedError          the device answered with an error code
    ├── ConformanceError                a board does not do what every port must do
    └── MixedEnergyError                measured and modelled joules met in one sum

An error says what was asked, where, the limit, the actual value and the next step. The command line
prints it and exits 1; wrong usage exits 2 (typer's own); anything else is a bug and exits 70.
"""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

EXIT_USER = 1
EXIT_USAGE = 2
EXIT_BUG = 70  # EX_SOFTWARE, sysexits.h


class JouleloopError(Exception):
    """Root of the tree.

    Args:
        message: one sentence: what was asked, where, the limit and the actual value.
        hint: the next step, or empty.
    """

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class InputError(JouleloopError):
    """What was given cannot be used."""


class UnknownDeviceError(InputError):
    """No profile has this id; names the nearest ones.

    Args:
        device: what was asked for.
        known: every id.
        emulates: the device whose emulated machine has this name, if any.
    """

    def __init__(self, device: str, known: Iterable[str], emulates: str | None = None) -> None:
        self.device = device
        self.known = tuple(sorted(known))
        self.nearest = tuple(get_close_matches(device, self.known, n=3, cutoff=0.4))
        near = f"the nearest is {', '.join(self.nearest)}; " if self.nearest else ""
        if emulates is not None:
            near = f"it is the emulated machine of {emulates}; "
        super().__init__(
            f"no device profile is called {device!r}",
            hint=f"{near}`jouleloop devices` lists all {len(self.known)}",
        )


class MissingFigureError(InputError):
    """A profile lacks the figure that the question needs."""

    def __init__(self, figure: str, path: Path | str, *, needed_for: str = "") -> None:
        self.figure = figure
        self.path = str(path)
        purpose = f", which {needed_for} needs" if needed_for else ""
        super().__init__(
            f"{Path(path).name} has no figure {figure}{purpose}",
            hint=f"add it with its source to {path}, or ask for a device that has it",
        )


class ProfileError(InputError):
    """A profile file breaks the schema."""


class CheckpointError(InputError):
    """A checkpoint folder cannot be read."""


class UnsupportedModelError(InputError):
    """An operator, type or shape that the compiler has no code for."""


class BundleError(InputError):
    """A bundle that is broken, or made for another device."""


class SignatureError(BundleError):
    """An image that is not signed, or not by the key that it names."""


class KeyFileError(InputError):
    """A key file that is missing, open to others, or no Ed25519 key."""


class OverBudgetError(InputError):
    """Flash, RAM or joules above the budget.

    Args:
        message: which budget, its limit and the actual value.
        rows: the table behind it: (what, actual, limit) by state, then by layer.
        hint: the next step.
    """

    def __init__(
        self, message: str, *, rows: tuple[tuple[str, str, str], ...] = (), hint: str = ""
    ) -> None:
        super().__init__(message, hint=hint)
        self.rows = rows


class ScenarioError(InputError):
    """A scenario that cannot be built."""


class NetworkError(InputError):
    """A material network that is broken, or that no plan can keep."""


class PlanError(InputError):
    """Plans that are broken, or of another network."""


class MachineError(JouleloopError):
    """This machine lacks something."""


class MissingToolError(MachineError):
    """A program or Python package is not installed; names what installs it."""

    def __init__(self, tool: str, package: str, command: str) -> None:
        self.tool = tool
        self.package = package
        self.command = command
        super().__init__(f"{tool} is not installed (package {package})", hint=f"run: {command}")


class PortInUseError(MachineError):
    """Another process listens there."""

    def __init__(self, host: str, port: int) -> None:
        self.host = host
        self.port = port
        super().__init__(
            f"port {port} on {host} is in use by another process",
            hint="choose another with --port, or 0 for any free one",
        )


class LinkError(JouleloopError):
    """The device or the broker did not answer as it must."""


class DeviceTimeoutError(LinkError):
    """No answer in time."""


class DeviceRefusedError(LinkError):
    """The device answered with an error code.

    Args:
        message: what was asked and what the device said.
        code: the device's code (SMP's rc, 1..255).
        group: the group of commands whose code that is; None for one of the protocol's own.
        hint: the next step.
    """

    def __init__(
        self, message: str, *, code: int, group: int | None = None, hint: str = ""
    ) -> None:
        super().__init__(message, hint=hint)
        self.code = code
        self.group = group


class ConformanceError(JouleloopError):
    """A board does not do what every port of the firmware must do."""


class MixedEnergyError(JouleloopError):
    """Measured and modelled joules met in one sum or comparison."""
