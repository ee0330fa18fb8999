"""`jouleloop train`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.box import SIMPLE_HEAD
from rich.table import Table

from jouleloop.cli.keys import make_first_key
from jouleloop.cli.output import (
    JsonFlag,
    console,
    print_json,
    print_wide,
    progress_bar,
    progress_bars,
)

if TYPE_CHECKING:
    from train.checkpoint import Card
    from train.planner.settings import Settings

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


@train_app.command()
def planner(
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder for the checkpoint, an older one is replaced; or for the report. "
            "out/planner or out/planner-report when left out."
        ),
    ] = None,
    seed: Annotated[
        int, typer.Option(min=0, help="Seed of network, plans, weights and noise.")
    ] = 0,
    scenario: Annotated[
        Path | None,
        typer.Option(help="File of the scenario to plan for; a generated one when left out."),
    ] = None,
    pv: Annotated[
        int | None,
        typer.Option(metavar="YEAR", help="Plan PV_ICE's photovoltaic network of this year."),
    ] = None,
    hidden: Annotated[
        int, typer.Option(min=16, max=256, help="Width of the denoiser's hidden layers.")
    ] = 160,
    plans: Annotated[
        int, typer.Option(min=256, help="Plans to simulate; a quarter is held out.")
    ] = 8192,
    report: Annotated[
        bool, typer.Option("--report", help="Study several seeds and write an HTML report.")
    ] = False,
    seeds: Annotated[int, typer.Option(min=1, help="How many seeds the report is over.")] = 5,
    json_output: JsonFlag = False,
) -> None:
    """Train the planner: a diffusion model that draws a week's plan of a supply chain.

    The simulator makes plans under controllers that lean on cost and CO2; a denoiser learns them,
    and then learns to take few long steps. The table says, on plans that it never saw, how near it
    comes at each number of steps. A run that was interrupted, even by a kill, goes on where it was
    when it is started again, and ends with the same checkpoint. It uses a GPU when there is one.

    With --report it trains one planner per seed and writes report.html: everything that the planner
    must reach, measured, with intervals over the seeds and every sampler and baseline beside it.

    Example: jouleloop train planner --out out/planner --seed 1
    """
    from scenarios.world.file import read
    from train.planner.settings import Settings
    from train.planner.train import train_planner

    if scenario is not None and pv is not None:
        raise typer.BadParameter("give --scenario or --pv, not both")
    chosen = None if scenario is None else read(scenario)
    settings = Settings.of(seed=seed, scenario=chosen, pv_year=pv, plans=plans, hidden=hidden)
    if report:
        _planner_report(out or Path("out/planner-report"), settings, seeds, json_output)
        return
    out = out or Path("out/planner")
    with progress_bars() as show:
        card = train_planner(out, settings, show)
    if json_output:
        print_json({"out": str(out)} | card.as_record())
    else:
        print_wide(_planner_table(card))
        console.print(f"checkpoint: {out}", markup=False, highlight=False, soft_wrap=True)


def _planner_report(folder: Path, settings: Settings, seeds: int, json_output: bool) -> None:
    from hil_tests.sample_plans import figures_on_board
    from train.planner.report import FIGURES, PAGE, write_report

    make_first_key()
    with progress_bar("seeds") as progress:
        verdicts = write_report(folder, settings, seeds, device=figures_on_board, progress=progress)
    if json_output:
        print_json(json.loads((folder / FIGURES).read_text(encoding="utf-8")))
        return
    table = Table("what", "target", "measured", "verdict", box=SIMPLE_HEAD, pad_edge=False)
    for verdict in verdicts:
        table.add_row(verdict.line.what, verdict.line.target, verdict.measured, verdict.word)
    print_wide(table)
    console.print(f"report: {folder / PAGE}", markup=False, highlight=False, soft_wrap=True)


@train_app.command()
def dynamics(
    out: Annotated[
        Path, typer.Option(help="Folder for the checkpoint; an older checkpoint is replaced.")
    ],
    seed: Annotated[
        int, typer.Option(min=0, help="Seed of chain, schedules, returns and weights.")
    ] = 0,
    scenario: Annotated[
        Path | None,
        typer.Option(help="Scenario file with the chain; a generated one when left out."),
    ] = None,
    controller: Annotated[
        str, typer.Option(help="Who decides on returns: rule, greedy, random or exact.")
    ] = "rule",
    plot: Annotated[
        Path | None, typer.Option(help="Plot a held-out run to this PNG, SVG or PDF file.")
    ] = None,
    json_output: JsonFlag = False,
) -> None:
    """Train the rates at which a supply chain's mass changes its state under a changing law.

    The discrete-event simulator runs one chain under many schedules of policies and disruptions. A
    network of some two thousand parameters learns how far the hand-written rates are off; the table
    compares both with persistence on schedules that nobody saw, a day ahead and over whole runs,
    and says so where the network does not win. It takes a minute; an interrupted run leaves
    nothing behind.

    Example: jouleloop train dynamics --out out/dynamics --seed 1
    """
    from scenarios.world.file import read
    from train.dynamics import train_dynamics

    chosen = None if scenario is None else read(scenario)
    with progress_bars() as show:
        card = train_dynamics(
            out, chosen, controller=controller, seed=seed, plot=plot, progress=show
        )
    if json_output:
        print_json({"out": str(out)} | card.as_record())
        return
    print_wide(_dynamics_table(card))
    if not card.metrics["network_wins"]:
        console.print("the network does not win", markup=False, highlight=False)
    console.print(f"checkpoint: {out}", markup=False, highlight=False, soft_wrap=True)


def _dynamics_table(card: Card) -> Table:
    metrics = card.metrics
    horizons = metrics["horizons"]
    stocks = list(next(iter(horizons.values()))["network"]["rmse_kg"])
    table = Table(
        *("ticks ahead", "rates", "share", *(stock.replace("_", " ") for stock in stocks)),
        title=f"{metrics['held_out_schedules']} schedules that the network never saw",
        box=SIMPLE_HEAD,
        pad_edge=False,
        caption="root mean square errors in kg; share: next to persistence's, mean of the stocks",
    )
    for ticks, row in horizons.items():
        for name, found in row.items():
            missed = [f"{found['rmse_kg'][stock]:.1f}" for stock in stocks]
            table.add_row(ticks, name.replace("_", "-"), f"{found['share']:.3f}", *missed)
    return table


def _planner_table(card: Card) -> Table:
    metrics = card.metrics
    table = Table(
        *("steps", "distance", "spread", "cost with its weight", "CO2 with its weight"),
        title=f"against {metrics['held_out_plans']} plans that the planner never saw",
        box=SIMPLE_HEAD,
        pad_edge=False,
        caption="distance: sliced Wasserstein, in standard deviations; halves of the plans have "
        f"{metrics['sliced_wasserstein_floor']:.3f}. spread: standard deviation over that of the "
        "plans. The rest are correlations.",
    )
    for steps, row in metrics["steps"].items():
        distilled = int(steps) in card.details["distilled"]
        table.add_row(
            f"{steps}, distilled" if distilled else steps,
            f"{row['sliced_wasserstein']:.3f}",
            f"{row['std_ratio']:.3f}",
            f"{row['cost_correlation']:.2f}",
            f"{row['co2_correlation']:.2f}",
        )
    return table


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
