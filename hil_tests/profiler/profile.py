"""Where the instructions went: by layer, function and instruction class, with estimated cycles."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from device_profiles.energy_model import Cycles, estimate_cycles
from hil_tests.profiler.classify import InstructionClass, decode
from hil_tests.profiler.cycles import (
    TABLES,
    ZERO,
    CostTable,
    Span,
    as_cycles,
    flash_waits,
    is_access,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from device_profiles import DeviceProfile
    from hil_tests.profiler.counts import Counts, InstructionCount
    from hil_tests.profiler.symbols import Places

OTHER = "(other)"


@dataclass(frozen=True)
class CodeMap:
    """What an address means.

    Args:
        places: functions, one `Places` per ELF file; the first that knows an address counts.
        layers: function -> layer, for functions that serve one layer alone.
        parts: layer of each part that the plugin told apart, from part 1 on. What runs in a
            function that several layers share belongs to the part's layer.
    """

    places: Sequence[Places]
    layers: Mapping[str, str] = field(default_factory=dict)
    parts: Sequence[str] = ()

    def function(self, address: int) -> str:
        """Name of the function at an address, or its address where none is known."""
        for places in self.places:
            symbol = places.find(address)
            if symbol is not None:
                return symbol.name
        return f"{address & ~0xFF:#x}"

    def layer(self, function: str, part: int) -> str:
        """The layer that a function's execution in a part belongs to."""
        fallback = self.parts[part - 1] if 0 < part <= len(self.parts) else OTHER
        return self.layers.get(function, fallback)


@dataclass(frozen=True)
class Cell:
    """What one layer spent in one function on one class of instructions, all inferences together.

    Args:
        layer: its name.
        function: its symbol.
        kind: the class.
        executed: instructions.
        cycles: estimated, or None for a core without costs.
    """

    layer: str
    function: str
    kind: InstructionClass
    executed: int
    cycles: Span | None


@dataclass(frozen=True)
class Profile:
    """A profiled run.

    Args:
        inferences: windows counted.
        executed: instructions in all of them.
        smallest: instructions of the smallest window.
        largest: of the largest; equal to the smallest where the code does not depend on data.
        cells: in execution order of their layers.
        cycles: estimate for the mean inference.
    """

    inferences: int
    executed: int
    smallest: int
    largest: int
    cells: tuple[Cell, ...]
    cycles: Cycles

    @property
    def instructions(self) -> float:
        """Executed in the mean inference."""
        return self.executed / max(self.inferences, 1)

    def by(self, *keys: str) -> dict[tuple[str, ...], int]:
        """Instructions summed by attributes of `Cell`, in order of first appearance."""
        sums: dict[tuple[str, ...], int] = defaultdict(int)
        for cell in self.cells:
            sums[tuple(str(getattr(cell, key)) for key in keys)] += cell.executed
        return dict(sums)

    def as_record(self) -> dict[str, Any]:
        """The record for JSON; counts per inference."""
        each = max(self.inferences, 1)
        return {
            "inferences": self.inferences,
            "instructions": self.instructions,
            "instructions_smallest": self.smallest,
            "instructions_largest": self.largest,
            "estimated_cycles": {
                "value": self.cycles.value,
                "low": self.cycles.low,
                "high": self.cycles.high,
                "source": self.cycles.source,
            },
            "layers": [
                {"name": layer, "instructions": executed / each}
                for (layer,), executed in self.by("layer").items()
            ],
            "classes": {kind: executed / each for (kind,), executed in self.by("kind").items()},
        }


def attribute(counts: Counts, code: CodeMap, profile: DeviceProfile) -> Profile:
    """Attribute counted instructions to layers, functions and classes.

    Args:
        counts: from the plugin.
        code: what the addresses mean.
        profile: the board; its core's costs give the cycles. A core without costs gets the
            profile-independent estimate of `device_profiles.energy_model`.
    """
    table = TABLES.get(profile.core.name)
    executed: dict[tuple[str, str, InstructionClass], int] = defaultdict(int)
    spans: dict[tuple[str, str, InstructionClass], Span] = defaultdict(lambda: ZERO)
    code_bytes = taken = 0
    before: InstructionCount | None = None
    for count in sorted(counts.instructions, key=lambda count: (count.part, count.address)):
        decoded = decode(count.code)
        function = code.function(count.address)
        key = (code.layer(function, count.part), function, decoded.kind)
        executed[key] += count.executed
        if table is not None:
            spans[key] += table.cycles(
                count, decoded, follows_access=_follows_access(before, count)
            )
        code_bytes += count.executed * len(count.code)
        taken += count.left if decoded.is_branch else 0
        before = count
    order = {layer: rank for rank, layer in enumerate([OTHER, *code.parts])}
    cells = sorted(
        (
            Cell(*key, executed[key], spans[key].scaled(table.scale) if table else None)
            for key in executed
        ),
        key=lambda cell: order.get(cell.layer, len(order)),
    )
    windows = counts.windows or (0,)
    return Profile(
        len(counts.windows),
        counts.executed,
        min(windows),
        max(windows),
        tuple(cells),
        _cycles(counts, sum(spans.values(), ZERO), table, flash_waits(profile, code_bytes, taken)),
    )


def _follows_access(before: InstructionCount | None, count: InstructionCount) -> bool:
    """Whether the instruction right before this one in memory is an access that ran with it."""
    return (
        before is not None
        and before.part == count.part
        and before.address + len(before.code) == count.address
        and before.left == 0
        and is_access(decode(before.code))
    )


def _cycles(counts: Counts, span: Span, table: CostTable | None, waits: Span | None) -> Cycles:
    inferences = max(len(counts.windows), 1)
    if table is None:
        return estimate_cycles(counts.executed / inferences)
    share = 1 / inferences
    return as_cycles(span * share, table, None if waits is None else waits * share)
