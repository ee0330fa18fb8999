"""From finished scenarios to figures with units, limits and provenance."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np

import device_profiles
from device_profiles.energy_model import DecisionEnergy, decision_energy, inference_energy
from hil_tests.result import Measure

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from device_profiles.energy_model import Cycles
    from edge_runtime.wire.bundle import Bundle
    from hil_tests.result import ScenarioResult

COUNTED = "executed instructions, QEMU -icount shift=0, the board's cycle source around the call"


class Counted(Protocol):
    """A finished scenario, as far as the device's own figures go."""

    @property
    def instructions(self) -> tuple[int, ...]:
        """Per inference, empty where the target cannot count."""

    @property
    def link_bytes(self) -> tuple[int, ...]:
        """Per inference."""

    @property
    def seconds(self) -> tuple[float, ...]:
        """Per inference, empty where the target has no latency."""


def measures_of(
    bundle: Bundle, target: str, done: Iterable[ScenarioResult], cycles: Cycles | None
) -> tuple[tuple[Measure, ...], dict[str, str]]:
    """Figures of a run, and for each that is absent the reason.

    Args:
        bundle: the model that ran.
        target: `qemu`, `serial` or `local`.
        done: finished scenarios, at least one.
        cycles: of one inference, as the profiler estimates them; None where nothing was profiled.
    """
    done = tuple(done)
    measures, missing = device_measures(bundle, target, done, cycles)
    return (*_quality(done), *measures), missing


def device_measures(
    bundle: Bundle, target: str, done: Sequence[Counted], cycles: Cycles | None
) -> tuple[tuple[Measure, ...], dict[str, str]]:
    """The device's own figures: bytes, instructions, memory, joules; arguments as above."""
    energies, missing = _energies(bundle, done, cycles)
    latency = _latency(target, done)
    if not latency:
        missing["inference_seconds"] = "an emulator has no latency"
    return (*_counts(done), *latency, *_memory(bundle), *energies), missing


def _quality(done: tuple[ScenarioResult, ...]) -> tuple[Measure, ...]:
    source = "the scenarios' own ledger, against the exact per-item optimum"
    agreement = np.concatenate([np.equal(s.decisions, s.exact) for s in done])
    return (
        spread("decision_quality", [s.quality for s in done], "", source),
        spread("circularity", [s.circularity for s in done], "", source),
        Measure("agreement_with_exact", float(agreement.mean()), "", "measured", source),
        Measure("decisions", float(agreement.size), "", "measured", "count"),
    )


def spread(
    name: str,
    values: list[float],
    unit: str,
    source: str,
    kind: Literal["measured", "modelled"] = "measured",
) -> Measure:
    """The mean over scenarios, its interval their whole range."""
    low, mean, high = min(values), float(np.mean(values)), max(values)
    return Measure(name, min(max(mean, low), high), unit, kind, source, low, high)


def _latency(target: str, done: Sequence[Counted]) -> tuple[Measure, ...]:
    seconds = [second for s in done for second in s.seconds]
    if not seconds:
        return ()
    source = (
        "timed on this machine around the call; not the device's"
        if target == "local"
        else "timed by the board's own clock around the model's code"
    )
    low, median, high = (float(np.quantile(seconds, share)) for share in (0.05, 0.5, 0.95))
    return (Measure("inference_seconds", median, "s", "measured", source, low, high),)


def _counts(done: Sequence[Counted]) -> tuple[Measure, ...]:
    link_bytes = [n for s in done for n in s.link_bytes]
    instructions = [n for s in done for n in s.instructions]
    measures = []
    if any(link_bytes):
        source = "counted on the serial line, both ways, framing included"
        measures.append(spread("link_bytes_per_decision", [*map(float, link_bytes)], "B", source))
    if instructions:
        counts = [*map(float, instructions)]
        measures.append(spread("instructions_per_inference", counts, "", COUNTED))
    return tuple(measures)


def _memory(bundle: Bundle) -> tuple[Measure, ...]:
    """Sizes of the compiled module; none for a bundle without one."""
    flash, ram = bundle.cost["flash"], bundle.cost["ram"]
    if flash is None or ram is None:
        return ()
    source = "the linked module"
    return (
        _sized("module_flash_bytes", flash["module_bytes"], flash["limit_bytes"], source),
        _sized("arena_bytes", ram["arena_bytes"], ram["limit_bytes"], source),
        _sized("stack_bytes", ram["stack_bytes"], None, source),
    )


def _sized(name: str, value: int, limit: int | None, source: str) -> Measure:
    bound = None if limit is None else float(limit)
    return Measure(name, float(value), "B", "measured", source, limit=bound)


def _energies(
    bundle: Bundle, done: Sequence[Counted], cycles: Cycles | None
) -> tuple[tuple[Measure, ...], dict[str, str]]:
    """Joules per decision by state: from profiled cycles, else from the export's estimate."""
    measures: list[Measure] = []
    if cycles is not None and any(s.instructions for s in done):
        measures.append(
            Measure(
                "cycles_per_inference",
                cycles.value,
                "",
                "modelled",
                cycles.source,
                cycles.low,
                cycles.high,
            )
        )
        record = _profiled(bundle, done, cycles).as_record()
    else:
        record = bundle.cost["energy"]
    if record is None:
        return tuple(measures), {
            "decision_joules": f"{bundle.device_id} has no counted inference here"
        }
    limit = (bundle.cost.get("budget") or {}).get("joules_per_decision")
    states = {f"{state}_joules": energy for state, energy in record["states"].items()}
    measures += [_joules(name, energy, None) for name, energy in states.items()]
    if record["total"] is not None:
        measures.append(_joules("decision_joules", record["total"], limit))
    missing = {
        f"{state}_joules": f"{bundle.device_id} has no figure {figure}"
        for state, figure in record["missing"].items()
    }
    return tuple(measures), missing


def _profiled(bundle: Bundle, done: Sequence[Counted], cycles: Cycles) -> DecisionEnergy:
    """One decision, its inference by the profiler's cycles."""
    profile = device_profiles.load(bundle.device_id)
    instructions = float(np.mean([n for s in done for n in s.instructions]))
    payload_bytes = round(float(np.mean([n for s in done for n in s.link_bytes])))
    energy = decision_energy(profile, instructions=instructions, payload_bytes=payload_bytes)
    if "inference" not in energy.states:
        return energy
    inference = inference_energy(profile, cycles)
    return DecisionEnergy({**energy.states, "inference": inference}, energy.missing)


def _joules(name: str, energy: Mapping[str, Any], limit: float | None) -> Measure:
    return Measure(
        name,
        energy["joules"],
        "J",
        energy["kind"],
        energy["source"],
        energy["low_joules"],
        energy["high_joules"],
        limit,
    )
