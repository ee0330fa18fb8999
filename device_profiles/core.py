"""What a core is: its kernel class, its instruction set, and how the compiler is told."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, IntFlag


class KernelClass(IntEnum):
    """Which family of kernels a core runs; the number is the one in a module's header."""

    SCALAR = 1  # Cortex-M0, M0+, M3: no packed arithmetic
    DSP = 2  # Cortex-M4, M7, M33: SMLAD and friends
    MVE = 3  # Cortex-M55: Helium


class Isa(IntFlag):
    """Instruction set features that a module may require; bits of its header."""

    NONE = 0
    THUMB2 = 1
    DSP = 2
    FPU_SINGLE = 4
    MVE_INTEGER = 8


@dataclass(frozen=True)
class Core:
    """A processor core.

    Args:
        name: Arm's name in lower case, `f` appended where an FPU is fitted.
        kernel_class: family of kernels, or None for a core that gets no native module.
        isa: features that native code may use.
        zig_target: `-target` of `zig cc`.
        zig_cpu: `-mcpu` of `zig cc`.
        zig_cc_flags: what else `zig cc` needs to compile C for it rightly.
    """

    name: str
    kernel_class: KernelClass | None
    isa: Isa
    zig_target: str = ""
    zig_cpu: str = ""
    zig_cc_flags: tuple[str, ...] = ()

    @property
    def zig_cc_target(self) -> tuple[str, ...]:
        """How `zig cc` is told to compile C for this core."""
        return ("-target", self.zig_target, f"-mcpu={self.zig_cpu}", *self.zig_cc_flags)


_SOFT = "thumb-freestanding-eabi"
_HARD = "thumb-freestanding-eabihf"
# clang 22 turns loops over strided bytes into gathers that never end (MVEGatherScatterLowering).
_NO_GATHERS = ("-mllvm", "-enable-arm-maskedgatscat=false")

CORES = {
    core.name: core
    for core in (
        Core("cortex-m0", KernelClass.SCALAR, Isa.NONE, _SOFT, "cortex_m0"),
        Core("cortex-m0plus", KernelClass.SCALAR, Isa.NONE, _SOFT, "cortex_m0plus"),
        Core("cortex-m3", KernelClass.SCALAR, Isa.THUMB2, _SOFT, "cortex_m3"),
        Core(
            "cortex-m4f",
            KernelClass.DSP,
            Isa.THUMB2 | Isa.DSP | Isa.FPU_SINGLE,
            _HARD,
            "cortex_m4+vfp4d16sp",
        ),
        Core(
            "cortex-m7",
            KernelClass.DSP,
            Isa.THUMB2 | Isa.DSP | Isa.FPU_SINGLE,
            _HARD,
            "cortex_m7+fp_armv8d16sp",
        ),
        Core(
            "cortex-m33",
            KernelClass.DSP,
            Isa.THUMB2 | Isa.DSP | Isa.FPU_SINGLE,
            _HARD,
            "cortex_m33+fp_armv8d16sp",
        ),
        Core(
            "cortex-m55",
            KernelClass.MVE,
            Isa.THUMB2 | Isa.DSP | Isa.FPU_SINGLE | Isa.MVE_INTEGER,
            _HARD,
            "cortex_m55+mve+fp_armv8d16sp",
            _NO_GATHERS,
        ),
        Core("xtensa-lx7", None, Isa.NONE),
        Core("cortex-a53", None, Isa.NONE),
        Core("cortex-a72", None, Isa.NONE),
        Core("cortex-a76", None, Isa.NONE),
    )
}
