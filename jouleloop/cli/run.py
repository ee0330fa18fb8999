"""`jouleloop run`."""

from __future__ import annotations

from collections import Counter
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from jouleloop.cli.output import JsonFlag, console, print_json, progress_bar

if TYPE_CHECKING:
    from edge_runtime.node.loop import RunResult


class BackendName(StrEnum):
    """What runs the model."""

    LITERT = "litert"
    ONNXRUNTIME = "onnxruntime"
    TFLITE_RUNTIME = "tflite-runtime"


def run(
    bundle: Annotated[Path, typer.Argument(help="A bundle, NAME.jlb.")],
    backend: Annotated[
        BackendName, typer.Option(help="What runs the model on this machine.")
    ] = BackendName.LITERT,
    observations: Annotated[
        Path | None,
        typer.Option(
            "--input",
            help="Rows to decide on: a .npy of float32 [rows, values]; default: the bundle's own.",
        ),
    ] = None,
    count: Annotated[
        int | None, typer.Option(min=1, help="How many decisions; default: one a row.")
    ] = None,
    period: Annotated[
        float, typer.Option(min=0, help="Seconds from one decision to the next; 0 does not wait.")
    ] = 0.0,
    broker: Annotated[str | None, typer.Option(help="Report there, as mqtt://HOST:PORT.")] = None,
    group: Annotated[str, typer.Option(help="Sparkplug group to report in.")] = "jouleloop",
    node: Annotated[
        str | None, typer.Option(help="Sparkplug node to report as; default: the host name.")
    ] = None,
    json_output: JsonFlag = False,
) -> None:
    """Run a bundle's model on this Linux machine: wake, infer, report, sleep.

    The same loop as on a microcontroller. Latency is measured here. Joules are modelled: the power
    in the bundle's device profile times the seconds measured here; a bundle for a microcontroller
    says nothing about this machine's power, so its joules stay unknown.

    Example: jouleloop run out/policy.jlb --count 100 --period 0.1
    """
    from edge_runtime.node.host import default_node_id
    from edge_runtime.node.loop import Reporting, run_bundle
    from edge_runtime.node.observations import golden_rows, read_rows
    from edge_runtime.wire.bundle import read_bundle

    loaded = read_bundle(bundle)
    rows = golden_rows(loaded) if observations is None else read_rows(observations, loaded)
    reporting = None
    if broker is not None:
        reporting = Reporting(broker, group, default_node_id() if node is None else node)
    with progress_bar("decisions") as progress:
        result = run_bundle(
            loaded,
            rows,
            backend=str(backend),
            count=count,
            period_s=period,
            reporting=reporting,
            progress=progress,
        )
    if json_output:
        print_json(result.as_record())
    else:
        console.print(run_table(result))


def run_table(result: RunResult) -> Table:
    """What a run did, for people."""
    table = Table("figure", "value", "kind", "source", title=f"{result.bundle} by {result.backend}")
    latency = result.as_record()["latency_s"]
    decided = Counter(map(result.label, result.decisions))
    counts = ", ".join(f"{number} {name}" for name, number in decided.most_common())
    rows = [
        ("decisions", str(len(result.decisions)), "counted", counts),
        ("latency, median", f"{latency['median']:.4g} s", latency["kind"], latency["source"]),
        ("latency, 90 %", f"{latency['p90']:.4g} s", latency["kind"], latency["source"]),
    ]
    if result.energy is None:
        rows.append(("energy per decision", "unknown", "", result.energy_reason))
    else:
        value = f"{result.energy.joules:.4g} J ± {result.energy.relative_error:.0%}"
        rows.append(("energy per decision", value, str(result.energy.kind), result.energy.source))
    if result.late:
        rows.append(("began late", str(result.late), "counted", "decisions after their period"))
    if result.unsent is not None:
        rows.append(("messages not sent", str(result.unsent), "counted", "broker out of reach"))
    for row in rows:
        table.add_row(*map(escape, row))
    return table
