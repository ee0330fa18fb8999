"""Cycles that a core needs for counted instructions: a cost per class, with its interval.

An emulator has no cycles. These are estimates from published timings where there are any, and the
interval says what the source leaves open. The core's pipeline, caches and bus are not simulated.
`python -m benchmarks estimate_against_silicon` holds the estimate against published results, and
docs/profiler.md says what can be concluded.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from device_profiles.energy_model import Cycles
from hil_tests.profiler.classify import Decoded, InstructionClass

if TYPE_CHECKING:
    from collections.abc import Mapping

    from device_profiles import DeviceProfile
    from hil_tests.profiler.counts import InstructionCount

C = InstructionClass


@dataclass(frozen=True)
class Span:
    """Cycles: best estimate between two ends.

    Args:
        low: lower end.
        value: best estimate.
        high: upper end.
    """

    low: float
    value: float
    high: float

    def __add__(self, other: Span) -> Span:
        """Sum, ends apart."""
        return Span(self.low + other.low, self.value + other.value, self.high + other.high)

    def __mul__(self, times: float) -> Span:
        """So many times."""
        return Span(self.low * times, self.value * times, self.high * times)

    def scaled(self, by: Span) -> Span:
        """Each of the three times its factor."""
        return Span(self.low * by.low, self.value * by.value, self.high * by.high)


ZERO = Span(0, 0, 0)

# Waits for memory where the profile states no wait states: from none to half of all cycles more.
# Between two Cortex-M4F boards (NUCLEO-L4R5ZI at 120 MHz, CY8CPROTO-062-4343W at 150 MHz) the same
# engine's cycles for the same model differ by up to 1.494 (MLPerf Tiny v0.7, v1.0 and v1.1, closed
# results), and what differs between them is the memory. It is a size seen, not a bound: what the
# faster of the two boards waits is not known.
MEMORY = Span(1, 1, 1.5)


def exactly(cycles: float) -> Span:
    """A span without width."""
    return Span(cycles, cycles, cycles)


@dataclass(frozen=True)
class Cost:
    """Cycles of one class.

    Args:
        each: of one instruction.
        source: where that is stated; "assumed" where it is not.
        per_word: added for each word that it moves.
        after_access: of one that directly follows a load or store, None when that is the same.
    """

    each: Span
    source: str
    per_word: float = 0
    after_access: Span | None = None


@dataclass(frozen=True)
class CostTable:
    """A core's costs.

    Args:
        core: `Core.name`.
        costs: by class.
        taken: added each time a branch is taken.
        scale: factor on the sum: what is known of this core only as a ratio to another.
        source: of `taken` and `scale`, and what the table leaves out.
    """

    core: str
    costs: Mapping[InstructionClass, Cost]
    taken: Span
    scale: Span
    source: str

    def cycles(self, count: InstructionCount, decoded: Decoded, *, follows_access: bool) -> Span:
        """Cycles of one address's executions, before `scale`."""
        cost = self.costs[decoded.kind]
        each = cost.after_access if follows_access and cost.after_access else cost.each
        span = (each + exactly(cost.per_word * decoded.words)) * count.executed
        if decoded.is_branch:
            span = span + self.taken * count.left
        return span


_TABLE_3_1 = "Arm 100166 table 3-1"
_M3_TRM = "Arm DDI 0337E section 18.1 (Cortex-M3; the same pipeline)"

_M4_COSTS = {
    C.ALU: Cost(exactly(1), _TABLE_3_1),
    C.MULTIPLY: Cost(exactly(1), _TABLE_3_1),
    C.MULTIPLY_ACCUMULATE: Cost(exactly(1), f"{_TABLE_3_1}; SMLAD and kin assumed alike"),
    C.DIVIDE: Cost(Span(2, 7, 12), f"{_TABLE_3_1}: 2-12 by operands"),
    C.LOAD: Cost(
        Span(1, 2, 2), f"{_M3_TRM}: 2, pipelined after another access 1", after_access=exactly(1)
    ),
    C.STORE: Cost(Span(1, 1, 2), f"{_M3_TRM}: 2; the write buffer hides one (assumed)"),
    C.LOAD_MULTIPLE: Cost(exactly(1), f"{_M3_TRM}: 1 + words", per_word=1),
    C.STORE_MULTIPLE: Cost(exactly(1), f"{_M3_TRM}: 1 + words", per_word=1),
    C.BRANCH: Cost(exactly(1), _TABLE_3_1),
    C.FLOAT: Cost(Span(1, 1, 14), "assumed: 1, VFMA 3, VDIV and VSQRT 14"),
    C.TRANSFER: Cost(Span(1, 1, 2), "assumed: 1 per register"),
    C.SYSTEM: Cost(Span(1, 1, 4), "assumed; barriers wait for the bus"),
}
_TAKEN = Span(1, 2, 3)  # pipeline refill P = 1..3, Arm 100166 table 3-1
_ONE = exactly(1)

# 128-bit vectors are four beats; the core executes two per cycle, so 2 cycles each, and a load
# overlaps a multiply of the next instruction. No Arm table states more.
_BEATS = "two beats per cycle (assumed): 2 cycles, 1 where load and arithmetic overlap"
_M55_COSTS = _M4_COSTS | {
    C.VECTOR_LOAD: Cost(Span(1, 1.5, 4), f"{_BEATS}; gathers and de-interleaving more"),
    C.VECTOR_STORE: Cost(Span(1, 2, 16), f"{_BEATS}; a scatter one lane at a time (assumed)"),
    C.VECTOR_MULTIPLY: Cost(Span(1, 2, 2), _BEATS),
    C.VECTOR_MULTIPLY_ACCUMULATE: Cost(Span(1, 1.5, 2), _BEATS),
    C.VECTOR_ALU: Cost(Span(1, 2, 2), _BEATS),
}
_M3_COSTS = _M4_COSTS | {
    C.MULTIPLY: Cost(Span(1, 1, 5), f"{_M3_TRM}: MUL 1, long 3-5"),
    C.MULTIPLY_ACCUMULATE: Cost(Span(2, 2, 7), f"{_M3_TRM}: MLA 2, long 4-7"),
}

TABLES = {
    table.core: table
    for table in (
        CostTable("cortex-m3", _M3_COSTS, _TAKEN, _ONE, _M3_TRM),
        CostTable("cortex-m4f", _M4_COSTS, _TAKEN, _ONE, _TABLE_3_1),
        CostTable(
            "cortex-m7",
            _M4_COSTS,
            _TAKEN,
            Span(0.63, 0.7, 0.78),
            "Cortex-M4 costs x 0.63-0.78, the ratio of one engine's MLPerf Tiny v1.1 results",
        ),
        CostTable(
            "cortex-m33",
            _M4_COSTS,
            _TAKEN,
            Span(0.8, 0.9, 1.21),
            "Cortex-M4 costs x 0.80-1.21, the ratio of one engine's MLPerf Tiny v1.1 results",
        ),
        CostTable("cortex-m55", _M55_COSTS, _TAKEN, _ONE, "assumed; no silicon result published"),
    )
}

_ACCESSES = {C.LOAD, C.STORE, C.LOAD_MULTIPLE, C.STORE_MULTIPLE}


def is_access(decoded: Decoded) -> bool:
    """Whether a scalar load right behind this instruction is pipelined with it."""
    return decoded.kind in _ACCESSES


def flash_waits(profile: DeviceProfile, code_bytes: int, taken: int) -> Span | None:
    """Cycles that the core waits for flash, when the profile states its wait states.

    Args:
        profile: figures `flash.wait_cycles` and `flash.line_bytes`.
        code_bytes: bytes of instructions fetched: executions times their sizes.
        taken: branches taken.

    Returns:
        From none (every line comes from a cache or prefetch) to one wait per line of straight code
        and per branch; None when the profile lacks a figure.
    """
    if not (profile.has("flash.wait_cycles") and profile.has("flash.line_bytes")):
        return None
    wait = profile.figure("flash.wait_cycles").value
    line = profile.figure("flash.line_bytes").value
    worst = wait * (code_bytes / line + taken)
    return Span(0, 0, worst)


def as_cycles(span: Span, table: CostTable, waits: Span | None) -> Cycles:
    """A span with its provenance.

    Args:
        span: of all instructions, before the core's scale.
        table: the costs that it was summed from.
        waits: for flash, or None when the profile states none.
    """
    if waits is None:
        total = span.scaled(table.scale).scaled(MEMORY)
        memory = (
            f"waits for memory not simulated, the high end is x {MEMORY.high} for them, as one "
            "engine's cycles differ by up to 1.49 between two Cortex-M4F boards (MLPerf Tiny)"
        )
    else:
        total = span.scaled(table.scale) + waits
        memory = "flash waits from none to one per line of code, those of weights not counted"
    source = (
        f"cycles estimated from instruction classes ({table.source}); {memory}; "
        "not compared with this code on silicon"
    )
    return Cycles(total.value, total.low, total.high, source)
