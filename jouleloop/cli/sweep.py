"""`jouleloop sweep`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.box import SIMPLE_HEAD
from rich.table import Table

from jouleloop.cli.output import JsonFlag, console, print_json, print_wide, progress_bar

if TYPE_CHECKING:
    from scenarios.world.sweep import SweepResult


def sweep(
    out: Annotated[Path, typer.Option(help="Folder of the sweep; an interrupted one goes on.")],
    count: Annotated[int, typer.Option(min=1, help="Scenarios.")] = 20,
    controllers: Annotated[
        str, typer.Option(help="Which of random, rule, greedy and exact, joined by commas.")
    ] = "random,rule,greedy",
    repeats: Annotated[int, typer.Option(min=1, help="Controller seeds for each.")] = 1,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the scenarios.")] = 0,
    nodes: Annotated[int, typer.Option(min=7, max=100_000, help="Processes in each.")] = 50,
    ticks: Annotated[int, typer.Option(min=1, max=100_000, help="Hours of each run.")] = 240,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Processes; one per processor when left out.")
    ] = None,
    json_output: JsonFlag = False,
) -> None:
    """Run controllers on many circular supply chains, and compare them.

    Every cell (scenario, controller, seed) is kept in sweep.sqlite as soon as it is finished, so a
    sweep that was killed goes on where it was when it is started again with the same options. Then
    cells.csv, summary.json and sweep.png are written; they have the same bytes whether or not it
    was killed.

    Example: jouleloop sweep --count 20 --controllers random,rule,greedy --out out/sweep
    """
    from scenarios.world.sweep import Plan, run_sweep

    names = tuple(name.strip() for name in controllers.split(",") if name.strip())
    plan = Plan(count, names, repeats, seed, nodes, ticks)
    with progress_bar("sweep") as progress:
        result = run_sweep(plan, out, workers=workers, progress=progress)
    if json_output:
        print_json({"out": str(out)} | asdict(result))
    else:
        _print(result, out)


def _print(result: SweepResult, out: Path) -> None:
    shown = ("material_circularity", "service", "decision_quality", "waste", "robustness", "score")
    heads = ("controller", "front", "hypervolume", *(name.replace("_", " ") for name in shown))
    table = Table(*heads, box=SIMPLE_HEAD, pad_edge=False)
    for name, row in result.summary["controllers"].items():
        cells = (f"{row[metric]['mean']:.3f}" for metric in shown)
        front = "yes" if name in result.summary["front"] else ""
        table.add_row(name, front, f"{row['hypervolume']:.4f}", *cells)
    print_wide(table)
    for field in ("cells_total", "cells_done_before", "cells_run"):
        typer.echo(f"{field}: {getattr(result, field)}")
    console.print(f"table: {out / 'cells.csv'}", markup=False, highlight=False, soft_wrap=True)
