"""Builds the firmware of a board with the cross compiler that the `ziglang` wheel carries."""

from __future__ import annotations

import hashlib
import os
import subprocess
import tempfile
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

import jouleloop
from edge_runtime.firmware.trusted_keys import render_trusted_keys
from edge_runtime.key_folder import key_folder
from jouleloop.errors import InputError, MachineError
from jouleloop.programs import zig_command

if TYPE_CHECKING:
    from collections.abc import Sequence

    from device_profiles import DeviceProfile
    from edge_runtime.wire.keys import PublicKey

FOLDER = Path(__file__).parent
WARNINGS = ("-Wall", "-Wextra", "-Wconversion", "-Werror")
C_FLAGS = ("-std=c11", "-Os", "-g", "-ffreestanding", "-ffunction-sections", "-fdata-sections")
LINKER_SCRIPT = "firmware.ld"
LINK_FLAGS = ("-Wl,--gc-sections", "-Wl,--entry=reset_handler")
# The shims over Zig's standard library.
ZIG_SHIMS = ("sha256", "ed25519")
SHIM_OBJECTS = tuple(f"{shim}.o" for shim in ZIG_SHIMS)
KEYS_SOURCE = "trusted_keys.c"
SOURCE_SUFFIXES = frozenset({".c", ".h", ".ld", ".zig"})


@dataclass(frozen=True)
class Board:
    """A board's sources: its family's, `port/FAMILY/*`, and `boards/MACHINE.{c,h,ld}` there."""

    machine: str
    family: Path
    source: Path
    header: Path
    memory: Path

    @property
    def c_sources(self) -> tuple[Path, ...]:
        """Every C file of the board's firmware."""
        portable = sorted((FOLDER / "src").glob("*.c"))
        return (*portable, *sorted(self.family.glob("*.c")), self.source)

    @property
    def linker_script(self) -> str:
        """The memory of the board, and where the family puts things in it."""
        return self.memory.read_text("utf-8") + (self.family / "sections.ld").read_text("utf-8")


def boards() -> dict[str, Board]:
    """Boards that firmware can be built for, by the name of their machine."""
    return {
        script.stem: Board(
            script.stem,
            family=script.parent.parent,
            source=script.with_suffix(".c"),
            header=script.with_suffix(".h"),
            memory=script,
        )
        for script in sorted(FOLDER.glob("port/*/boards/*.ld"))
    }


def board_of(profile: DeviceProfile) -> Board:
    """The board that a device's emulated machine is.

    Raises:
        InputError: there is no port of the firmware for it.
    """
    board = None if profile.emulator is None else boards().get(profile.emulator.machine)
    if board is None:
        raise InputError(
            f"there is no firmware for {profile.id}",
            hint=f"emulated machines that it runs on: {', '.join(boards())}",
        )
    return board


def cache_folder() -> Path:
    """Where builds are kept: `jouleloop/firmware` in the user's cache."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "jouleloop" / "firmware"


def build_firmware(profile: DeviceProfile, *, trust: Sequence[PublicKey] = ()) -> Path:
    """The firmware of a board, built unless these very sources were built before.

    Two builds at once do not disturb each other: each works in a folder of its own, and a finished
    file takes its place in one step.

    Args:
        profile: a device whose emulated machine has a port.
        trust: keys that the board trusts besides those of the user's key folder.

    Returns:
        An ELF file in the user's cache.

    Raises:
        InputError: there is no port for this device, or more than 4 keys.
        KeyFileError: the key folder cannot be used.
        MissingToolError: the `ziglang` wheel or `cryptography` is not installed.
        MachineError: the compiler failed.
    """
    board = board_of(profile)
    target = ("-target", profile.core.zig_target, f"-mcpu={profile.core.zig_cpu}")
    keys = render_trusted_keys((*key_folder().trusted(), *trust))
    steps = [
        *shim_steps(*target, "-O", "ReleaseSmall"),
        zig_command(
            "cc",
            *profile.core.zig_cc_target,
            *C_FLAGS,
            *WARNINGS,
            f'-DJL_FIRMWARE_VERSION="{jouleloop.__version__}"',
            f"-ffile-prefix-map={FOLDER}=firmware",
            f"-I{FOLDER}/include",
            *("-include", str(board.header)),
            *map(str, board.c_sources),
            KEYS_SOURCE,
            *SHIM_OBJECTS,
            f"-Wl,-T,{LINKER_SCRIPT}",
            *LINK_FLAGS,
            "-o",
            "firmware.elf",
        ),
    ]
    folder = cache_folder()
    elf = folder / f"{board.machine}-{_fingerprint(steps, keys)}.elf"
    if not elf.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix="build-") as work:
            (Path(work) / KEYS_SOURCE).write_text(keys, encoding="utf-8")
            (Path(work) / LINKER_SCRIPT).write_text(board.linker_script, encoding="utf-8")
            for step in steps:
                _run(step, Path(work), board.machine)
            (Path(work) / "firmware.elf").replace(elf)
    return elf


def shim_steps(*flags: str) -> list[list[str]]:
    """Commands that compile the shims over Zig's standard library into SHIM_OBJECTS.

    Args:
        flags: target and optimisation; none of the former for this machine.

    Raises:
        MissingToolError: the `ziglang` wheel is not installed.
    """
    return [zig_command("build-obj", f"{FOLDER}/src/{shim}.zig", *flags) for shim in ZIG_SHIMS]


def _fingerprint(steps: list[list[str]], keys: str) -> str:
    """Changes with every source, flag, key and compiler; not with where the package lies."""
    digest = hashlib.sha256(metadata.version("ziglang").encode() + keys.encode())
    for step in steps:
        # The first arguments are this Python's path.
        digest.update("\0".join(step[3:]).replace(str(FOLDER), "").encode())
    for path in sorted(FOLDER.rglob("*")):
        if path.suffix in SOURCE_SUFFIXES:
            digest.update(path.relative_to(FOLDER).as_posix().encode() + path.read_bytes())
    return digest.hexdigest()[:16]


def _run(command: list[str], folder: Path, machine: str) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise MachineError(
            f"the compiler could not build the firmware of {machine}:\n{done.stderr.strip()}",
            hint="`jouleloop doctor` checks the compiler; a change in edge_runtime/firmware that "
            "broke the build shows above",
        )
