"""Load profiles from the TOML files that the package carries."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from device_profiles.checks import validate
from device_profiles.core import CORES
from device_profiles.profile import DeviceProfile, Emulator, Figure, Memory
from device_profiles.schema import read_file
from jouleloop.errors import ProfileError, UnknownDeviceError

if TYPE_CHECKING:
    from device_profiles.schema import ProfileFile

DEFAULT_DEVICE = "mps2-an386"


def load(device_id: str) -> DeviceProfile:
    """The profile with this id.

    Raises:
        UnknownDeviceError: there is none; names the nearest.
        ProfileError: its file breaks the schema.
    """
    known = _known_ids()
    if device_id not in known:
        raise UnknownDeviceError(device_id, known, emulates=_emulated_by(device_id))
    return _load(device_id)


def _emulated_by(machine: str) -> str | None:
    """The device whose emulated machine this is."""
    profiles = load_all().values()
    return next((p.id for p in profiles if p.emulator and p.emulator.machine == machine), None)


def load_all() -> dict[str, DeviceProfile]:
    """Every profile, by id, in alphabetical order.

    Raises:
        ProfileError: a file breaks the schema.
    """
    return {device_id: _load(device_id) for device_id in _known_ids()}


def read_profile(path: Path) -> DeviceProfile:
    """Read and validate one file; a `stands_for` is looked up in the same folder.

    Raises:
        ProfileError: the file, or the one that it stands for, breaks the schema.
    """
    file = read_file(path)
    stand_in = None if file.stands_for is None else _read_stand_in(path, file.stands_for)
    profile = _profile(path, file, stand_in)
    validate(profile)
    return profile


def _data_folder() -> Path:
    return Path(str(files("device_profiles") / "data"))


def _known_ids() -> tuple[str, ...]:
    return tuple(sorted(path.stem for path in _data_folder().glob("*.toml")))


@cache
def _load(device_id: str) -> DeviceProfile:
    return read_profile(_data_folder() / f"{device_id}.toml")


def _read_stand_in(path: Path, device_id: str) -> DeviceProfile:
    stand_in = path.with_name(f"{device_id}.toml")
    if not stand_in.is_file() or stand_in == path:
        raise ProfileError(
            f"{path.name}: stands_for must name another profile; it is {device_id!r}",
            hint=f"mend {path}",
        )
    # Refused before it is read further: two files that stand for each other would never end.
    if read_file(stand_in).stands_for is not None:
        raise ProfileError(
            f"{path.name}: stands_for must name silicon; {device_id} stands for another itself",
            hint=f"mend {path}",
        )
    return read_profile(stand_in)


def _profile(path: Path, file: ProfileFile, stand_in: DeviceProfile | None) -> DeviceProfile:
    if file.core not in CORES:
        raise ProfileError(
            f"{path.name}: core must be one of {', '.join(CORES)}; it is {file.core!r}",
            hint=f"mend {path}",
        )
    return DeviceProfile(
        id=file.id,
        name=file.name,
        kind=file.kind,
        core=CORES[file.core],
        cores=file.cores,
        path=path,
        memories=tuple(Memory(**table.model_dump()) for table in file.memory),
        figures={key: Figure(**table.model_dump()) for key, table in file.figures.items()},
        radio=file.radio,
        flash_methods=tuple(file.flash_methods),
        stands_for=file.stands_for,
        emulator=None if file.emulator is None else Emulator(**file.emulator.model_dump()),
        no_native_reason=file.no_native_reason,
        has_silicon=file.has_silicon,
        stand_in=stand_in,
    )
