"""What a device is: one frozen record, loaded from one TOML file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from pathlib import Path

    from device_profiles.core import Core


@dataclass(frozen=True)
class Figure:
    """A number with its unit in the key and its source beside it.

    Args:
        value: best value, in the unit that the key names.
        source: document and section, or measurement, that states it.
        low: lower end of the published or measured range, same unit; None when not known.
        high: upper end, same unit; None when not known.
        condition: supply, clock, temperature and mode under which it holds.
        confidence: high (own datasheet or measurement), medium, low (secondary or sibling part).
    """

    value: float
    source: str
    low: float | None = None
    high: float | None = None
    condition: str = ""
    confidence: Literal["high", "medium", "low"] = "high"


@dataclass(frozen=True)
class Memory:
    """A memory region: `flash` or `ram`, `bytes` long from address `base` (None on Linux)."""

    name: str
    kind: Literal["flash", "ram"]
    bytes: int
    base: int | None
    source: str
    erase_bytes: int | None = None
    write_bytes: int | None = None


@dataclass(frozen=True)
class Emulator:
    """How QEMU stands in for a device.

    Args:
        machine: QEMU's `-M`, also the name of the firmware's port.
        instructions_per_tick: executed instructions per tick of the port's cycle source under
            `-icount shift=0`.
        has_firmware: a port of our firmware exists for this machine.
    """

    machine: str
    instructions_per_tick: int
    has_firmware: bool = False


@dataclass(frozen=True)
class DeviceProfile:
    """A device, as its TOML file states it; every figure is sourced, an unknown one is absent.

    Args:
        id: the name that users type, the file's stem.
        name: the maker's name.
        kind: `mcu` (native module), `linux` (LiteRT or ONNX Runtime), `other` (files only).
        core: its core.
        cores: how many of them.
        path: the file that this came from.
        memories: regions, in the order of their addresses.
        figures: dotted key with its unit -> figure, e.g. `power.active_w`, `clock_hz`,
            `power.sleep_w`, `power.wake_s`, `radio.tx_w`, `radio.joules_per_byte`,
            `radio.joules_per_message`, `boot.seconds`, `boot.joules`.
        radio: `none` when the board has no radio (its share is then zero), else its name.
        flash_methods: how images get onto it.
        stands_for: id of the silicon whose power and clock an emulated board borrows, or None.
        emulator: how QEMU stands in for it, or None.
        no_native_reason: why no native module is built for it; empty when one is.
    """

    id: str
    name: str
    kind: Literal["mcu", "linux", "other"]
    core: Core
    cores: int
    path: Path
    memories: tuple[Memory, ...]
    figures: dict[str, Figure]
    radio: str
    flash_methods: tuple[str, ...]
    stands_for: str | None
    emulator: Emulator | None
    no_native_reason: str
