"""`jouleloop train`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.box import SIMPLE_HEAD
from rich.table import Table

from jouleloop.cli.output import JsonFlag, console, print_json, print_wide, progress_bar

if TYPE_CHECKING:
    from train.checkpoint import Card

train_app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)


@train_app.callback()
def train() -> None:
    """Train a model and leave a checkpoint that `jouleloop export` reads.

    Example: jouleloop train policy --out out/policy
    """


@train_app.command()
def policy(
    out: Annotated[
        Path, typer.Option(help="Folder for the checkpoint; an older checkpoint is replaced.")
    ],
    seed: Annotated[int, typer.Option(min=0, help="Seed of training data and weights.")] = 0,
    worlds: Annotated[
        str | None,
        typer.Option(
            help="Learn from circular supply chains: a scenario file, a folder, or `generated`."
        ),
    ] = None,
    json_output: JsonFlag = False,
) -> None:
    """Train the policy that decides what becomes of a returned photovoltaic module.

    It learns from the exact optimum which of reuse, remanufacture, recycle and dispose is best for
    a module's age and condition in a year's market. The table compares it with random decisions,
    a plant's rule and the exact optimum on returns that it never saw. An interrupted run leaves
    nothing behind, and an older checkpoint as it was.

    With --worlds it learns from the items that come back in circular supply chains instead; a
    checkpoint's card says what it observes, and `jouleloop bench --worlds` shows it that.

    Example: jouleloop train policy --out out/policy --seed 1
    """
    from train.policy import train_policy
    from train.world_policy import GENERATED, train_world_policy

    with progress_bar("train policy") as progress:
        if worlds is None:
            card = train_policy(out, seed=seed, progress=progress)
        else:
            folder = None if worlds == GENERATED else Path(worlds)
            card = train_world_policy(out, folder, seed=seed, progress=progress)
    if json_output:
        print_json({"out": str(out)} | card.as_record())
    else:
        print_wide(_comparison(card))
        console.print(f"checkpoint: {out}", markup=False, highlight=False, soft_wrap=True)


def _comparison(card: Card) -> Table:
    table = Table(
        *("decisions", "quality", "regret per item", "as the exact", "mass kept or recovered"),
        title=f"{card.metrics['held_out_returns']} returns that the policy never saw",
        box=SIMPLE_HEAD,
        pad_edge=False,
    )
    for name in ("random", "rule", "policy", "exact"):
        row = card.metrics[name]
        table.add_row(
            name,
            f"{row['decision_quality']:.4f}",
            f"{row['mean_regret_usd']:.2f} USD",
            f"{row['agreement']:.1%}",
            f"{row['circularity']:.1%}",
        )
    return table
