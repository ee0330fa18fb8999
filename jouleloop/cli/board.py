"""`jouleloop board`."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer

from jouleloop.cli.keys import TrustOption, make_first_key, read_trusted
from jouleloop.cli.output import JsonFlag, console, print_json, progress_bar, progress_console

FLASH_FOLDER = Path("out/boards")


def board(
    device: Annotated[str, typer.Argument(help="An emulated board, e.g. mps2-an386.")],
    flash: Annotated[
        Path | None,
        typer.Option(help="File that keeps its flash; default: out/boards/DEVICE.flash."),
    ] = None,
    model: Annotated[
        Path | None, typer.Option(help="A bundle, NAME.jlb, whose model it is to serve.")
    ] = None,
    trust: TrustOption = None,
    json_output: JsonFlag = False,
) -> None:
    """Start an emulated board with our firmware, and keep it running until interrupted.

    QEMU boots the very firmware that a board of this kind gets. Its serial port is printed first:
    `jouleloop flash` and the stock tools (smpmgr, smpclient) talk to it there. What is stored in
    its flash is still there when it is started again on the same file. It takes models that are
    signed by your keys (`jouleloop keys`), and by those of --trust. A board that cannot write its
    flash (stm32f405) takes no uploads: --model puts a model there as a factory does.

    Example: jouleloop board mps2-an386
    """
    import device_profiles
    from edge_runtime.wire.bundle import read_bundle
    from hil_tests.emulator import Emulator

    profile = device_profiles.load(device)
    if flash is None:
        FLASH_FOLDER.mkdir(parents=True, exist_ok=True)
        flash = FLASH_FOLDER / f"{profile.id}.flash"
    trusted = read_trusted(trust or [])
    make_first_key()
    image = None if model is None else read_bundle(model).native
    with ExitStack() as stack:
        with progress_bar("bytes") as progress:
            emulator = stack.enter_context(
                Emulator(profile, flash, model=image, progress=progress, trust=trusted)
            )
        record = {
            "device": profile.id,
            "port": emulator.port,
            "flash": str(flash),
            "firmware": str(emulator.firmware.folder),
        }
        if json_output:
            print_json(record)
        else:
            console.print(f"{profile.id} listens on {emulator.port}")
            progress_console.print(f"flash {flash}; end it with Ctrl-C")
        # Whoever started this through a pipe waits for the port.
        console.file.flush()
        emulator.wait()
