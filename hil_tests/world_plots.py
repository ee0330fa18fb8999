"""The pictures of a benchmark in worlds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hil_tests.world_result import MODEL as MODEL_NAME
from jouleloop.figures import INK, MODEL, figure_of, svg

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from hil_tests.world_result import WorldsResult

COLOURS = {MODEL_NAME: MODEL, "random": "#b8c4c9", "rule": "#d9a441", "greedy": "#5b6b73"}
SHOWN = (
    "material_circularity",
    "finn_cycling",
    "decision_quality",
    "value_retention",
    "component_reuse",
    "service",
    "waste",
)


def draw_front(result: WorldsResult) -> str:
    """Every world in two objectives, by controller; diamonds are means. And scores by world."""
    figure, (points, scores) = figure_of(10, 4.2, 2)
    for name in result.cells[0].runs:
        runs = [cell.runs[name] for cell in result.cells]
        x = [run.metrics.material_circularity for run in runs]
        y = [run.metrics.value_retention for run in runs]
        colour = COLOURS[name]
        points.scatter(x, y, s=14, alpha=0.55, color=colour, label=name)
        points.scatter(
            np.mean(x), np.mean(y), s=90, marker="D", color=colour, edgecolor=INK, zorder=3
        )
    points.set(xlabel="material circularity", ylabel="value retention")
    points.legend(fontsize=8, frameon=False)
    _draw_scores(scores, result)
    return svg(figure)


def _draw_scores(ax: Axes, result: WorldsResult) -> None:
    places = np.arange(len(result.cells))
    for name in result.cells[0].runs:
        ax.plot(
            places,
            [cell.runs[name].score for cell in result.cells],
            marker="o",
            markersize=4,
            linewidth=1.6 if name == MODEL_NAME else 0.8,
            color=COLOURS[name],
            label=name,
        )
    step = max(1, len(places) // 12)
    labels = [cell.id[:8] for cell in result.cells]
    ax.set_xticks(places[::step], labels[::step], rotation=40, fontsize=8, ha="right")
    ax.set(xlabel="world", ylabel="score without the device's parts")


def draw_metrics(result: WorldsResult) -> str:
    """Mean of each metric by controller."""
    figure, (ax,) = figure_of(10, 3.9)
    names = list(result.cells[0].runs)
    width = 0.8 / len(names)
    for number, name in enumerate(names):
        means = [
            np.mean([getattr(cell.runs[name].metrics, metric) for cell in result.cells])
            for metric in SHOWN
        ]
        places = np.arange(len(SHOWN)) + (number - 0.5 * (len(names) - 1)) * width
        ax.bar(places, means, width, color=COLOURS[name], label=name)
    ax.set_xticks(range(len(SHOWN)), [name.replace("_", " ") for name in SHOWN], rotation=15)
    ax.set_ylim(0, 1)
    ax.legend(fontsize=8, frameon=False, ncols=len(names), loc="upper right")
    ax.set_ylabel("mean over worlds")
    return svg(figure)
