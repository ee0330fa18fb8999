"""What a device is: one frozen record, loaded from one TOML file."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

from device_profiles.figures import FIGURES
from jouleloop.errors import MissingFigureError

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

    @property
    def interval(self) -> tuple[float, float]:
        """Lower and upper end; the value itself where an end is not known."""
        low = self.value if self.low is None else self.low
        high = self.value if self.high is None else self.high
        return low, high


@dataclass(frozen=True)
class Memory:
    """A memory region: `flash` or `ram`, `bytes` long from address `base`.

    Args:
        name: the maker's name for it.
        kind: `flash` keeps code and models, `ram` loses them.
        bytes: its size.
        base: its first address, or None when it has no fixed one.
        source: document that states size and address.
        erase_bytes: smallest erase unit; None when not known.
        write_bytes: smallest write unit; None when not known.
        firmware_bytes: of RAM, what our firmware keeps for itself or does not use.
    """

    name: str
    kind: Literal["flash", "ram"]
    bytes: int
    base: int | None
    source: str
    erase_bytes: int | None = None
    write_bytes: int | None = None
    firmware_bytes: int = 0


@dataclass(frozen=True)
class Emulator:
    """How QEMU stands in for a device.

    Args:
        machine: QEMU's `-M`, also the name of the firmware's port.
        instructions_per_tick: executed instructions per tick of the machine's cycle source
            (SysTick; TIMER0 where there is none) under `-icount shift=0`, where an instruction
            lasts 1 ns.
        has_firmware: a port of our firmware exists for this machine.
        source: how the figure was found.
    """

    machine: str
    instructions_per_tick: float
    has_firmware: bool = False
    source: str = ""

    def instructions(self, ticks: int) -> int:
        """Executed instructions in so many ticks, exact to one tick."""
        return round(ticks * self.instructions_per_tick)


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
        figures: dotted key with its unit -> figure; the keys are those of `figures.FIGURES`.
        radio: `none` when the board has no radio (its share is then zero), else its name.
        flash_methods: how images get onto it.
        stands_for: id of the silicon whose power and clock an emulated board borrows, or None.
        emulator: how QEMU stands in for it, or None.
        no_native_reason: why no native module is built for it; empty when one is.
        has_silicon: False for a board that exists as an FPGA image or an emulator alone.
        stand_in: the profile that `stands_for` names.
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
    has_silicon: bool = True
    stand_in: DeviceProfile | None = None

    def has(self, key: str) -> bool:
        """Whether the profile states the figure `key`."""
        return key in self.figures

    def figure(self, key: str, *, needed_for: str = "") -> Figure:
        """The figure called `key`.

        Args:
            key: dotted key with its unit, e.g. `power.active_w`.
            needed_for: what asks, for the error's sentence.

        Raises:
            MissingFigureError: the profile does not state it; names the figure and the file.
        """
        if key not in self.figures:
            raise MissingFigureError(key, self.path, needed_for=needed_for)
        return self.figures[key]

    @property
    def flash_bytes(self) -> int | None:
        """Flash in all, bytes; None when the profile states none."""
        return self._bytes("flash")

    @property
    def ram_bytes(self) -> int | None:
        """RAM in all, bytes; None when the profile states none."""
        return self._bytes("ram")

    @property
    def model_ram_bytes(self) -> int | None:
        """RAM that our firmware leaves to a model, bytes; None when the profile states no RAM."""
        kept = sum(memory.firmware_bytes for memory in self.memories)
        return None if self.ram_bytes is None else self.ram_bytes - kept

    def _bytes(self, kind: str) -> int | None:
        return sum(memory.bytes for memory in self.memories if memory.kind == kind) or None

    def silicon(self) -> DeviceProfile | None:
        """The profile whose power and clock count for this board.

        Itself when it is silicon; the profile that it stands for when it is not; None when it
        stands for nothing, so that it gives counts and no joules.
        """
        return self if self.has_silicon else self.stand_in

    def as_record(self) -> dict[str, Any]:
        """The record for JSON: everything that the file states, each figure with its source."""
        return {
            "id": self.id,
            "name": self.name,
            "kind": self.kind,
            "core": self.core.name,
            "cores": self.cores,
            "file": self.path.name,
            "flash_bytes": self.flash_bytes,
            "ram_bytes": self.ram_bytes,
            "memories": [asdict(memory) for memory in self.memories],
            "figures": {
                key: {"unit": FIGURES[key].unit} | asdict(figure)
                for key, figure in self.figures.items()
            },
            "radio": self.radio,
            "flash_methods": list(self.flash_methods),
            "has_silicon": self.has_silicon,
            "stands_for": self.stands_for,
            "emulator": None if self.emulator is None else asdict(self.emulator),
            "no_native_reason": self.no_native_reason,
        }
