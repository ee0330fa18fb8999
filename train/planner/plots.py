"""The pictures of the planner's report, each an SVG that stands inside the page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from edge_runtime.planner.objectives import OBJECTIVES
from jouleloop.figures import INK, LIMIT, MODEL, OTHER, figure_of, svg
from train.planner.verdicts import interval

if TYPE_CHECKING:
    from collections.abc import Sequence

    Record = dict[str, Any]

KINDS = (
    ("x0", "float", MODEL, "o"),
    ("INT8", "INT8", LIMIT, "s"),
    ("hybrid physics loss", "hybrid physics loss", OTHER, "^"),
)


def draw_plots(records: Sequence[Record]) -> list[dict[str, str]]:
    """Title, picture and note of each plot."""
    return [
        {
            "title": "Distance and spread by the number of steps",
            "svg": _draw_steps(records),
            "note": "After projection at the end; bars are 95 % intervals of the mean over seeds. "
            "Hollow: distilled. The line is the distance between two halves of the held-out plans. "
            "Noise prediction lies far outside (see the table).",
        },
        {
            "title": "The weights steer",
            "svg": _draw_steering(records[0]),
            "note": f"Seed {records[0]['seed']}, 10 steps, projected; each point is a plan under "
            "random weights of cost and CO2.",
        },
        {
            "title": "Coverage of the intervals",
            "svg": _draw_coverage(records),
            "note": "Share of simulated plans, of runs that neither training nor calibration saw, "
            "inside the interval of their weights. Grey: quantiles of drawn plans as they are.",
        },
    ]


def _draw_steps(records: Sequence[Record]) -> str:
    figure, axes = figure_of(11, 3.9, 2)
    for ax, (name, label) in zip(
        axes,
        (("sliced_wasserstein", "distance"), ("std_ratio", "std over that of held-out plans")),
        strict=True,
    ):
        for shift, (prefix, title, colour, marker) in zip((-0.03, 0.0, 0.03), KINDS, strict=True):
            for distilled in (False, True):
                points = _points(records, prefix, name, distilled)
                if points:
                    x, mean, low, high = (np.array(part) for part in zip(*points, strict=True))
                    ax.errorbar(
                        x * np.exp(shift),
                        mean,
                        yerr=[mean - low, high - mean],
                        fmt=marker,
                        color=colour,
                        mfc="white" if distilled else colour,
                        capsize=3,
                        label=f"{title}, distilled" if distilled else title,
                    )
        ax.set_xscale("log")
        ax.set_xticks([2, 4, 10, 50], ["2", "4", "10", "50"])
        ax.minorticks_off()
        ax.set_xlabel("steps")
        ax.set_ylabel(label)
    axes[0].axhline(np.mean([record["floor"] for record in records]), color=INK, linewidth=0.8)
    axes[0].set_ylim(bottom=0.0)
    axes[1].axhline(0.9, color=LIMIT, linewidth=0.8)
    axes[1].legend(frameon=False, fontsize=8, loc="lower right")
    return svg(figure)


def _points(
    records: Sequence[Record], prefix: str, figure: str, distilled: bool
) -> list[tuple[float, float, float, float]]:
    points = []
    for steps in (2, 4, 10, 50):
        name = f"{prefix}, {steps} steps{', distilled' if distilled else ''}"
        rows = [record["samplers"].get(name) for record in records]
        values = [row["projected"][figure] for row in rows if row is not None]
        if values:
            mean, low, high = interval(values)
            points.append((float(steps), mean, low or mean, high or mean))
    return points


def _draw_steering(record: Record) -> str:
    figure, axes = figure_of(11, 3.9, 3)
    cost_weight, co2_weight, cost, co2, circular = np.array(record["steering"]).T
    for ax, x, y, colour, names in zip(
        axes,
        (cost_weight, co2_weight, co2_weight),
        (cost, co2, circular),
        (co2_weight, cost_weight, cost_weight),
        (
            ("weight of cost", "cost, USD", "weight of CO2"),
            ("weight of CO2", "CO2, kg", "weight of cost"),
            ("weight of CO2", "circularity", "weight of cost"),
        ),
        strict=True,
    ):
        shown = ax.scatter(x, y, c=colour, s=9, cmap="viridis", vmin=0, vmax=1)
        ax.set_xlabel(names[0])
        ax.set_ylabel(names[1])
        figure.colorbar(shown, ax=ax, label=names[2])
    return svg(figure)


def _draw_coverage(records: Sequence[Record]) -> str:
    figure, axes = figure_of(11, 3.6, len(OBJECTIVES))
    labels = ("cost", "CO2", "circularity")
    for ax, name, label in zip(axes, OBJECTIVES, labels, strict=True):
        levels = [float(level) for level in records[0]["intervals"]]
        ax.plot([0.75, 1.0], [0.75, 1.0], color=INK, linewidth=0.8)
        ax.fill_between([0.75, 1.0], [0.72, 0.97], [0.78, 1.03], color=MODEL, alpha=0.12)
        for kind, colour in (("coverage_uncalibrated", OTHER), ("coverage", MODEL)):
            for record in records:
                values = [row[kind][name] for row in record["intervals"].values()]
                ax.plot(levels, values, "o", color=colour, markersize=4, alpha=0.8)
        ax.set_title(label)
        ax.set_xlabel("nominal")
        ax.set_ylabel("covered")
        ax.set_xlim(0.78, 0.97)
        ax.set_ylim(0.65, 1.0)
    return svg(figure)
