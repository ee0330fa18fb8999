"""The pictures of a report, each an SVG that stands inside the page."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from jouleloop.figures import INK, LIMIT, MODEL, OTHER, figure_of, svg

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from hil_tests.result import Record, Result


def draw_decisions(result: Result) -> str:
    """Decisions against the optimum: who decided what, and what each controller is worth."""
    figure, (matrix, bars) = figure_of(10, 3.9, 2)
    size = len(result.labels)
    exact = [d for scenario in result.scenarios for d in scenario.exact]
    counts = np.zeros((size, size), int)
    np.add.at(counts, (exact, list(result.decisions)), 1)
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    matrix.imshow(share, cmap="GnBu", vmin=0, vmax=1)
    for row, column in np.ndindex(counts.shape):
        colour = "white" if share[row, column] > 0.6 else INK
        matrix.text(column, row, str(counts[row, column]), ha="center", va="center", color=colour)
    matrix.set_xticks(range(size), result.labels, rotation=25)
    matrix.set_yticks(range(size), result.labels)
    matrix.set_xlabel("the model decided")
    matrix.set_ylabel("the exact optimum decides")
    _draw_worth(bars, result)
    return svg(figure)


def _draw_worth(ax: Axes, result: Result) -> None:
    names = ("exact", "model", "rule", "random")
    totals = {name: sum(s.objective[name] for s in result.scenarios) for name in names}
    scale = abs(totals["exact"]) or 1.0
    values = [100 * totals[name] / scale for name in names]
    bars = ax.barh(names[::-1], values[::-1], color=[OTHER, OTHER, MODEL, OTHER])
    ax.bar_label(bars, fmt="%.1f %%", padding=4)
    ax.axvline(0, color=INK, linewidth=0.8)
    ax.margins(x=0.25)
    ax.set_xlabel("objective, in % of the exact optimum")


def draw_energy(result: Record) -> str | None:
    """Modelled energy per decision by state, with its interval; None when no state is known."""
    named = {state: result.measure(f"{state}_joules") for state in ("wake", "inference", "radio")}
    known = {state: measure for state, measure in named.items() if measure is not None}
    total = result.measure("decision_joules")
    if total is not None:
        known["decision"] = total
    if not known:
        return None
    figure, (ax,) = figure_of(8, 0.9 + 0.55 * len(known))
    names = list(known)[::-1]
    values = np.array([known[name].value for name in names]) * 1e6
    low = np.array([_end(known[name].low, known[name].value) for name in names]) * 1e6
    high = np.array([_end(known[name].high, known[name].value) for name in names]) * 1e6
    colours = [MODEL if name == "decision" else OTHER for name in names]
    ax.barh(names, values, color=colours, xerr=[values - low, high - values], capsize=4)
    for name, value, end in zip(names, values, high, strict=True):
        ax.annotate(
            f"{value:.3g} µJ", (end, name), xytext=(6, 0), textcoords="offset points", va="center"
        )
    ax.margins(x=0.2)
    ax.set_xlabel("µJ per decision")
    return svg(figure)


def _end(value: float | None, otherwise: float) -> float:
    return otherwise if value is None else value


def draw_sizes(result: Record) -> str | None:
    """Flash and RAM against their limits, on a logarithmic axis; None without a native module."""
    names = ("module_flash_bytes", "arena_bytes", "stack_bytes")
    sizes = [m for m in map(result.measure, names) if m is not None and m.value > 0]
    if not sizes:
        return None
    figure, (ax,) = figure_of(8, 0.9 + 0.55 * len(sizes))
    labels = [m.name.removesuffix("_bytes").replace("_", " ") for m in sizes]
    bars = ax.barh(labels[::-1], [m.value for m in sizes][::-1], color=MODEL)
    ax.bar_label(bars, labels=[f"{m.value:,.0f} B" for m in sizes][::-1], padding=4)
    for row, measure in enumerate(reversed(sizes)):
        if measure.limit is not None:
            ax.plot([measure.limit] * 2, [row - 0.4, row + 0.4], color=LIMIT, linewidth=2.5)
            ax.annotate(
                f"budget {measure.limit:,.0f} B",
                (measure.limit, row + 0.42),
                ha="right",
                va="bottom",
                color=LIMIT,
                fontsize=9,
            )
    ax.set_xscale("log")
    ax.margins(x=0.15, y=0.2)
    ax.set_xlabel("bytes")
    return svg(figure)
