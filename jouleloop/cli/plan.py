"""`jouleloop plan`: what a planner is for."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.box import SIMPLE_HEAD
from rich.table import Table

from jouleloop.cli.output import JsonFlag, console, print_json, print_wide

if TYPE_CHECKING:
    import numpy as np

    from edge_runtime.planner.planner import Planner

plan_app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)

PlannerPath = Annotated[
    Path, typer.Argument(metavar="PLANNER", help="A planner: checkpoint folder, or bundle .jlb.")
]
Condition = Annotated[
    str, typer.Option(metavar="COST,CO2", help="Weights of cost and CO2, 0 to 1 each.")
]
Seed = Annotated[int, typer.Option(min=0, help="Seed of the draw.")]
Level = Annotated[str, typer.Option(help="Level of the intervals: 0.8, 0.9 or 0.95.")]


@plan_app.callback()
def plan() -> None:
    """Draw plans with a trained planner: run a network, change it, ask what a tax would do.

    A checkpoint draws with its float model; a bundle with the sampler that was exported.

    Example: jouleloop plan operate out/planner --condition 0.2,0.8
    """


@plan_app.command()
def operate(
    planner: PlannerPath,
    condition: Condition = "0.5,0.5",
    count: Annotated[int, typer.Option(min=1, help="Plans to choose from.")] = 128,
    level: Level = "0.9",
    seed: Seed = 0,
    out: Annotated[
        Path | None, typer.Option(help="Write the chosen plan as .npz, as `samples.npz` is.")
    ] = None,
    json_output: JsonFlag = False,
) -> None:
    """Draw plans under your weights and show the best: what each process does next period.

    The plan keeps every constraint of the network. The intervals say what cost, CO2 and circularity
    plans under these weights come to; they are calibrated on runs of the simulator.

    Example: jouleloop plan operate out/planner --condition 0.2,0.8 --out plan.npz
    """
    from edge_runtime.planner.operate import operate as choose
    from edge_runtime.planner.plan_file import write_plans

    weights = _weights(condition)
    drawer = _planner(planner)
    chosen = choose(drawer, weights, count=count, level=level, seed=seed)
    if out is not None:
        write_plans(out, drawer.network, chosen.plan)
    network, found = drawer.network, chosen.plan
    inflow = found.flows[0] @ network.inflow.T
    rows = [
        {
            "node": name,
            "on": bool(found.status[0, number] >= 0.5),
            "inflow_kg": float(inflow[number]),
            "storage_kg": float(found.storage[0, number]),
            "exchange_kg": float(found.exchange[0, number]),
            "quality": float(found.quality[0, number]),
        }
        for number, name in enumerate(network.nodes)
    ]
    found_outcomes = _outcomes(chosen.worth, chosen.low, chosen.high)
    if json_output:
        record = {"drawn": chosen.drawn, "better_than": chosen.better_than, "level": level}
        print_json(record | {"outcomes": found_outcomes, "nodes": rows})
        return
    table = Table(
        *("process", "on", "flows in, kg", "into store, kg", "over the border, kg", "quality"),
        title=f"the best of {chosen.drawn} plans",
        box=SIMPLE_HEAD,
        pad_edge=False,
    )
    for row in rows:
        numbers = (f"{row[key]:,.1f}" for key in ("inflow_kg", "storage_kg", "exchange_kg"))
        table.add_row(
            str(row["node"]), "on" if row["on"] else "off", *numbers, f"{row['quality']:.2f}"
        )
    print_wide(table)
    _print_outcomes(found_outcomes, level)
    if out is not None:
        console.print(f"plan: {out}", markup=False, highlight=False, soft_wrap=True)


@plan_app.command()
def design(
    planner: PlannerPath,
    condition: Condition = "0.5,0.5",
    count: Annotated[int, typer.Option(min=1, help="Plans to draw.")] = 64,
    seed: Seed = 0,
    json_output: JsonFlag = False,
) -> None:
    """Try the network without each of its processes: what is busy, what could be closed.

    Plans are drawn for the whole network and projected on what is left of it. Cost and CO2 are per
    kilogram delivered. A period is short: what lives off stock may look as if nobody missed it.

    Example: jouleloop plan design out/planner --condition 0.2,0.8
    """
    from edge_runtime.planner.design import design as try_without

    weights = _weights(condition)
    options = try_without(_planner(planner), weights, count=count, seed=seed)
    if json_output:
        print_json({"options": [vars(option) for option in options]})
        return
    table = Table(
        *("without", "busy", "busiest", "delivered", "cost per kg", "CO2 per kg", "circularity"),
        title="the network without one process, the first to close first",
        box=SIMPLE_HEAD,
        pad_edge=False,
    )
    for option in options:
        changes = (
            ("needed", "", "", "")
            if option.is_needed
            else (
                f"{option.delivered:+.1%}",
                f"{option.cost:+.1%}",
                f"{option.co2:+.1%}",
                f"{option.circularity:+.3f}",
            )
        )
        table.add_row(option.node, f"{option.busy:.1%}", f"{option.busy_most:.1%}", *changes)
    print_wide(table)


@plan_app.command("whatif")
def whatif(
    planner: PlannerPath,
    tax: Annotated[
        str,
        typer.Option(metavar="USD,USD,...", help="Taxes on virgin material, USD per kg."),
    ] = "0,0.5,1,2,4",
    condition: Condition = "0.5,0.5",
    count: Annotated[int, typer.Option(min=1, help="Plans per pair of weights tried.")] = 32,
    level: Level = "0.9",
    seed: Seed = 0,
    json_output: JsonFlag = False,
) -> None:
    """What a tax on virgin material would do to the plans, and what it would bring in.

    Plans that deliver as much as today's are compared at their price with the tax; the cheapest say
    which weights of cost and CO2 the tax calls for, and fresh plans under these what follows.

    Example: jouleloop plan whatif out/planner --tax 0,1,2,4
    """
    from edge_runtime.planner.what_if import what_if

    taxes, weights = _numbers(tax, "--tax"), _weights(condition)
    responses = what_if(_planner(planner), taxes, weights, count=count, level=level, seed=seed)
    if json_output:
        print_json(
            {
                "level": level,
                "responses": [
                    {
                        **{k: v for k, v in vars(r).items() if k not in ("worth", "low", "high")},
                        "outcomes": _outcomes(r.worth, r.low, r.high),
                    }
                    for r in responses
                ],
            }
        )
        return
    table = Table(
        *("tax, USD/kg", "weights", "delivered, kg", "virgin per kg", "tax paid, USD"),
        *("cost, USD", "CO2, kg", "circularity"),
        title="what a tax on virgin material would do",
        box=SIMPLE_HEAD,
        pad_edge=False,
    )
    for response in responses:
        cost, co2, circular = (
            f"{value:{form}} ({low:{form}} to {high:{form}})"
            for value, low, high, form in zip(
                response.worth, response.low, response.high, (",.0f", ",.0f", ".3f"), strict=True
            )
        )
        table.add_row(
            f"{response.tax_usd_per_kg:g}",
            "{:.2f}, {:.2f}".format(*response.weights),
            f"{response.delivered_kg:,.0f}",
            f"{response.virgin_per_kg:.3f}",
            f"{response.paid_usd:,.0f}",
            *(cost, co2, circular),
        )
    print_wide(table)


def _planner(path: Path) -> Planner:
    """The float model of a checkpoint, or the very sampler that a bundle brings to a device."""
    if path.is_file():
        from edge_runtime.node.planner import planner_of_bundle
        from edge_runtime.wire.bundle import read_bundle

        return planner_of_bundle(read_bundle(path))
    from train.planner.drawing import planner_of_checkpoint

    return planner_of_checkpoint(path)


def _weights(text: str) -> tuple[float, float]:
    numbers = _numbers(text, "--condition")
    if len(numbers) != 2:
        raise typer.BadParameter(
            f"{text!r} is not two weights, as 0.2,0.8", param_hint="--condition"
        )
    return numbers[0], numbers[1]


def _numbers(text: str, option: str) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise typer.BadParameter(
            f"{text!r} is not numbers with commas between them", param_hint=option
        ) from None


def _outcomes(
    worth: np.ndarray[Any, Any], low: np.ndarray[Any, Any], high: np.ndarray[Any, Any]
) -> dict[str, dict[str, float]]:
    from edge_runtime.planner.objectives import OBJECTIVES

    return {
        name: {"value": value, "low": least, "high": most}
        for name, value, least, most in zip(
            OBJECTIVES, worth.tolist(), low.tolist(), high.tolist(), strict=True
        )
    }


def _print_outcomes(outcomes: dict[str, dict[str, float]], level: str) -> None:
    labels = {"cost_usd": "cost, USD", "co2_kg": "CO2, kg", "circularity": "circularity"}
    table = Table(
        "", "this plan", f"such plans, {float(level):.0%}", box=SIMPLE_HEAD, pad_edge=False
    )
    for name, row in outcomes.items():
        form = ".3f" if name == "circularity" else ",.0f"
        interval = f"{row['low']:{form}} to {row['high']:{form}}"
        table.add_row(labels[name], f"{row['value']:{form}}", interval)
    print_wide(table)
