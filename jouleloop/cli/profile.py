"""`jouleloop profile`."""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from jouleloop.cli.output import JsonFlag, console, print_json, print_wide

if TYPE_CHECKING:
    from hil_tests.profile_bundle import ModuleProfile


class ProfileTarget(StrEnum):
    """Where instructions can be counted."""

    QEMU = "qemu"


def profile(
    bundle: Annotated[Path, typer.Argument(help="A bundle with a native module, NAME.jlb.")],
    target: Annotated[
        ProfileTarget, typer.Option(help="Where the module runs.")
    ] = ProfileTarget.QEMU,
    input_: Annotated[
        Path | None,
        typer.Option(
            "--input", help="int8 rows, one input a row, .npy; default: the bundle's golden rows."
        ),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", help="Write the int8 outputs there, .npy.")
    ] = None,
    keep: Annotated[
        Path | None,
        typer.Option(help="Keep firmware.elf, module.bin, map.json and command.txt there."),
    ] = None,
    flame: Annotated[Path | None, typer.Option(help="Draw a flame graph there, .svg.")] = None,
    json_output: JsonFlag = False,
) -> None:
    """Count every executed instruction of a bundle's native module, and say where it went.

    The module runs alone on the emulated core of the bundle's device, under a QEMU plugin that
    counts each address. Instructions are exact; cycles are estimated from costs per instruction
    class, and their interval is stated; an emulator has no latency.

    Example: jouleloop profile out/policy.jlb --target qemu --json
    """
    from edge_runtime.wire.bundle import read_bundle
    from hil_tests.profile_bundle import golden_rows, profile_bundle, read_rows, write_rows
    from hil_tests.profiler import flame_svg

    loaded = read_bundle(bundle)
    rows = golden_rows(loaded) if input_ is None else read_rows(input_)
    with ExitStack() as stack:
        if keep is None:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="jouleloop-")))
        else:
            folder = keep
            folder.mkdir(parents=True, exist_ok=True)
        found = profile_bundle(loaded, rows, folder)
    if output is not None:
        write_rows(output, found.outputs)
    if flame is not None:
        flame.write_text(flame_svg(found.profile, f"{loaded.name} on {found.machine}"), "utf-8")
    if json_output:
        print_json(found.as_record())
    else:
        _print(found)


def _print(found: ModuleProfile) -> None:
    from hil_tests.profiler import class_table, layer_table
    from hil_tests.report import format_quantity

    print_wide(layer_table(found.profile, found.macs))
    print_wide(class_table(found.profile))
    console.print(
        f"arena {found.arena_bytes:,} B, input and output included; stack {found.stack_bytes:,} B; "
        f"code {found.code_flash_bytes:,} B, weights {found.weights_flash_bytes:,} B of flash"
    )
    if found.energy is not None:
        low, high = found.energy.interval
        console.print(
            f"{format_quantity(found.energy.joules, 'J')} per inference, modelled "
            f"({format_quantity(low, 'J')} to {format_quantity(high, 'J')}): {found.energy.source}"
        )
