"""Plots of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from jouleloop.errors import InputError
from jouleloop.programs import require_package
from scenarios.world.products import MaterialState
from scenarios.world.resilience import service_level
from scenarios.world.schema import KINDS, STAGES

if TYPE_CHECKING:
    from pathlib import Path

    from scenarios.world.simulate import Run

# Where each kind of process stands: forward along the top, back along the bottom.
PLACES = {
    "extraction": (0.0, 1.0),
    "manufacturing": (1.0, 1.0),
    "use": (2.0, 1.0),
    "collection": (2.0, 0.0),
    "disassembly": (1.2, 0.0),
    "remanufacturing": (1.55, 0.5),
    "recycling": (0.6, 0.35),
}
FORMATS = (".png", ".svg", ".pdf")


def plot_run(run: Run, path: Path, *, title: str) -> None:
    """Plot the first scenario of a run: flows, service, where mass goes, law.

    Raises:
        InputError: not a format that can be written.
        MissingToolError: matplotlib is not installed.
    """
    require_package("matplotlib")
    if path.suffix not in FORMATS:
        raise InputError(f"cannot write a plot as {path.name}", hint=f"use {', '.join(FORMATS)}")
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 8), layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title)
    (flows, service), (mass, law) = figure.subplots(2, 2)
    _flows(flows, run)
    _service(service, run)
    _mass(mass, run)
    _law(law, run)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)


def _flows(axes: Any, run: Run) -> None:
    world = run.world
    nodes, edges = int(world.first_node[1]), int(world.first_edge[1])
    per_stage = np.bincount(
        world.topology.stage[:edges], run.edge_kg[:edges] / world.ticks, len(STAGES)
    )
    # Reuse goes back the way that returns come, so its arrow bends.
    for (source, target), amount in zip(STAGES, per_stage.tolist(), strict=True):
        bend = 0.25 if (source, target) == ("collection", "use") else 0.0
        axes.annotate(
            "",
            xy=PLACES[target],
            xytext=PLACES[source],
            arrowprops={
                "arrowstyle": "-|>",
                "linewidth": 0.8 + 6.0 * amount / max(1e-12, float(per_stage.max())),
                "color": "tab:blue" if (source, target) in STAGES[:2] else "tab:green",
                "alpha": 0.6,
                "shrinkA": 22,
                "shrinkB": 22,
                "connectionstyle": f"arc3,rad={bend}",
            },
        )
        x, y = (0.5 * (a + b) for a, b in zip(PLACES[source], PLACES[target], strict=True))
        side = 0.18 if bend else 0.0
        label = {"boxstyle": "round,pad=0.15", "facecolor": "white", "edgecolor": "none"}
        axes.text(x + side, y, f"{amount:.1f}", ha="center", va="center", fontsize=8, bbox=label)
    counts = np.bincount(world.topology.kind[:nodes], minlength=len(KINDS))
    for kind, count in zip(KINDS, counts.tolist(), strict=True):
        box = {"boxstyle": "round", "facecolor": "white", "edgecolor": "grey"}
        axes.text(*PLACES[kind], f"{kind}\n{count}", ha="center", va="center", fontsize=8, bbox=box)
    axes.set(xlim=(-0.4, 2.5), ylim=(-0.3, 1.3), title="mean flow, kg per tick")
    axes.axis("off")


def _service(axes: Any, run: Run) -> None:
    service = service_level(run.wanted[:, 0], run.overdue[:, 0])
    axes.plot(service, color="tab:blue", label="demand not overdue")
    colours = {"supply_outage": "tab:red", "node_failure": "tab:orange", "demand_shock": "grey"}
    for disruption in run.world.scenarios[0].disruptions:
        label = disruption.kind.replace("_", " ")
        span = (disruption.start, min(disruption.end, run.world.ticks))
        axes.axvspan(*span, color=colours[disruption.kind], alpha=0.2, label=label)
    axes.set(title="service", xlabel="tick", ylabel="share", ylim=(-0.02, 1.05))
    axes.legend(fontsize=8, loc="lower left")


def _mass(axes: Any, run: Run) -> None:
    for name, label in (
        ("virgin_kg", "virgin in"),
        ("made_kg", "new products"),
        ("delivered", "delivered"),
        ("disposed_kg", "landfilled"),
    ):
        axes.plot(np.cumsum(getattr(run, name)[:, 0]), label=label)
    states = np.bincount(run.state.state, minlength=len(MaterialState))
    shown = ", ".join(
        f"{states[state]} {state.name.lower().replace('_', ' ')}"
        for state in (MaterialState.IN_USE, MaterialState.RECYCLED, MaterialState.DISPOSED)
    )
    axes.set(title=f"mass; items at the end: {shown}", xlabel="tick", ylabel="kg, summed")
    axes.title.set_fontsize(10)
    axes.legend(fontsize=8)


def _law(axes: Any, run: Run) -> None:
    axes.set(title="law, relative to its highest level", xlabel="tick", ylim=(-0.02, 1.1))
    axes.set_xlim(0, run.world.ticks)
    for policy in run.world.scenarios[0].policies:
        highest = max(point.level for point in policy.points) or 1.0
        ticks = [policy.start, *(p.tick for p in policy.points), policy.end - 1]
        levels = [policy.points[0].level, *(p.level for p in policy.points)]
        levels.append(policy.points[-1].level)
        label = f"{policy.kind} on {policy.subject}, up to {highest:g}"
        axes.plot(ticks, [level / highest for level in levels], label=label.replace("_", " "))
    if run.world.scenarios[0].policies:
        axes.legend(fontsize=8, loc="lower right")
