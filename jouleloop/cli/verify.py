"""`jouleloop verify`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.box import SIMPLE_HEAD
from rich.table import Table

from jouleloop.cli.output import JsonFlag, print_json, print_wide, progress_bar

if TYPE_CHECKING:
    from train.verify import Verification

MOST_ROWS = 20


def verify(
    samples: Annotated[Path, typer.Argument(help="Plans and their network, samples.npz.")],
    seed: Annotated[int, typer.Option(min=0, help="Seed of simulated plans and starts.")] = 0,
    json_output: JsonFlag = False,
) -> None:
    """Verify plans by inverse simulation: could the network have done this?

    For every plan it is searched which controls of a simulator, which keeps all constraints, lead
    nearest to it. The plan is verified where what remains is no more than for 99 of 100 plans that
    the simulator made itself. Degrees of freedom are the independent checks behind a residual.

    Example: jouleloop verify out/samples.npz --json
    """
    from edge_runtime.planner.samples import read_samples
    from jouleloop.programs import require_package

    network, plans = read_samples(samples)
    require_package("torch")
    from train.verify import verify_plans

    with progress_bar("verify") as progress:
        verification = verify_plans(network, plans, seed=seed, progress=progress)
    if json_output:
        print_json(verification.as_record())
    else:
        _print(verification)


def _print(verification: Verification) -> None:
    record = verification.as_record()
    heads = ("sample", "verdict", "residual", "degrees of freedom", "worst constraint", "by")
    table = Table(*heads, box=SIMPLE_HEAD, pad_edge=False)
    for index, sample in enumerate(record["samples"][:MOST_ROWS]):
        table.add_row(
            str(index),
            "verified" if sample["verified"] else "rejected",
            f"{sample['residual']:.3g}",
            str(sample["degrees_of_freedom"]),
            sample["worst_constraint"] if sample["constraint_residual"] > 0 else "none",
            f"{sample['constraint_residual']:.3g}",
        )
    print_wide(table)
    hidden = record["samples_total"] - MOST_ROWS
    if hidden > 0:
        typer.echo(f"... and {hidden} more; --json shows all")
    typer.echo(
        f"verified: {record['samples_verified']} of {record['samples_total']}, at a threshold of "
        f"{record['threshold']:.3g} of capacity"
    )
