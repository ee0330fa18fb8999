"""The self-contained HTML page of a benchmark in worlds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from hil_tests.report import (
    DEVICE_TILES,
    device_plots,
    figures_table,
    layers_table,
    render_page,
    tiles_of,
)
from hil_tests.world_plots import draw_front, draw_metrics

if TYPE_CHECKING:
    from pathlib import Path

    from edge_runtime.wire.bundle import Bundle
    from hil_tests.world_result import WorldsResult

_TILES = (
    ("score", "score, over budget 0"),
    ("normalised_score", "0 as random, 1 as greedy decisions"),
    ("decision_quality", "decision quality (1 = bound of the linear program)"),
    ("material_circularity", "material circularity"),
    *DEVICE_TILES,
)
COMPARED = (
    "material_circularity",
    "service",
    "value_retention",
    "decision_quality",
    "waste",
    "compliance",
)


def write_world_report(path: Path, bundle: Bundle, result: WorldsResult) -> None:
    """Write the report of a run with at least one finished cell."""
    render_page(
        path,
        title=f"{result.bundle} on {result.device}, in circular supply chains",
        producer=result.producer,
        seed=result.seed,
        scenario_count=len(result.cells),
        scenarios_asked=result.scenarios_asked,
        decision_count=len(result.decisions),
        complete=result.complete,
        tiles=tiles_of(result, _TILES),
        agreement=_remarks(result),
        plots=[*_world_plots(result), *device_plots(result)],
        tables=[
            _controllers_table(result),
            _cells_table(result),
            figures_table(result),
            layers_table(bundle),
        ],
    )


def _remarks(result: WorldsResult) -> str:
    left_out = result.scenarios_left_out
    remarks = [
        f"The model on {result.target_description} was shown {result.observation}.",
        f"A run ends early at the line of catastrophe: {result.catastrophe_line}.",
    ]
    if left_out:
        remarks.append(f"{left_out} more worlds were left out; --scenarios takes more.")
    if result.over_budget:
        remarks.append(f"Over budget, so the score is 0: {'; '.join(result.over_budget)}.")
    return " ".join(remarks)


def _world_plots(result: WorldsResult) -> list[dict[str, str]]:
    return [
        {
            "title": "Pareto front and scores",
            "svg": draw_front(result),
            "note": "Left: a dot a world, a diamond the mean. Right: a world's composite score.",
        },
        {
            "title": "Metrics by controller",
            "svg": draw_metrics(result),
            "note": "The same worlds under each controller. Less waste is better.",
        },
    ]


def controller_rows(result: WorldsResult) -> list[tuple[str, ...]]:
    """By controller: on the front, hypervolume, means of COMPARED, score, catastrophes."""
    rows = []
    if result.pareto is None:
        return []
    for name in result.cells[0].runs:
        runs = [cell.runs[name] for cell in result.cells]
        means = (np.mean([getattr(run.metrics, metric) for run in runs]) for metric in COMPARED)
        rows.append(
            (
                name,
                "yes" if name in result.pareto.front else "",
                f"{result.pareto.hypervolume[name]:.4f}",
                *(f"{mean:.3f}" for mean in means),
                f"{np.mean([run.score for run in runs]):.3f}",
                str(sum(run.catastrophe_tick is not None for run in runs)),
            )
        )
    return rows


HEADS = (
    *("controller", "front", "hypervolume"),
    *(name.replace("_", " ") for name in COMPARED),
    *("score", "catastrophes"),
)


def _controllers_table(result: WorldsResult) -> dict[str, Any]:
    objectives = () if result.pareto is None else result.pareto.objectives
    return {
        "title": "Controllers on the same worlds",
        "heads": HEADS,
        "numbers": range(2, len(HEADS)),
        "rows": controller_rows(result),
        "note": f"Means over worlds. Front and hypervolume of {', '.join(objectives)}, above 0. "
        "The score leaves out the device's parts, so that controllers compare.",
    }


def _cells_table(result: WorldsResult) -> dict[str, Any]:
    rows = []
    for cell in result.cells:
        ended = cell.model.catastrophe_tick
        rows.append(
            (
                cell.file,
                str(cell.scenario_seed),
                str(cell.nodes),
                f"{len(cell.decisions):,}",
                f"{cell.model.metrics.decision_quality:.3f}",
                f"{cell.model.metrics.material_circularity:.3f}",
                f"{cell.model.robustness:.3f}",
                f"{cell.model.score:.3f}",
                "" if ended is None else str(ended),
            )
        )
    heads = ("world", "seed", "nodes", "decisions", "quality", "circularity", "robustness")
    return {
        "title": "The model, world by world",
        "heads": (*heads, "score", "ended at tick"),
        "numbers": range(1, 9),
        "rows": rows,
        "note": "Each by itself gives the same figures again: jouleloop bench --worlds FILE.",
    }
