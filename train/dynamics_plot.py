"""A picture of one run: what the stocks did, and what the rates foretold from its first tick."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jouleloop.errors import InputError
from jouleloop.programs import require_package
from scenarios.world.chain_rates import HandRates, NetworkRates
from scenarios.world.dynamics import STOCKS, integrate, stoichiometry
from scenarios.world.plot import FORMATS

if TYPE_CHECKING:
    from pathlib import Path

    from scenarios.world.chain_rates import Chain, Weights
    from train.dynamics import Observed


def plot_forecast(chain: Chain, weights: Weights, run: Observed, path: Path) -> None:
    """Plot how every stock differs from its beginning, as it was and as it was foretold.

    Raises:
        InputError: not a format that can be written.
        MissingToolError: matplotlib is not installed.
    """
    require_plot(path)
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    times = range(len(run.stocks))
    matrix = stoichiometry(chain.recycling_yield)
    curves = {
        "discrete events": run.stocks,
        "hand-written rates": integrate(
            HandRates(chain), matrix, run.stocks[0], run.schedule, times
        ),
        "with the network": integrate(
            NetworkRates(chain, weights), matrix, run.stocks[0], run.schedule, times
        ),
    }
    figure = Figure(figsize=(13, 7), layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle("A held-out schedule: change of every stock since the first tick, kg")
    panels = figure.subplots(2, 4).ravel()
    for number, (axes, name) in enumerate(zip(panels, STOCKS, strict=False)):
        for (label, stocks), style in zip(curves.items(), ("k-", "C1--", "C0-"), strict=True):
            axes.plot(times, stocks[:, number] - stocks[0, number], style, label=label, lw=1.4)
        axes.set_title(name.replace("_", " "))
        axes.grid(alpha=0.3)
        axes.set_xlabel("tick, h")
    panels[-1].axis("off")
    panels[-1].legend(*panels[0].get_legend_handles_labels(), loc="center", frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)


def require_plot(path: Path) -> None:
    """Check that a plot can be written, before the work that makes it.

    Raises:
        InputError: not a format that can be written.
        MissingToolError: matplotlib is not installed.
    """
    require_package("matplotlib")
    if path.suffix not in FORMATS:
        raise InputError(f"cannot write a plot as {path.name}", hint=f"use {', '.join(FORMATS)}")
