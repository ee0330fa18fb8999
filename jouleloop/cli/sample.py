"""`jouleloop sample`."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from jouleloop.cli.output import JsonFlag, console, print_json, progress_bar

if TYPE_CHECKING:
    from hil_tests.sample_plans import Drawn


class SampleTarget(StrEnum):
    """Where plans are drawn."""

    QEMU = "qemu"
    LOCAL = "local"


def sample(
    bundle: Annotated[Path, typer.Argument(help="A planner's bundle, NAME.jlb.")],
    out: Annotated[Path, typer.Option("--out", help="The samples to write, .npz.")],
    target: Annotated[
        SampleTarget,
        typer.Option(help="An emulated board with our firmware, or LiteRT and NumPy here."),
    ] = SampleTarget.QEMU,
    count: Annotated[int, typer.Option(help="How many plans.")] = 1,
    condition: Annotated[
        str, typer.Option(help="Weights of cost and CO2, each 0 to 1: COST,CO2.")
    ] = "0.5,0.5",
    seed: Annotated[int, typer.Option(help="The same seed gives the same plans.")] = 1,
    json_output: JsonFlag = False,
) -> None:
    """Draw plans from an exported planner: noise, denoising steps, exact projection.

    On a board the module does all of it. The file holds plans, network and bounds, so that
    `flows @ incidence.T + exchange = storage` and every constraint can be checked without us.
    Instructions are counted by the emulator; joules are modelled from them.

    Example: jouleloop sample out/planner.jlb --target qemu --count 4 --out samples.npz --json
    """
    from edge_runtime.wire.bundle import read_bundle
    from hil_tests.sample_plans import Request, draw_locally, draw_on_qemu, write_drawn

    request = Request(count, _weights(condition), seed)
    loaded = read_bundle(bundle)
    draw = draw_on_qemu if target is SampleTarget.QEMU else draw_locally
    with progress_bar("sample") as progress:
        drawn = draw(loaded, request, progress)
    write_drawn(out, drawn)
    if json_output:
        print_json(drawn.as_record() | {"samples": str(out)})
    else:
        console.print(_table(drawn, out))


def _weights(text: str) -> tuple[float, float]:
    try:
        cost, co2 = map(float, text.split(","))
    except ValueError:
        raise typer.BadParameter(f"--condition is COST,CO2, such as 0.2,0.8; got {text}") from None
    return cost, co2


def _table(drawn: Drawn, out: Path) -> Table:
    from export.budget import format_joules

    record = drawn.as_record()
    table = Table("figure", "value", title=escape(f"{drawn.request.count} plans by {drawn.target}"))
    table.add_row("feasible", f"{record['feasible']:.0%}")
    table.add_row("largest residual, of capacity", f"{record['max_residual']:.2g}")
    table.add_row("mean cost", f"{record['mean_cost_usd']:.6g} US dollars")
    table.add_row("mean CO2", f"{record['mean_co2_kg']:.6g} kg")
    if record["instructions_per_sample"] is not None:
        table.add_row("instructions per plan", f"{record['instructions_per_sample']:,.0f}")
        table.add_row("arena", f"{record['arena_bytes']:,} B")
    if drawn.energy is not None:
        value = f"{format_joules(drawn.energy.joules)}, {drawn.energy.kind}"
        table.add_row("energy per plan", escape(f"{value}: {drawn.energy.source}"))
    table.add_row("samples", escape(str(out)))
    return table
