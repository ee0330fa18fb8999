"""`jouleloop flash`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from jouleloop.cli.output import JsonFlag, console, print_json, progress_bar


def flash(
    port: Annotated[
        str, typer.Option(help="Serial port of the device; `jouleloop board` prints its own.")
    ],
    bundle: Annotated[
        Path | None, typer.Argument(help="A bundle, NAME.jlb, whose model the device gets.")
    ] = None,
    firmware: Annotated[
        str | None,
        typer.Option(metavar="DEVICE", help="Update the firmware instead; names the device."),
    ] = None,
    json_output: JsonFlag = False,
) -> None:
    """Upload a bundle's model to a device that runs our firmware, over its serial port.

    The device stores the model beside the one that it serves, checks its signature, its core and
    its memory, and runs the golden rows that the model carries. Only when every output is exact it
    serves the new model, on trial; otherwise it says why not and keeps the old one. Once the new
    model is seen to serve it is confirmed; cut off before, the next start brings the old one back.

    With --firmware the device gets this version's firmware. Its boot loader starts it once, on
    trial; when it answers it is confirmed, otherwise the old firmware comes back.

    Example: jouleloop flash out/policy.jlb --port /dev/pts/3
    """
    if (bundle is None) == (firmware is None):
        raise typer.BadParameter("name a bundle, or --firmware DEVICE", param_hint="BUNDLE")
    if bundle is not None:
        _flash_model(bundle, port, json_output)
    elif firmware is not None:
        _flash_firmware(firmware, port, json_output)


def _flash_model(bundle: Path, port: str, json_output: bool) -> None:
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


def _flash_firmware(device: str, port: str, json_output: bool) -> None:
    import device_profiles
    from fleet.flash import update_firmware

    with progress_bar("bytes") as progress:
        updated = update_firmware(device_profiles.load(device), port, progress=progress)
    if json_output:
        print_json(updated.as_record())
    else:
        console.print(
            f"{port} runs firmware {updated.version} from slot {updated.slot}: "
            f"{updated.image_bytes} bytes, SHA-256 {updated.image_sha256[:16]}…"
        )
