"""The table, the summary and the plots of a sweep; the same bytes for the same cells."""

from __future__ import annotations

import csv
import io
import json
from typing import TYPE_CHECKING, Any

import numpy as np

from scenarios.world.pareto import hypervolume, pareto_front

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from scenarios.world.graph import Floats

TABLE, SUMMARY, PLOT = "cells.csv", "summary.json", "sweep.png"
# More is better in each; the hypervolume is above 0, so at most 1.
OBJECTIVES = ("material_circularity", "service", "value_retention")
SHOWN = (
    "score",
    "material_circularity",
    "finn_cycling",
    "service",
    "decision_quality",
    "value_retention",
    "waste",
    "compliance",
    "robustness",
)
NORMAL_95 = 1.96


def write_report(
    out: Path, rows: Sequence[dict[str, Any]], controllers: Sequence[str]
) -> dict[str, Any]:
    """Write cells.csv, summary.json and sweep.png.

    Returns:
        `controllers`: by name, mean and 95 % interval of the mean of each of SHOWN, and
        `hypervolume` of the mean point in OBJECTIVES. `front`: controllers on the Pareto front of
        these points. `hypervolume`: of all of them together.
    """
    _replace(out / TABLE, _table(rows).encode())
    points = np.array(
        [
            [np.mean([row[name] for row in rows if row["controller"] == c]) for name in OBJECTIVES]
            for c in controllers
        ]
    )
    summary = {
        "objectives": list(OBJECTIVES),
        "front": [controllers[index] for index in pareto_front(points).tolist()],
        "hypervolume": hypervolume(points),
        "controllers": {
            name: {
                "hypervolume": hypervolume(points[index : index + 1]),
                **{metric: _interval(rows, name, metric) for metric in SHOWN},
            }
            for index, name in enumerate(controllers)
        },
    }
    _replace(out / SUMMARY, (json.dumps(summary, indent=1, allow_nan=False) + "\n").encode())
    _replace(out / PLOT, _plot(rows, controllers, points))
    return summary


def _replace(path: Path, content: bytes) -> None:
    """Write a file as a whole or not at all."""
    partial = path.with_name(path.name + ".partial")
    try:
        partial.write_bytes(content)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _flat(row: dict[str, Any]) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in row.items():
        if isinstance(value, dict):
            flat |= {f"{name}.{inner}": part for inner, part in value.items()}
        elif isinstance(value, list):
            flat[name] = " ".join(value)
        elif value is not None:
            flat[name] = value
    return flat


def _table(rows: Sequence[dict[str, Any]]) -> str:
    flat = [_flat(row) for row in rows]
    names = list(dict.fromkeys(name for row in flat for name in row))
    # A cell without a disruption must not change the order of the columns.
    key = ("scenario", "scenario_seed", "controller", "repeat")
    names = [*key, *sorted(set(names) - set(key))]
    text = io.StringIO()
    writer = csv.DictWriter(text, names, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(flat)
    return text.getvalue()


def _values(rows: Sequence[dict[str, Any]], controller: str, metric: str) -> Floats:
    return np.array([row[metric] for row in rows if row["controller"] == controller], np.float64)


def _interval(rows: Sequence[dict[str, Any]], controller: str, metric: str) -> dict[str, float]:
    values = _values(rows, controller, metric)
    error = float(values.std(ddof=1)) / len(values) ** 0.5 if len(values) > 1 else 0.0
    mean = float(values.mean())
    return {"mean": mean, "low": mean - NORMAL_95 * error, "high": mean + NORMAL_95 * error}


def _plot(rows: Sequence[dict[str, Any]], controllers: Sequence[str], points: Floats) -> bytes:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(13, 8), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(2, 3).ravel()
    for number, (name, point) in enumerate(zip(controllers, points, strict=True)):
        x, y = (_values(rows, name, metric) for metric in OBJECTIVES[:2])
        panels[0].scatter(x, y, s=8, alpha=0.35, color=f"C{number}", label=name)
        panels[0].scatter(point[0], point[1], s=90, marker="D", color=f"C{number}", edgecolor="k")
    panels[0].set(xlabel=OBJECTIVES[0].replace("_", " "), ylabel=OBJECTIVES[1])
    panels[0].set_title("every run; diamonds are means")
    panels[0].legend(fontsize=8)
    metrics = ("score", "decision_quality", "value_retention", "waste", "robustness")
    for axes, metric in zip(panels[1:], metrics, strict=True):
        axes.boxplot([_values(rows, name, metric) for name in controllers])
        axes.set_xticks(range(1, len(controllers) + 1), controllers)
        axes.set_title(metric.replace("_", " "))
    buffer = io.BytesIO()
    # No date and no version inside: the same cells give the same bytes.
    figure.savefig(buffer, format="png", dpi=110, metadata={"Software": None})
    return buffer.getvalue()
