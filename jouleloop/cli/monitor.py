"""`jouleloop monitor`."""

from __future__ import annotations

import time
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer
from rich.live import Live
from rich.markup import escape
from rich.table import Column, Table

from jouleloop.cli.output import JsonFlag, console, print_json, print_wide, progress_console
from jouleloop.errors import LinkError

if TYPE_CHECKING:
    from fleet.broker import Broker
    from fleet.monitor import Monitor, Snapshot
    from fleet.state import MetricView

DEFAULT_TIMEOUT_S = 60.0
REFRESH_S = 0.25
SOURCE_COLUMNS = 60


def monitor(
    port: Annotated[int, typer.Option(help="TCP port of the broker; 0 takes any free one.")] = 1883,
    bind: Annotated[
        str, typer.Option(help="IP address to listen on; the default is this machine alone.")
    ] = "127.0.0.1",
    database: Annotated[Path, typer.Option(help="SQLite file that keeps every reading.")] = Path(
        "out/telemetry.sqlite"
    ),
    once: Annotated[
        bool, typer.Option("--once", help="End after the first complete birth and data.")
    ] = False,
    timeout: Annotated[
        float | None,
        typer.Option(min=0, help="With --once: give up after so many seconds; 60 when left out."),
    ] = None,
    json_output: JsonFlag = False,
) -> None:
    """Start a broker, and show and store what nodes report to it.

    Prints the broker's URL first; nodes get it as --broker. The table shows every metric with its
    kind and source, so that measured and modelled figures stay apart. What it receives goes to an
    SQLite database; the view `readings` there has a row for every value.

    Example: jouleloop monitor --port 0 --once --timeout 30
    """
    if json_output and not once:
        raise typer.BadParameter("--json prints one object, so it goes with --once")
    if timeout is not None and not once:
        raise typer.BadParameter("--timeout goes with --once")
    from fleet.broker import Broker
    from fleet.monitor import Monitor
    from fleet.store import Store

    with ExitStack() as stack:
        store = stack.enter_context(Store(database))
        broker = stack.enter_context(Broker(port, bind))
        host = stack.enter_context(Monitor(broker.url, store))
        # On standard error under --json, where standard output is for the object alone.
        typer.echo(broker.url, err=json_output)
        if broker.warning:
            progress_console.print(f"jouleloop: warning: {escape(broker.warning)}", soft_wrap=True)
        if not once:
            _watch(broker, host)
        snapshot = _first(broker, host, DEFAULT_TIMEOUT_S if timeout is None else timeout)
    if json_output:
        print_json(snapshot.as_record())
    else:
        print_wide(fleet_table(snapshot))


def _watch(broker: Broker, host: Monitor) -> NoReturn:
    """Show the table until the user ends it."""
    with Live(fleet_table(host.snapshot()), console=console, auto_refresh=False) as live:
        while True:
            broker.check()
            host.check()
            live.update(fleet_table(host.snapshot()), refresh=True)
            time.sleep(REFRESH_S)


def _first(broker: Broker, host: Monitor, timeout_s: float) -> Snapshot:
    """The fleet once a node or device has been born and has sent data.

    Raises:
        LinkError: nothing of the kind in time.
    """
    deadline = time.monotonic() + timeout_s
    while not host.wait_complete(min(REFRESH_S, max(0.0, deadline - time.monotonic()))):
        broker.check()
        host.check()
        if time.monotonic() >= deadline:
            seen = host.snapshot()
            detail = f"; the last of {seen.rejected} rejected messages: {seen.last_rejection}"
            raise LinkError(
                f"{broker.url} received no complete birth and data within {timeout_s:g} s; "
                f"{len(seen.nodes)} nodes were born{detail if seen.rejected else ''}",
                hint=f"start a node, for example: jouleloop run BUNDLE --broker {broker.url}",
            )
    host.flush()
    return host.snapshot()


def fleet_table(snapshot: Snapshot) -> Table:
    """The fleet for people: a row a metric."""
    rejected = f", {snapshot.rejected} messages rejected" if snapshot.rejected else ""
    lost = "" if snapshot.is_connected else ", connection lost"
    table = Table(
        "node",
        "device",
        "metric",
        "value",
        "kind",
        "± error",
        # Folded: it may name a datasheet for every figure of a sum.
        Column("source", max_width=SOURCE_COLUMNS, overflow="fold"),
        "age",
        caption=f"{snapshot.broker}: {snapshot.rows_stored} rows stored{rejected}{lost}",
    )
    now_s = datetime.now(UTC).timestamp()
    for node in snapshot.nodes:
        for metric in node.metrics:
            error = "" if metric.relative_error is None else f"± {metric.relative_error:.0%}"
            age = f"{max(0.0, now_s - metric.time_ms / 1000):.0f} s"
            cells = (
                node.id,
                metric.device or "",
                metric.name,
                _value(metric),
                metric.kind or "",
                error,
                metric.source or "",
                "stale" if metric.stale else age,
            )
            table.add_row(*map(escape, cells), style="dim" if metric.stale else "")
    return table


def _value(metric: MetricView) -> str:
    if metric.value is None:
        return "unknown"
    shown = f"{metric.value:.4g}" if isinstance(metric.value, float) else str(metric.value)
    return f"{shown} {metric.unit or ''}".strip()
