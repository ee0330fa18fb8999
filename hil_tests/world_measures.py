"""From finished cells to figures: Pareto front, metrics of the worlds, score, the device's own."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from hil_tests.measures import device_measures, spread
from hil_tests.result import Measure
from hil_tests.world_result import MODEL, Pareto
from scenarios.world.pareto import hypervolume, pareto_front
from scenarios.world.score import composite
from scenarios.world.sweep_report import OBJECTIVES

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from device_profiles.energy_model import Cycles
    from edge_runtime.wire.bundle import Bundle
    from hil_tests.world_result import WorldCell

SIMULATED = "the simulated worlds' ledgers (docs/scenarios.md); interval: the range over cells"
LITERT_TWIN = "every decision repeated by LiteRT on this machine"
_SHARES = (
    "material_circularity",
    "finn_cycling",
    "waste",
    "energy_recovery",
    "component_reuse",
    "compliance",
    "service",
    "decision_quality",
    "value_retention",
    "lifecycle_multiplier",
)
_AMOUNTS = {
    "carbon_handprint_kg": "kg",
    "carbon_kg": "kg",
    "energy_mj": "MJ",
    "money_usd": "USD",
    "returned_kg": "kg",
    "disposed_kg": "kg",
}
_RECOVERY = {
    "resilience": "",
    "recovery_rate": "",
    "recovery_ticks": "ticks",
    "adaptability_ticks": "ticks",
}


@dataclass(frozen=True)
class Limits:
    """Budgets per decision; over one of them is a fail.

    Args:
        joules: modelled, or None.
        link_bytes: both ways on the wire, or None.
    """

    joules: float | None = None
    link_bytes: float | None = None


def pareto_of(cells: Sequence[WorldCell]) -> Pareto:
    """The controllers in the objectives of a sweep, each the mean over the cells."""
    names = tuple(cells[0].runs)
    points = np.array(
        [
            [np.mean([getattr(c.runs[name].metrics, o) for c in cells]) for o in OBJECTIVES]
            for name in names
        ]
    )
    return Pareto(
        objectives=OBJECTIVES,
        points={n: tuple(p) for n, p in zip(names, points.tolist(), strict=True)},
        front=tuple(names[index] for index in pareto_front(points).tolist()),
        hypervolume={n: hypervolume(points[i : i + 1]) for i, n in enumerate(names)},
    )


def world_measures_of(
    bundle: Bundle,
    target: str,
    cells: Sequence[WorldCell],
    cycles: Cycles | None,
    limits: Limits,
) -> tuple[tuple[Measure, ...], dict[str, str], tuple[str, ...]]:
    """Figures of a run, for each that is absent the reason, and the budgets that are exceeded.

    Args:
        bundle: the model that ran.
        target: `qemu`, `serial` or `local`.
        cells: finished, at least one.
        cycles: of one inference, as the profiler estimates them; None where nothing was profiled.
        limits: budgets per decision.
    """
    if any(cell.decisions for cell in cells):
        device, missing = device_measures(bundle, target, cells, cycles)
    else:
        device, missing = (), {"decision_joules": "nothing came back, so nothing was decided"}
    device = tuple(_limited(measure, limits) for measure in device)
    by_name = {measure.name: measure for measure in device}
    joules, sent = by_name.get("decision_joules"), by_name.get("link_bytes_per_decision")
    if target == "local":
        missing["link_bytes_per_decision"] = "there is no wire to this machine"
    score, without = _score(cells, _share(joules), _share(sent))
    for name, reason in without.items():
        missing[f"score.{name}"] = reason
    measures = (score, *_normalised(cells), *_worlds(cells), *_counts(cells), *device)
    over = tuple(
        f"{m.name} is {m.value:.6g} {m.unit}, the limit {m.limit:.6g} {m.unit}"
        for m in (joules, sent)
        if m is not None and m.limit is not None and m.value > m.limit
    )
    return measures, missing, over


def _limited(measure: Measure, limits: Limits) -> Measure:
    """The measure under the budget of this run, where it has one."""
    own = {"decision_joules": limits.joules, "link_bytes_per_decision": limits.link_bytes}
    limit = own.get(measure.name)
    return measure if limit is None else replace(measure, limit=limit)


def _share(measure: Measure | None) -> float | None:
    if measure is None or measure.limit is None:
        return None
    return measure.value / measure.limit


def _score(
    cells: Sequence[WorldCell], energy: float | None, sent: float | None
) -> tuple[Measure, dict[str, str]]:
    """The composite with the device's parts, and why a part is left out."""
    values = []
    for cell in cells:
        run = cell.model
        score = composite(
            run.metrics, robustness=run.robustness, energy_share=energy, communication_share=sent
        )
        values.append(0.0 if run.catastrophe_tick is not None else score.value)
    reasons = {
        "energy": "no joules per decision, or no budget for them (--budget-joules)",
        "communication": "no bytes per decision, or no budget for them (--budget-bytes)",
    }
    source = f"composite of {SIMULATED.partition(';')[0]} and the device, over budget 0"
    return spread("score", values, "", source, "modelled"), {
        name: reasons[name] for name in score.missing if name in reasons
    }


def _normalised(cells: Sequence[WorldCell]) -> tuple[Measure, ...]:
    """Scores of the worlds alone: 0 as the random controller, 1 as the greedy one."""
    rows = np.array(
        [[c.runs[n].score for n in (MODEL, "random", "greedy")] for c in cells], np.float64
    )
    model, low, high = rows.mean(axis=0).tolist()
    if high <= low:
        return ()
    source = "mean score without the device's parts; 0 as random decisions, 1 as greedy ones"
    value = (model - low) / (high - low)
    return (Measure("normalised_score", value, "", "modelled", source),)


def _worlds(cells: Sequence[WorldCell]) -> Iterable[Measure]:
    metrics = [cell.model.metrics for cell in cells]
    yield spread("robustness", [c.model.robustness for c in cells], "", SIMULATED, "modelled")
    for name in _SHARES:
        yield spread(name, [getattr(m, name) for m in metrics], "", SIMULATED, "modelled")
    disrupted = [m.recovery for m in metrics if m.recovery is not None]
    for name, unit in _RECOVERY.items():
        if disrupted:
            values = [float(getattr(recovery, name)) for recovery in disrupted]
            yield spread(name, values, unit, SIMULATED, "modelled")
    for name, unit in _AMOUNTS.items():
        yield spread(name, [getattr(m, name) for m in metrics], unit, SIMULATED, "modelled")


def _counts(cells: Sequence[WorldCell]) -> Iterable[Measure]:
    decisions = sum(len(cell.decisions) for cell in cells)
    counted = {
        "decisions": decisions,
        "violations": sum(cell.model.metrics.violations for cell in cells),
        "catastrophes": sum(cell.model.catastrophe_tick is not None for cell in cells),
    }
    for name, count in counted.items():
        yield Measure(name, float(count), "", "measured", "count")
    if decisions:
        different = sum(cell.differences for cell in cells)
        value = 1.0 - different / decisions
        yield Measure("outputs_as_on_this_machine", value, "", "measured", LITERT_TWIN)
