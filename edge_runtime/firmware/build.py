"""Builds the firmware of a board with the cross compiler that the `ziglang` wheel carries."""

from __future__ import annotations

import hashlib
import re
import subprocess
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

import jouleloop
from device_profiles.core import Isa
from device_profiles.energy_model import picojoules_per_tick
from edge_runtime.firmware.flat import flatten
from edge_runtime.firmware.stack_bound import bounds
from edge_runtime.firmware.trusted_keys import render_trusted_keys
from edge_runtime.key_folder import key_folder
from edge_runtime.wire.image import Target, Version, make_image
from jouleloop.cache import BuildCache
from jouleloop.errors import InputError, MachineError
from jouleloop.programs import zig_command

if TYPE_CHECKING:
    from collections.abc import Sequence

    from device_profiles import DeviceProfile
    from edge_runtime.firmware.stack_bound import StackBound
    from edge_runtime.wire.keys import PublicKey, SigningKey

FOLDER = Path(__file__).parent
WARNINGS = ("-Wall", "-Wextra", "-Wconversion", "-Werror")
C_FLAGS = ("-std=c11", "-Os", "-g", "-ffreestanding", "-ffunction-sections", "-fdata-sections")
# Frames of functions, for stack_bound.py.
STACK_FLAG = "-fstack-size-section"
# The two slots of firmware.
SLOTS = ("slot_a", "slot_b")
# A vector table lies at a multiple of its size, rounded up to a power of two: behind the header.
FIRMWARE_HEADER_BYTES = 512
LINK_FLAGS = ("-Wl,--gc-sections", "-Wl,--entry=reset_handler")
# The shims over Zig's standard library.
ZIG_SHIMS = ("sha256", "ed25519")
SHIM_OBJECTS = tuple(f"{shim}.o" for shim in ZIG_SHIMS)
KEYS_SOURCE = "trusted_keys.c"
SOURCE_SUFFIXES = frozenset({".c", ".h", ".ld", ".zig"})


@dataclass(frozen=True)
class Program:
    """A program of a board.

    Args:
        name: `NAME.elf` is what is linked.
        part: folder of its own sources, `boot` or `firmware`.
        region: of the board's linker script, where its code lies.
    """

    name: str
    part: str
    region: str


BOOT = Program("boot", "boot", "BOOT")
# Firmware that a boot loader starts, and firmware that starts alone.
REPLACEABLE = tuple(Program(slot, "firmware", slot.upper()) for slot in SLOTS)
ALONE = Program("firmware", "firmware", "FIRMWARE")


@dataclass(frozen=True)
class Board:
    """A board's sources: `boards/MACHINE.{h,ld}` in its family's folder, and what they need."""

    machine: str
    family: Path
    header: Path
    memory: Path

    @property
    def has_boot_loader(self) -> bool:
        """It verifies and replaces firmware; otherwise one firmware lies where the core starts."""
        return (self.family / BOOT.part).is_dir()

    @property
    def programs(self) -> tuple[Program, ...]:
        """All that is built for it."""
        return (BOOT, *REPLACEABLE) if self.has_boot_loader else (ALONE,)

    @property
    def model_address(self) -> int | None:
        """Where a probe puts the model of a board that does not write its flash; else None."""
        return None if self.has_boot_loader else self.address("MODEL")

    def c_sources(self, part: str) -> tuple[Path, ...]:
        """Every C file of a program for the board.

        Args:
            part: `boot` or `firmware`.
        """
        portable = [*(FOLDER / "src").glob("*.c"), *(FOLDER / part).glob("*.c")]
        family = [*self.family.glob("*.c"), *(self.family / part).glob("*.c")]
        return (*sorted(portable), *sorted(_cortex_m().glob("*.c")), *sorted(family))

    def linker_script(self, region: str) -> str:
        """The memory of the board, and where things lie in it.

        Args:
            region: where the program's code lies.
        """
        memory = self.memory.read_text("utf-8")
        sections = (_cortex_m() / "sections.ld").read_text("utf-8")
        return f'{memory}\nREGION_ALIAS("CODE", {region})\n{sections}'

    def model_stack_bytes(self) -> int:
        """What the board leaves to a model's code, as its struct says."""
        pattern = r"\.module_stack_bytes = (\d+) \* 1024"
        text = "".join(path.read_text("utf-8") for path in self.c_sources("firmware"))
        (kibibytes,) = re.findall(pattern, text)
        return int(kibibytes) * 1024

    def address(self, region: str) -> int:
        """Where a region of its linker script begins; in a slot an image's header comes first."""
        pattern = rf"\b{region} *\(rx\) *: *ORIGIN = (0x[0-9a-f]+)\b"
        (found,) = re.findall(pattern, self.memory.read_text("utf-8"))
        return int(found, 16)


@dataclass(frozen=True)
class Firmware:
    """What was built for a board, in a folder of the user's cache.

    Args:
        folder: with `boot.elf`, and for each slot `slot_a` and `slot_b` an `.elf` and the signed
            image, `.bin`; or with `firmware.elf` alone, for a board without a boot loader.
    """

    folder: Path

    @property
    def start(self) -> Path:
        """What the board starts, an ELF file: the boot loader, or the firmware without one."""
        alone = self.folder / f"{ALONE.name}.elf"
        return alone if alone.is_file() else self.folder / f"{BOOT.name}.elf"

    def elf(self, slot: int) -> Path:
        """The firmware that is linked for a slot, 0 or 1, an ELF file."""
        return self.folder / f"{SLOTS[slot]}.elf"

    def image(self, slot: int) -> bytes:
        """The same as a signed image."""
        return (self.folder / f"{SLOTS[slot]}.bin").read_bytes()


def _cortex_m() -> Path:
    """What every family builds on: start-up, SysTick, sections."""
    return FOLDER / "port" / "cortex_m"


def boards() -> dict[str, Board]:
    """Boards that firmware can be built for, by the name of their machine."""
    return {
        script.stem: Board(
            script.stem,
            family=script.parent.parent,
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


def build_firmware(
    profile: DeviceProfile,
    *,
    trust: Sequence[PublicKey] = (),
    version: Version | None = None,
    security_counter: int = 0,
) -> Firmware:
    """Boot loader and firmware of a board, built unless these very sources were built before.

    Two builds at once do not disturb each other: each works in a folder of its own, and what is
    finished takes its place in one step.

    Args:
        profile: a device whose emulated machine has a port.
        trust: keys that the board trusts besides those of the user's key folder.
        version: of the firmware; None: this program's.
        security_counter: of the firmware's images; a board refuses lower ones once it confirmed it.

    Raises:
        InputError: there is no port for this device, or more than 4 keys.
        KeyFileError: the key folder cannot be used.
        MissingToolError: the `ziglang` wheel or `cryptography` is not installed.
        MachineError: the compiler failed, or the stack could overflow.
    """
    board = board_of(profile)
    version = version or own_version()
    signing_key = key_folder().current()
    keys = render_trusted_keys((*key_folder().trusted(), *trust))
    target = ("-target", profile.core.zig_target, f"-mcpu={profile.core.zig_cpu}")
    steps = [
        *shim_steps(*target, "-O", "ReleaseSmall"),
        *(_link_step(board, profile, program, version) for program in board.programs),
    ]
    fingerprint = _fingerprint(steps, f"{keys}{security_counter}")

    def build(work: Path) -> Path:
        (work / KEYS_SOURCE).write_text(keys, encoding="utf-8")
        for program in board.programs:
            script = board.linker_script(program.region)
            (work / f"{program.name}.ld").write_text(script, encoding="utf-8")
        for step in steps:
            _run(step, work, board.machine)
        target = Target.firmware(profile.core.kernel_class or 0, profile.id)
        for name, bound in stack_bounds(profile, Firmware(work)).items():
            bound.check(f"{name} on {profile.id}")
        if board.has_boot_loader:
            _sign(work, board, target, version, security_counter, signing_key)
        return _finish(work, board)

    return Firmware(BuildCache("firmware").get(f"{board.machine}-{fingerprint}", build))


def stack_bounds(profile: DeviceProfile, built: Firmware) -> dict[str, StackBound]:
    """How deep the stacks of `boot`, where there is one, and `firmware` can get.

    Args:
        profile: what it was built for.
        built: the programs.

    Raises:
        MachineError: there is no bound.
    """
    board = board_of(profile)
    return bounds(
        built.start.read_bytes() if board.has_boot_loader else None,
        (built.elf(0) if board.has_boot_loader else built.start).read_bytes(),
        has_fpu=Isa.FPU_SINGLE in profile.core.isa,
        model_bytes=board.model_stack_bytes(),
    )


def compile_step(profile: DeviceProfile, source: Path, made: str) -> list[str]:
    """The command that compiles one portable source as it is compiled for a device.

    Args:
        profile: the device.
        source: below `src` or `boot`.
        made: name of the object file.
    """
    return zig_command("cc", *_c_flags(profile, own_version()), "-c", str(source), "-o", made)


def own_version() -> Version:
    """The version of this program, as an image states it."""
    return Version(*map(int, jouleloop.__version__.split(".")[:3]))


def _c_flags(profile: DeviceProfile, version: Version) -> tuple[str, ...]:
    return (
        *profile.core.zig_cc_target,
        *C_FLAGS,
        STACK_FLAG,
        *WARNINGS,
        f'-DJL_FIRMWARE_VERSION="{str(version).partition("+")[0]}"',
        f"-DJL_PICOJOULES_PER_TICK={picojoules_per_tick(profile)}u",
        f"-ffile-prefix-map={FOLDER}=firmware",
        f"-I{FOLDER}/include",
    )


def _link_step(
    board: Board, profile: DeviceProfile, program: Program, version: Version
) -> list[str]:
    """The command that compiles and links a program."""
    return zig_command(
        "cc",
        *_c_flags(profile, version),
        *("-include", str(board.header)),
        *map(str, board.c_sources(program.part)),
        KEYS_SOURCE,
        *SHIM_OBJECTS,
        f"-Wl,-T,{program.name}.ld",
        *LINK_FLAGS,
        "-o",
        f"{program.name}.elf",
    )


def _sign(
    work: Path,
    board: Board,
    target: Target,
    version: Version,
    security_counter: int,
    signing_key: SigningKey,
) -> None:
    """Wrap the firmware of each slot as a signed image that says where it belongs."""
    for program in REPLACEABLE:
        address = board.address(program.region)
        image = make_image(
            flatten((work / f"{program.name}.elf").read_bytes(), address + FIRMWARE_HEADER_BYTES),
            version=version,
            signing_key=signing_key,
            security_counter=security_counter,
            target=target,
            header_bytes=FIRMWARE_HEADER_BYTES,
            load_address=address,
        )
        (work / f"{program.name}.bin").write_bytes(image)


def _finish(work: Path, board: Board) -> Path:
    """A folder of what is worth keeping."""
    finished = work / "finished"
    finished.mkdir()
    for program in board.programs:
        for made in work.glob(f"{program.name}.[be]??"):  # .elf, and .bin where it is an image
            made.rename(finished / made.name)
    return finished


def shim_steps(*flags: str) -> list[list[str]]:
    """Commands that compile the shims over Zig's standard library into SHIM_OBJECTS.

    Args:
        flags: target and optimisation; none of the former for this machine.

    Raises:
        MissingToolError: the `ziglang` wheel is not installed.
    """
    return [zig_command("build-obj", f"{FOLDER}/src/{shim}.zig", *flags) for shim in ZIG_SHIMS]


def _fingerprint(steps: list[list[str]], stamp: str) -> str:
    """Changes with every source, flag, key and compiler; not with where the package lies."""
    digest = hashlib.sha256(metadata.version("ziglang").encode() + stamp.encode())
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
