"""Builds the harness: the firmware's own C, unchanged or with one fault, over simulated flash."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import tempfile
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from edge_runtime.firmware.build import FOLDER as FIRMWARE
from jouleloop.cache import BuildCache
from jouleloop.errors import MachineError
from jouleloop.programs import require_program, zig_command

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hil_tests.powercut.mutant import Mutant

HARNESS = Path(__file__).parent / "harness"
# Portable code alone; the harness is the board.
PORTABLE = ("include", "src", "boot")
FLAGS = (
    *("-std=c11", "-O2", "-g", "-Iinclude", "-Iport", '-DJL_FIRMWARE_VERSION="powercut"'),
    # A fault may leave something unused behind: warnings are for the builds of the firmware.
    "-w",
    # Flash at the same address in each run: firmware states where it lies, and a seed must tear
    # the same bits.
    "-fno-pie",
)
# Of the host, but of any host: what is built may lie in a home that several machines share.
ZIG_FLAGS = ("-O", "ReleaseFast", "-fPIC", "-mcpu=baseline", "-fno-stack-check")


# The last one signs the harness's own images.
SHIMS = ("src/sha256.zig", "src/ed25519.zig", "harness/sign.zig")


def _copy_sources(folder: Path) -> None:
    """The portable firmware, the NOR rules of its ports, and the harness, as they are now."""
    for part in PORTABLE:
        shutil.copytree(FIRMWARE / part, folder / part)
    (folder / "port").mkdir()
    shutil.copy(FIRMWARE / "port" / "nor.h", folder / "port")
    shutil.copytree(HARNESS, folder / "harness")


class _Workshop:
    """A copy of the sources, and what was already built of ones like it."""

    def __init__(self, work: Path, cache: BuildCache) -> None:
        self.work = work
        self.cache = cache

    def build(self, stem: str, command: Sequence[str], made: str, inputs: Sequence[bytes]) -> Path:
        """Run a command in the work folder, unless its result is kept.

        Args:
            stem: begins the name of the built file.
            command: writes the file `made` into the work folder.
            made: relative to the work folder.
            inputs: what the result depends on, beside the command.
        """
        digest = hashlib.sha256("\0".join(command).encode())
        for part in inputs:
            digest.update(hashlib.sha256(part).digest())

        def run(_: Path) -> Path:
            done = subprocess.run(
                command, cwd=self.work, capture_output=True, text=True, check=False
            )
            if done.returncode:
                raise MachineError(
                    "the harness of the power-cut proof does not compile:\n"
                    + done.stderr.strip()[-2000:],
                    hint="a change in edge_runtime/firmware that broke the build shows above",
                )
            return self.work / made

        return self.cache.get(f"{stem}-{digest.hexdigest()[:16]}{Path(made).suffix}", run)


def build_harness(mutant: Mutant | None = None, *, flags: Sequence[str] = ()) -> Path:
    """The harness, built unless these very sources were built before.

    Args:
        mutant: the fault to put into the copy of the sources that is compiled.
        flags: more of them for gcc.

    Returns:
        An executable in the user's cache.

    Raises:
        InputError: the mutant does not fit the sources.
        MissingToolError: gcc or the `ziglang` wheel is not installed.
        MachineError: the compiler refuses the sources.
    """
    cache = BuildCache("powercut")
    cache.folder.mkdir(parents=True, exist_ok=True)
    # Beside what is kept, for a finished file is renamed into its place.
    with tempfile.TemporaryDirectory(dir=cache.folder, prefix="build-") as name:
        work = Path(name)
        _copy_sources(work)
        if mutant is not None:
            mutant.apply(work)
        workshop = _Workshop(work, cache)
        shims = [_build_shim(workshop, shim) for shim in SHIMS]
        objects = [*shims, *_build_objects(workshop, flags)]
        link = [require_program("gcc"), *flags, "-no-pie", *map(str, objects), "-o", "powercut"]
        return workshop.build("powercut", link, "powercut", ())


def _build_shim(workshop: _Workshop, shim: str) -> Path:
    """Cryptography of Zig's standard library: the real one, as on the boards."""
    stem = Path(shim).stem
    command = zig_command("build-obj", shim, *ZIG_FLAGS, f"-femit-bin={stem}.o")
    inputs = ((workshop.work / shim).read_bytes(), metadata.version("ziglang").encode())
    return workshop.build(stem, command, f"{stem}.o", inputs)


def _build_objects(workshop: _Workshop, flags: Sequence[str]) -> list[Path]:
    """One object per C file; each depends on that file and on every header."""
    gcc = require_program("gcc")
    headers = [path.read_bytes() for path in sorted(workshop.work.rglob("*.h"))]
    objects = []
    for path in sorted(workshop.work.rglob("*.c")):
        source = str(path.relative_to(workshop.work))
        command = [gcc, *FLAGS, *flags, "-c", source, "-o", "object.o"]
        inputs = (path.read_bytes(), *headers)
        objects.append(workshop.build(path.stem, command, "object.o", inputs))
    return objects
