"""How many instructions a layer executes, estimated per core.

Generated assembly counts itself. The kernels in C (`export/kernels/scalar`) count for Armv7-M; the
other operators in C are counted by a formula:

instructions = call + outputs × (output + rescales × rescale) + macs × mac

The coefficients were fitted to counts by QEMU (`python -m benchmarks instruction_estimate` fits
them again); the compiler vectorises and reorders by shape, so a layer may be off by the factors
`low` to `high`: the widest of the fit and a tenth more.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from device_profiles.core import Isa, KernelClass
from export.graph import Rounding

if TYPE_CHECKING:
    from device_profiles.core import Core
    from export.kernels.layer import KernelCode

PLAIN_C = "plain C"


@dataclass(frozen=True)
class Count:
    """A number of executed instructions with its interval and where it came from."""

    value: float
    low: float
    high: float
    source: str


@dataclass(frozen=True)
class Accuracy:
    """What QEMU counts, over what generated code says of itself: typical, lowest and highest."""

    typical: float
    low: float
    high: float


@dataclass(frozen=True)
class Coefficients:
    """Instructions of plain C on one kind of core.

    Args:
        call: per layer.
        output: per output element: load bias, clamp, store.
        rescale_once: per scaling to int8 that rounds once.
        rescale_twice: per scaling that rounds twice.
        mac: per element that is added to a sum.
        low: actual / estimated is at least this.
        high: actual / estimated is at most this.
    """

    call: float
    output: float
    rescale_once: float
    rescale_twice: float
    mac: float
    low: float
    high: float


THUMB1 = Coefficients(0.0, 18.9, 28.0, 27.5, 7.0, 0.8, 1.25)
THUMB2 = Coefficients(50.0, 9.3, 1.6, 4.8, 5.0, 0.64, 1.95)
MVE = Coefficients(22.2, 2.8, 6.4, 8.9, 0.3, 0.68, 1.8)

# Kernels, by the same benchmark. Armv6-M has neither 64-bit products nor `SMULL`; on Helium the
# compiler vectorises the C where it can.
ASSEMBLY = Accuracy(1.0, 0.9, 1.15)
ASSEMBLY_ON_MVE = Accuracy(1.05, 0.9, 1.35)  # so few instructions that the calls tell
C_ON_THUMB1 = Accuracy(2.35, 1.9, 2.9)
C_ON_THUMB2 = Accuracy(1.0, 0.75, 1.2)
C_ON_MVE = Accuracy(0.5, 0.3, 1.0)


def coefficients(core: Core) -> Coefficients:
    """The coefficients of a core; a core without native modules counts as the plainest."""
    if core.kernel_class is KernelClass.MVE:
        return MVE
    return THUMB2 if Isa.THUMB2 in core.isa else THUMB1


def plain_c_instructions(
    core: Core, *, outputs: int, rescales: int, rounding: Rounding, macs: int = 0
) -> int:
    """Estimated instructions of one call.

    Args:
        core: where it runs.
        outputs: elements that it stores.
        rescales: scalings by a multiplier and a shift per output.
        rounding: the rule of these scalings.
        macs: elements that are added to sums, in all.
    """
    per = coefficients(core)
    rescale = per.rescale_once if rounding is Rounding.SINGLE else per.rescale_twice
    per_output = per.output + rescales * rescale
    return round(per.call + outputs * per_output + macs * per.mac)


def layer_instructions(code: KernelCode, core: Core) -> Count:
    """Instructions of one call of a layer's code, with the interval that experience gives it."""
    accuracy = _accuracy(code, core)
    return Count(
        code.instructions * accuracy.typical,
        code.instructions * accuracy.low,
        code.instructions * accuracy.high,
        code.note,
    )


def _accuracy(code: KernelCode, core: Core) -> Accuracy:
    if code.note == PLAIN_C:
        per = coefficients(core)
        return Accuracy(1.0, per.low, per.high)
    if ".S" in {code.suffix, *(routine.suffix for routine in code.routines)}:
        return ASSEMBLY_ON_MVE if core.kernel_class is KernelClass.MVE else ASSEMBLY
    if core.kernel_class is KernelClass.MVE:
        return C_ON_MVE
    return C_ON_THUMB2 if Isa.THUMB2 in core.isa else C_ON_THUMB1
