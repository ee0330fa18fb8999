"""The target `qemu`: the very firmware, booted by QEMU, driven over its serial port."""

from __future__ import annotations

import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import device_profiles
from edge_runtime.node.serial_device import SerialDevice
from hil_tests.board import BoardTarget
from hil_tests.emulator import Emulator
from jouleloop.errors import BundleError, InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from device_profiles import DeviceProfile
    from edge_runtime.wire.bundle import Bundle
    from edge_runtime.wire.keys import PublicKey


def _emulator(board: DeviceProfile) -> device_profiles.Emulator:
    if board.emulator is None or not board.emulator.has_firmware:
        raise InputError(
            f"{board.id} has no emulated board that our firmware runs on",
            hint=f"boards that have one: {', '.join(_boards())}; or use --target local",
        )
    return board.emulator


def _boards() -> list[str]:
    profiles = device_profiles.load_all().values()
    return [p.id for p in profiles if p.emulator is not None and p.emulator.has_firmware]


def board_for(bundle: Bundle, device_id: str | None) -> DeviceProfile:
    """The emulated board to run a bundle on.

    Args:
        bundle: the exported model.
        device_id: the board that the user asked for, or None: the bundle's own device when it is
            emulated, else an emulated board with the same core.

    Raises:
        BundleError: the bundle was made for another core.
        InputError: no emulated board has this core.
        UnknownDeviceError: no profile has this id.
    """
    made_for = device_profiles.load(bundle.device_id)
    if device_id is None:
        same_core = [b for b in _boards() if device_profiles.load(b).core == made_for.core]
        device_id = bundle.device_id if bundle.device_id in same_core else next(iter(same_core), "")
        board = device_profiles.load(device_id or bundle.device_id)
    else:
        board = device_profiles.load(device_id)
    _emulator(board)
    if board.core != made_for.core:
        raise BundleError(
            f"{bundle.name} was exported for {made_for.id} ({made_for.core.name}); "
            f"{board.id} is a {board.core.name}",
            hint=f"export it again with --device {board.id}",
        )
    return board


@contextmanager
def open_qemu(
    bundle: Bundle,
    board: DeviceProfile,
    progress: Callable[[int, int], None] | None = None,
    *,
    trust: Sequence[PublicKey] = (),
) -> Iterator[BoardTarget]:
    """Boot a board on empty flash that gets the bundle's model.

    Args:
        bundle: the exported model.
        board: from `board_for`.
        progress: called with (bytes uploaded, bytes in all).
        trust: keys that the board trusts besides those of the user's key folder.

    Raises:
        MissingToolError: QEMU or the cross compiler is not installed.
        BundleError: the bundle has no native module.
        LinkError: the board did not answer, or refused the model.
    """
    with (
        tempfile.TemporaryDirectory(prefix="jouleloop-") as folder,
        Emulator(
            board, Path(folder) / "flash.bin", model=bundle.native, progress=progress, trust=trust
        ) as emulator,
        SerialDevice(emulator.port) as device,
    ):
        description = f"QEMU {_emulator(board).machine}, our firmware over its serial port"
        yield BoardTarget("qemu", description, board, device)
