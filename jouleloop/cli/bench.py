"""`jouleloop bench`."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from jouleloop.cli.keys import TrustOption, make_first_key, read_trusted
from jouleloop.cli.output import JsonFlag, console, print_json, print_wide, progress_bar

if TYPE_CHECKING:
    from hil_tests.result import Result


class TargetName(StrEnum):
    """Where the model runs."""

    QEMU = "qemu"
    LOCAL = "local"


def bench(
    bundle: Annotated[Path, typer.Argument(help="A bundle, NAME.jlb.")],
    target: Annotated[
        TargetName, typer.Option(help="Run on the emulated board, or on this machine by LiteRT.")
    ] = TargetName.QEMU,
    device: Annotated[
        str | None,
        typer.Option(help="Emulated board; default: the bundle's own, or one with its core."),
    ] = None,
    scenarios: Annotated[int, typer.Option(min=1, help="How many generated scenarios.")] = 10,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the scenarios.")] = 0,
    broker: Annotated[
        str | None, typer.Option(help="Send telemetry there, as mqtt://HOST:PORT.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder for result.json and report.html.")
    ] = None,
    trust: TrustOption = None,
    json_output: JsonFlag = False,
) -> None:
    """Run a bundle's model on a target against generated returns, and measure it.

    The returns go to the model on the target and its decisions come back. The result holds
    decision quality against the exact optimum, circularity, instructions, modelled joules by
    state with their interval and source, bytes on the wire and memory. result.json is rewritten
    about every second, so an interrupted run leaves what it had.

    Example: jouleloop bench out/policy.jlb --target qemu --scenarios 5 --seed 1
    """
    from edge_runtime.wire.bundle import read_bundle
    from hil_tests.session import run_session

    loaded = read_bundle(bundle)
    folder = out or Path("out/bench") / f"{loaded.name}-{loaded.device_id}-{target}-seed{seed}"
    trusted = read_trusted(trust or [])
    if target is TargetName.QEMU:
        make_first_key()
    with progress_bar("scenarios") as progress:
        result = run_session(
            loaded,
            str(target),
            device=device,
            scenarios=scenarios,
            seed=seed,
            broker=broker,
            out=folder,
            trust=trusted,
            progress=progress,
        )
    if json_output:
        print_json(result.as_record() | {"out": str(folder)})
    else:
        print_result(result)
        console.print(f"report: {folder / 'report.html'}")


def print_result(result: Result) -> None:
    """The figures of a run for people; sources as numbered notes, since they are long."""
    from hil_tests.report import format_interval, format_quantity

    title = f"{result.bundle} for {result.device} on {result.target_description}"
    table = Table("figure", title=title)
    for head in ("value", "interval", "limit"):
        table.add_column(head, justify="right")
    table.add_column("kind")
    table.add_column("source")
    sources: dict[str, int] = {}
    for measure in result.measures:
        note = sources.setdefault(measure.source, len(sources) + 1)
        limit = "" if measure.limit is None else format_quantity(measure.limit, measure.unit)
        value = format_quantity(measure.value, measure.unit)
        name = measure.name.removesuffix("_joules").removesuffix("_bytes").replace("_", " ")
        table.add_row(name, value, format_interval(measure), limit, measure.kind, f"({note})")
    print_wide(table)
    for source, note in sources.items():
        console.print(f"  ({note}) {source}", markup=False, highlight=False)
    for name, reason in result.missing.items():
        console.print(f"  {name} is absent: {reason}", markup=False, highlight=False)
