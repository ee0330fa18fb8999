"""The TOML schema of a profile: types, keys and ranges; what one value can say about itself."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from jouleloop.errors import ProfileError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from typing import Any

Id = Annotated[str, Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")]
Text = Annotated[str, Field(min_length=1)]
Count = Annotated[int, Field(gt=0)]
Amount = Annotated[float, Field(ge=0)]


class _Table(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False)


class FigureTable(_Table):
    """`[figures."KEY"]`: see `profile.Figure`."""

    value: Amount
    source: Text
    low: Amount | None = None
    high: Amount | None = None
    condition: str = ""
    confidence: Literal["high", "medium", "low"] = "high"


class MemoryTable(_Table):
    """`[[memory]]`: see `profile.Memory`."""

    name: Text
    kind: Literal["flash", "ram"]
    bytes: Count
    base: Annotated[int, Field(ge=0)] | None = None
    source: Text
    erase_bytes: Count | None = None
    write_bytes: Count | None = None
    firmware_bytes: Annotated[int, Field(ge=0)] = 0


class EmulatorTable(_Table):
    """`[emulator]`: see `profile.Emulator`."""

    # Machines of qemu-system-arm that run code of ours.
    machine: Literal[
        "mps2-an385", "mps2-an386", "mps2-an505", "mps3-an547", "microbit", "netduinoplus2"
    ]
    instructions_per_tick: Annotated[float, Field(gt=0)]
    source: Text
    has_firmware: bool = False


class ProfileFile(_Table):
    """A whole file: see `profile.DeviceProfile`."""

    id: Id
    name: Text
    kind: Literal["mcu", "linux", "other"]
    core: Text
    cores: Count
    radio: Text
    flash_methods: list[
        Literal["daplink", "dfu", "esptool", "openocd", "picotool", "pyocd", "smp", "ssh", "uf2"]
    ]
    has_silicon: bool = True
    stands_for: Id | None = None
    no_native_reason: str = ""
    memory: list[MemoryTable] = []
    figures: dict[str, FigureTable]
    emulator: EmulatorTable | None = None


def read_file(path: Path) -> ProfileFile:
    """Read a file against the schema.

    Raises:
        ProfileError: not TOML, or a key or value breaks the schema; names file, key and value.
    """
    try:
        return ProfileFile.model_validate(tomllib.loads(path.read_text("utf-8")))
    except ValidationError as error:
        first, *others = error.errors(include_url=False)
        more = f" ({len(others)} more like it)" if others else ""
        raise ProfileError(f"{path.name}: {_sentence(first)}{more}", hint=f"mend {path}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ProfileError(f"{path.name} is not TOML: {error}", hint=f"mend {path}") from error


def _sentence(error: Mapping[str, Any]) -> str:
    key = ".".join(map(str, error["loc"]))
    if error["type"] == "missing":
        return f"the key {key} is missing"
    if error["type"] == "extra_forbidden":
        return f"the schema has no key {key}"
    return f"{key}: {error['msg'][0].lower()}{error['msg'][1:]}; it is {error['input']!r}"
