"""QEMU machines that run a module alone: one for each core that QEMU emulates."""

from __future__ import annotations

from dataclasses import dataclass

from device_profiles.core import CORES, Core
from jouleloop.errors import InputError


@dataclass(frozen=True)
class RunnerBoard:
    """A QEMU machine, and where the runner's code, the module and RAM lie.

    Args:
        machine: QEMU's `-M`.
        core: its core.
        code_base: where the core starts; 64 KiB are the runner's.
        module_base: of the module.
        module_bytes: how large a module may be.
        ram_base: of the stack and of arena, input and output.
        ram_bytes: its size.
    """

    machine: str
    core: Core
    code_base: int
    module_base: int
    module_bytes: int
    ram_base: int
    ram_bytes: int


_MIB = 2**20
# QEMU 7.2, hw/arm/mps2.c: SSRAM1 of 4 MiB at 0, SSRAM2/3 of 4 MiB at 0x20000000.
_MPS2 = (0x0, 0x200000, 2 * _MIB, 0x20000000, 4 * _MIB)
_BOARDS = (
    RunnerBoard("mps2-an385", CORES["cortex-m3"], *_MPS2),
    RunnerBoard("mps2-an386", CORES["cortex-m4f"], *_MPS2),
    RunnerBoard("mps2-an500", CORES["cortex-m7"], *_MPS2),
    # hw/arm/mps2-tz.c: an505 has SSRAM1 of 4 MiB at 0x10000000 (secure) and SSRAM2 behind it at
    # 0x38000000; an547 has ITCM of 512 KiB at 0x10000000, SRAM of 2 MiB at 0x11000000 (secure
    # alias) and 4 MiB of ISRAM at 0x31000000.
    RunnerBoard(
        "mps2-an505", CORES["cortex-m33"], 0x10000000, 0x10200000, 2 * _MIB, 0x38000000, 2 * _MIB
    ),
    RunnerBoard(
        "mps3-an547", CORES["cortex-m55"], 0x10000000, 0x11000000, 2 * _MIB, 0x31000000, 2 * _MIB
    ),
)


def runner_board(core: Core) -> RunnerBoard:
    """The machine that runs modules of a core.

    Raises:
        InputError: QEMU emulates no such core.
    """
    for board in _BOARDS:
        if board.core == core:
            return board
    known = ", ".join(board.core.name for board in _BOARDS)
    raise InputError(
        f"QEMU has no machine with a {core.name}",
        hint=f"cores that it emulates: {known}; export the model for a device with one of them",
    )
