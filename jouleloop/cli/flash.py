"""`jouleloop flash`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from jouleloop.cli.output import JsonFlag, console, print_json, progress_bar


def flash(
    bundle: Annotated[Path, typer.Argument(help="A bundle, NAME.jlb.")],
    port: Annotated[
        str, typer.Option(help="Serial port of the device; `jouleloop board` prints its own.")
    ],
    json_output: JsonFlag = False,
) -> None:
    """Upload a bundle's model to a device that runs our firmware, over its serial port.

    The device stores the model beside the one that it serves, checks its hash, its core and its
    memory, and runs the golden rows that the model carries. Only when every output is exact it
    serves the new model; otherwise it says why not and keeps the old one.

    Example: jouleloop flash out/policy.jlb --port /dev/pts/3
    """
    from edge_runtime.wire.bundle import read_bundle
    from fleet.flash import flash_over_smp

    loaded = read_bundle(bundle)
    with progress_bar("bytes") as progress:
        flashed = flash_over_smp(loaded, port, progress=progress)
    if json_output:
        print_json(flashed.as_record())
    else:
        console.print(
            f"{port} serves {flashed.name} {flashed.version} from slot {flashed.slot}: "
            f"{flashed.image_bytes} bytes, SHA-256 {flashed.image_sha256[:16]}…"
        )
