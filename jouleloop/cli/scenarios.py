"""`jouleloop scenarios`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.table import Table

from jouleloop.cli.output import JsonFlag, console, print_json, print_wide, progress_bar

if TYPE_CHECKING:
    from scenarios.world.schema import Scenario

scenarios_app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)

ScenarioFile = Annotated[Path, typer.Argument(help="Scenario file, JSON.", show_default=False)]


@scenarios_app.callback()
def scenarios() -> None:
    """Generate circular supply chains, check them, look at them and run them.

    A scenario is one JSON file: processes and hauls, product returns, policies and disruptions. Its
    id is the SHA-256 of its content, and its seed fixes everything that is random in its run.

    Example: jouleloop scenarios new --count 10 --out out/worlds
    """


@scenarios_app.command()
def new(
    out: Annotated[Path, typer.Option(help="Folder for the files; made where it is not there.")],
    nodes: Annotated[int, typer.Option(min=7, max=100_000, help="Processes in each.")] = 50,
    count: Annotated[int, typer.Option(min=1, help="How many.")] = 10,
    seed: Annotated[int, typer.Option(min=0, help="The first k do not depend on --count.")] = 0,
    ticks: Annotated[int, typer.Option(min=1, max=100_000, help="Hours of each run.")] = 240,
    json_output: JsonFlag = False,
) -> None:
    """Write random scenarios, each checked before it is written.

    Every one has a cycle, no isolated node and, by a linear program, a flow that meets its demand
    within its capacities. A file is called by the first twelve digits of its id, so that the same
    seed writes the same files.

    Example: jouleloop scenarios new --nodes 50 --count 100 --seed 7 --out out/worlds
    """
    from scenarios.world.generate import write_scenarios

    with progress_bar("scenarios new") as progress:
        written = write_scenarios(
            out, count, seed=seed, nodes=nodes, ticks=ticks, progress=progress
        )
    if json_output:
        rows = [{"file": name, "id": identity} for name, identity in written]
        print_json({"out": str(out), "count": len(rows), "seed": seed, "scenarios": rows})
    else:
        _say(f"{len(written)} scenarios of {nodes} nodes: {out}")


@scenarios_app.command()
def check(
    path: Annotated[Path, typer.Argument(help="A scenario file, or a folder of them.")],
    json_output: JsonFlag = False,
) -> None:
    """Check scenario files: form, structure, a feasible flow, and that nobody altered them.

    The first file with an error ends the check with exit code 1, and with the place of the error
    as a JSON path, as in $.edges[17].target.

    Example: jouleloop scenarios check out/worlds
    """
    from scenarios.world.folder import check_files

    with progress_bar("scenarios check") as progress:
        checked = check_files(path, progress=progress)
    if json_output:
        ids = [scenario.id for scenario in checked]
        print_json({"path": str(path), "checked": len(ids), "ids": ids})
    else:
        _say(f"{len(checked)} scenarios are sound: {path}")


@scenarios_app.command()
def show(file: ScenarioFile, json_output: JsonFlag = False) -> None:
    """Show what is in a scenario: processes by kind, returns, policies and disruptions.

    The paths around what fails are the cheapest flow that serves the most demand within the
    recovery window while every failing node is out.

    Example: jouleloop scenarios show out/worlds/2b34d585ae3e.json
    """
    from scenarios.world.file import read
    from scenarios.world.summary import summarise

    scenario = read(file)
    summary = summarise(scenario)
    if json_output:
        print_json(summary)
    else:
        _show(scenario, summary)


@scenarios_app.command()
def plot(
    file: ScenarioFile,
    out: Annotated[Path, typer.Option(help="PNG or SVG file to write.")],
    controller: Annotated[
        str, typer.Option(help="Whose run to plot: random, rule, greedy or exact.")
    ] = "rule",
    json_output: JsonFlag = False,
) -> None:
    """Plot a scenario: its flows by kind of process, and a run of it over time.

    The second panel shows the demand that is met and the disruptions, the third where mass goes,
    the fourth the levels of the policies.

    Example: jouleloop scenarios plot out/worlds/2b34d585ae3e.json --out out/world.png
    """
    from scenarios.world.controllers import make_controller
    from scenarios.world.file import read
    from scenarios.world.plot import plot_run
    from scenarios.world.simulate import simulate

    scenario = read(file)
    chosen = make_controller(controller)
    plot_run(simulate((scenario,), chosen), out, title=f"{scenario.id[:12]}, {controller}")
    if json_output:
        print_json({"id": scenario.id, "controller": controller, "out": str(out)})
    else:
        _say(f"plot: {out}")


@scenarios_app.command()
def run(
    file: ScenarioFile,
    controller: Annotated[
        str, typer.Option(help="Who decides: random, rule, greedy or exact.")
    ] = "rule",
    seed: Annotated[int, typer.Option(min=0, help="Of the random controller.")] = 0,
    trace: Annotated[
        Path | None, typer.Option(help="Write flows and stocks of every tick to this .npz file.")
    ] = None,
    json_output: JsonFlag = False,
) -> None:
    """Run a scenario under a controller and print its metrics.

    The mass of every node closes at every tick to 1e-9 of what it handled, or the run ends. With
    --trace anyone can sum that ledger: stock, arrivals, departures, extracted and disposed, by
    tick, node or edge, and material.

    Example: jouleloop scenarios run out/worlds/2b34d585ae3e.json --controller greedy
    """
    from scenarios.world.controllers import make_controller
    from scenarios.world.file import read
    from scenarios.world.score import evaluate
    from scenarios.world.simulate import Trace, simulate

    scenario = read(file)
    evaluation = evaluate(scenario, make_controller(controller, seed))
    if trace is not None:
        watch = Trace()
        watch.write(trace, simulate((scenario,), make_controller(controller, seed), watch=watch))
    record = {"id": scenario.id, "controller": controller, "seed": seed} | evaluation.as_record()
    if json_output:
        print_json(record | {"trace": None if trace is None else str(trace)})
        return
    table = Table("metric", "value", box=SIMPLE_HEAD, pad_edge=False)
    for name, value in _flat(record):
        table.add_row(name, value)
    print_wide(table)
    if trace is not None:
        _say(f"trace: {trace}")


def _flat(record: dict[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    rows = []
    for name, value in record.items():
        if isinstance(value, dict):
            rows += _flat(value, f"{prefix}{name}.")
        elif isinstance(value, float):
            rows.append((f"{prefix}{name}", f"{value:.6g}"))
        else:
            shown = ", ".join(value) if isinstance(value, list) else str(value)
            rows.append((f"{prefix}{name}", escape(shown)))
    return rows


def _show(scenario: Scenario, summary: dict[str, Any]) -> None:
    _say(f"scenario {scenario.id}")
    kinds = Table("kind", "nodes", "capacity kg/tick", "demand kg/tick", box=SIMPLE_HEAD)
    for kind, row in summary["kinds"].items():
        kinds.add_row(
            kind, str(row["nodes"]), f"{row['capacity_kg']:.1f}", f"{row['demand_kg']:.1f}"
        )
    print_wide(kinds)
    for line in summary["lines"]:
        _say(line)


def _say(text: str) -> None:
    console.print(text, markup=False, highlight=False, soft_wrap=True)
