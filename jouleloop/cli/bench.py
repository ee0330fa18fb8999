"""`jouleloop bench`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.box import SIMPLE_HEAD
from rich.table import Table

from jouleloop.cli.keys import TrustOption, make_first_key, read_trusted
from jouleloop.cli.output import JsonFlag, console, print_json, print_wide, progress_bar
from jouleloop.errors import ConformanceError, OverBudgetError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from edge_runtime.wire.bundle import Bundle
    from edge_runtime.wire.keys import PublicKey
    from hil_tests.result import Result
    from hil_tests.world_result import WorldsResult


def _target(value: str) -> str:
    if value in ("qemu", "local") or (value.startswith("serial:") and value != "serial:"):
        return value
    raise typer.BadParameter(f"{value!r} is not qemu, local or serial:PORT")


def bench(
    bundle: Annotated[Path, typer.Argument(help="A bundle, NAME.jlb.")],
    target: Annotated[
        str,
        typer.Option(
            parser=_target,
            metavar="qemu|local|serial:PORT",
            help="Run on the emulated board, on this machine by LiteRT, or on the board there.",
        ),
    ] = "qemu",
    device: Annotated[
        str | None,
        typer.Option(help="Emulated board; default: the bundle's own, or one with its core."),
    ] = None,
    worlds: Annotated[
        Path | None,
        typer.Option(help="Run in these circular supply chains: a file, or a folder of files."),
    ] = None,
    scenarios: Annotated[
        int | None,
        typer.Option(min=1, help="How many scenarios; default: 10, with --worlds the first 25."),
    ] = None,
    ticks: Annotated[
        int | None, typer.Option(min=1, help="With --worlds: run each for so many hours at most.")
    ] = None,
    seed: Annotated[
        int, typer.Option(min=0, help="Of the scenarios; with --worlds of the random controller.")
    ] = 0,
    budget_joules: Annotated[
        float | None, typer.Option(help="With --worlds: joules per decision; above is a fail.")
    ] = None,
    budget_bytes: Annotated[
        float | None, typer.Option(help="With --worlds: bytes on the wire per decision, likewise.")
    ] = None,
    broker: Annotated[
        str | None, typer.Option(help="Send telemetry there, as mqtt://HOST:PORT.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder for result.json and report.html.")
    ] = None,
    trust: TrustOption = None,
    conformance: Annotated[
        bool,
        typer.Option(
            "--conformance", help="Check instead that the board does what every port must do."
        ),
    ] = False,
    json_output: JsonFlag = False,
) -> None:
    """Run a bundle's model on a target against generated returns, and measure it.

    The returns go to the model on the target and its decisions come back. The result holds
    decision quality against the exact optimum, circularity, instructions, modelled joules by
    state with their interval and source, bytes on the wire and memory. result.json is rewritten
    about every second, so an interrupted run leaves what it had.

    With --worlds the model decides what comes back in circular supply chains of `jouleloop
    scenarios new`. The same worlds are run under random, rule and greedy decisions; the result
    holds every metric of a world, the Pareto front and a score. A policy of `train policy` sees
    an item as the photovoltaic module that is most like it, one of `train policy --worlds
    generated` sees the item itself.

    With --conformance a board with our firmware, emulated or on a serial port, shows that its port
    is right: clock and sleep, restarts, uploads and refusals, storage, exact outputs.
    docs/porting.md says what each check means.

    Example: jouleloop bench out/policy.jlb --target qemu --scenarios 5 --seed 1
    """
    from edge_runtime.wire.bundle import read_bundle
    from hil_tests.session import run_session
    from hil_tests.world_measures import Limits

    _check_options(worlds, ticks, budget_joules, budget_bytes)
    loaded = read_bundle(bundle)
    trusted = read_trusted(trust or [])
    kind = target.partition(":")[0]
    if target == "qemu":
        make_first_key()
    if conformance:
        _check_conformance(loaded, target, device, trusted, json_output)
        return
    if worlds is not None:
        name = f"{loaded.name}-{loaded.device_id}-{kind}-worlds-seed{seed}"
        folder = out or Path("out/bench") / name
        options = {
            "target": target,
            "device": device,
            "scenarios": scenarios,
            "ticks": ticks,
            "seed": seed,
            "limits": Limits(budget_joules, budget_bytes),
            "broker": broker,
            "out": folder,
            "trust": trusted,
        }
        _bench_worlds(loaded, worlds, options, json_output)
        return
    folder = out or Path("out/bench") / f"{loaded.name}-{loaded.device_id}-{kind}-seed{seed}"
    with progress_bar("scenarios") as progress:
        result = run_session(
            loaded,
            target,
            device=device,
            scenarios=10 if scenarios is None else scenarios,
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


def _check_conformance(
    bundle: Bundle,
    target: str,
    device: str | None,
    trust: Sequence[PublicKey],
    json_output: bool,
) -> None:
    from hil_tests.session import run_conformance_session

    with progress_bar("checks") as progress:
        found = run_conformance_session(
            bundle, target, device=device, trust=trust, progress=progress
        )
    if json_output:
        print_json(found.as_record())
    else:
        table = Table("check", "", "finding", title=f"{found.device} on {found.port}")
        for verdict in found.verdicts:
            passed = "yes" if verdict.is_passed else "NO"
            table.add_row(verdict.check, passed if verdict.applies else "-", verdict.finding)
        print_wide(table)
    failed = [verdict.check for verdict in found.verdicts if not verdict.is_passed]
    if failed:
        raise ConformanceError(
            f"the board does not conform: {', '.join(failed)}",
            hint="docs/porting.md says what each check asks of a port",
        )


def _check_options(worlds: Path | None, *of_worlds: float | None) -> None:
    names = ("--ticks", "--budget-joules", "--budget-bytes")
    for name, value in zip(names, of_worlds, strict=True):
        if value is None:
            continue
        if worlds is None:
            raise typer.BadParameter("only a benchmark in --worlds has it", param_hint=name)
        if not 0 < value < float("inf"):
            raise typer.BadParameter(f"{value:g} is no amount above 0", param_hint=name)


def _bench_worlds(
    bundle: Bundle, worlds: Path, options: Mapping[str, Any], json_output: bool
) -> None:
    from hil_tests.session import run_worlds_session

    folder = options["out"]
    with progress_bar("ticks") as progress:
        result = run_worlds_session(bundle, worlds=worlds, progress=progress, **options)
    if json_output:
        print_json(result.as_record() | {"out": str(folder)})
    else:
        _print_worlds(result)
        console.print(f"report: {folder / 'report.html'}", soft_wrap=True)
    if result.over_budget:
        raise OverBudgetError(
            f"{result.bundle} is over budget: {'; '.join(result.over_budget)}",
            hint="the figures are in the report; raise the budget, or export a smaller model",
        )


def _print_worlds(result: WorldsResult) -> None:
    from hil_tests.world_report import HEADS, controller_rows

    table = Table(*HEADS, box=SIMPLE_HEAD, pad_edge=False)
    for row in controller_rows(result):
        table.add_row(*row)
    print_wide(table)
    console.print(f"shown: {result.observation}", highlight=False, soft_wrap=True)
    if result.scenarios_left_out:
        console.print(f"{result.scenarios_left_out} worlds were left out; --scenarios takes more")
    print_result(result)


def print_result(result: Result | WorldsResult) -> None:
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
