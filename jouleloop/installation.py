"""What this machine has of what jouleloop needs, and the command that installs the rest."""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from packaging.requirements import Requirement

from jouleloop.cache import cache_folder
from jouleloop.errors import MissingToolError
from jouleloop.programs import APT_PACKAGES, require_program, zig_command

if TYPE_CHECKING:
    from collections.abc import Callable

MINIMUM_PYTHON = (3, 11)
PROBE_TIMEOUT_S = 60.0

# extra -> the commands that need it; "" is the base install.
EXTRAS = {
    "": "every command",
    "train": "train, demo",
    "export": "export, demo",
    "hil": "bench, demo",
    "fleet": "monitor, demo",
    "environments": "scenarios.environments",
    "dev": "make test, make lint",
}

# program -> what needs it, and how it tells its version.
PROGRAMS = {
    "qemu-system-arm": ("bench --target qemu, demo", "--version"),
    "mosquitto": ("monitor, demo", "-h"),
    "setpriv": ("bench, monitor, demo", "--version"),
    "gcc": ("make test", "--version"),
    "chromium": ("make test", "--version"),
}


@dataclass(frozen=True)
class Check:
    """One thing that jouleloop needs.

    Args:
        name: the program, Python package or folder.
        ok: it is there and works.
        version: what is there, or what is wrong with it.
        needed_for: the commands that need it.
        install: the command that installs or mends it.
    """

    name: str
    ok: bool
    version: str
    needed_for: str
    install: str

    @property
    def is_needed_by_demo(self) -> bool:
        """Whether `make demo` fails without it."""
        return "demo" in self.needed_for or self.needed_for == EXTRAS[""]


def check_installation(
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> tuple[Check, ...]:
    """Look for everything that jouleloop and its extras need.

    Args:
        progress: called with (checks done, checks in all).
    """
    steps: list[Callable[[], Check]] = [
        check_python,
        *(partial(check_package, *needed) for needed in required_packages().items()),
        *(partial(check_program, program) for program in PROGRAMS),
        check_cross_compiler,
        check_cache,
    ]
    checks = []
    for number, step in enumerate(steps):
        progress(number, len(steps))
        checks.append(step())
    progress(len(steps), len(steps))
    return tuple(checks)


def check_python() -> Check:
    """The Python that runs this."""
    least = ".".join(map(str, MINIMUM_PYTHON))
    return Check(
        "python",
        sys.version_info >= MINIMUM_PYTHON,
        sys.version.split()[0],
        EXTRAS[""],
        f"sudo apt-get install python3 (at least {least})",
    )


def required_packages() -> dict[Requirement, tuple[str, ...]]:
    """Every requirement of the installed jouleloop, with the extras that state it."""
    try:
        lines = metadata.requires("jouleloop") or ()
    except metadata.PackageNotFoundError:
        return {Requirement("jouleloop"): ("",)}
    extras_of: dict[Requirement, tuple[str, ...]] = {}
    for line in lines:
        requirement = Requirement(line)
        marker, requirement.marker = requirement.marker, None
        stating = tuple(e for e in EXTRAS if marker is None or marker.evaluate({"extra": e}))
        if stating:
            extras_of[requirement] = extras_of.get(requirement, ()) + stating
    return extras_of


def check_package(requirement: Requirement, extras: tuple[str, ...]) -> Check:
    """A Python package: installed, in a version that the requirement allows.

    Args:
        requirement: name and versions.
        extras: those that state it, "" for the base install.
    """
    try:
        version = metadata.version(requirement.name)
        ok = requirement.specifier.contains(version, prereleases=True)
        found = version if ok else f"{version}, but {requirement} is needed"
    except metadata.PackageNotFoundError:
        ok, found = False, "not installed"
    if "" in extras:
        return Check(requirement.name, ok, found, EXTRAS[""], "pip install jouleloop")
    users = dict.fromkeys(", ".join(EXTRAS[extra] for extra in extras).split(", "))
    install = f"pip install 'jouleloop[{extras[0]}]'"
    return Check(requirement.name, ok, found, ", ".join(users), install)


def check_program(name: str) -> Check:
    """A program that starts and tells its version."""
    needed_for, question = PROGRAMS[name]
    install = f"sudo apt-get install {APT_PACKAGES[name]}"
    return _try(name, needed_for, install, lambda: _program_version(name, question))


def check_cross_compiler() -> Check:
    """The wheel's compiler, tried on one function for a Cortex-M4."""
    needed_for = "export, bench --target qemu, demo"
    install = "pip install 'jouleloop[export]'"
    return _try("cross compiler", needed_for, install, _compile_for_cortex_m4)


def check_cache() -> Check:
    """The folder that keeps built firmware, tried by writing a file there."""
    folder = cache_folder()
    install = f"mkdir -p {folder} && chown -R $USER {folder}, or set XDG_CACHE_HOME"
    return _try("cache folder", "bench --target qemu, demo", install, lambda: _write_to(folder))


def _try(name: str, needed_for: str, install: str, probe: Callable[[], str]) -> Check:
    """A check by doing: what the probe returns, or what is wrong."""
    try:
        return Check(name, True, probe(), needed_for, install)
    except MissingToolError:
        wrong = "not installed"
    except subprocess.CalledProcessError as error:
        lines = error.stderr.decode(errors="replace").splitlines()
        wrong = next((line for line in lines if "error" in line), f"exit code {error.returncode}")
    except (OSError, subprocess.TimeoutExpired) as error:
        wrong = str(error)
    return Check(name, False, wrong, needed_for, install)


def _program_version(name: str, question: str) -> str:
    # Mosquitto answers `-h` with its version and a failure, so the exit code says nothing.
    answer = subprocess.run(
        [require_program(name), question],
        capture_output=True,
        timeout=PROBE_TIMEOUT_S,
        check=False,
    )
    version = re.search(rb"\d+(\.\d+)+", answer.stdout)
    if version is None:
        raise subprocess.CalledProcessError(answer.returncode, name, stderr=answer.stderr)
    return version.group().decode()


def _compile_for_cortex_m4() -> str:
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "probe.c"
        source.write_text("int probe(int a) { return a + 1; }\n")
        subprocess.run(
            zig_command(
                "cc",
                *("-target", "thumb-freestanding-eabihf", "-mcpu=cortex_m4"),
                *("-c", str(source), "-o", str(source.with_suffix(".o"))),
            ),
            capture_output=True,
            timeout=PROBE_TIMEOUT_S,
            check=True,
        )
    return "compiles for Cortex-M4"


def _write_to(folder: Path) -> str:
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder) as file:
        file.write(b"jouleloop")
    return str(folder)
