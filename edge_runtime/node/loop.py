"""The loop of a Linux node: wake, infer, report, sleep; the firmware's loop in Python."""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from edge_runtime.node.backends import Backend, open_backend
from edge_runtime.node.host import HostEnergy, host_name
from edge_runtime.node.telemetry import EdgeNode, Metric
from jouleloop.energy import Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from edge_runtime.wire.bundle import Bundle
    from jouleloop.energy import Energy

# More reports a second than this tell a person nothing, and cost energy.
REPORT_EVERY_S = 0.1


@dataclass(frozen=True)
class Reporting:
    """Where and as whom a loop reports.

    Args:
        broker: `mqtt://HOST:PORT`.
        group: group id.
        node: edge node id, unique in its group.
    """

    broker: str
    group: str
    node: str


@dataclass(frozen=True)
class RunResult:
    """What a loop did.

    Args:
        bundle: the model's name.
        device: profile that the bundle was made for.
        backend: what ran it.
        host: this machine.
        labels: names of the decisions, or none.
        decisions: index of the highest score of every row, the first of equal ones.
        seconds: what every inference took, s.
        slept_seconds: time between decisions, s.
        late: decisions that began after their time.
        energy: modelled joules of one decision, the mean; None where they are not known.
        energy_reason: why they are not; empty when they are.
        unsent: messages that no broker was there for; None without a broker.
    """

    bundle: str
    device: str
    backend: str
    host: str
    labels: tuple[str, ...]
    decisions: tuple[int, ...]
    seconds: tuple[float, ...]
    slept_seconds: float
    late: int
    energy: Energy | None
    energy_reason: str
    unsent: int | None

    def label(self, decision: int) -> str:
        """The name of a decision, or its number."""
        return self.labels[decision] if decision < len(self.labels) else str(decision)

    @property
    def latency_s(self) -> dict[str, float]:
        """Median and 90th percentile of an inference, s."""
        median, p90 = np.percentile(self.seconds, [50, 90])
        return {"median": float(median), "p90": float(p90)}

    def as_record(self) -> dict[str, Any]:
        """The record for JSON."""
        return {
            "bundle": self.bundle,
            "device": self.device,
            "backend": self.backend,
            "host": self.host,
            "labels": list(self.labels),
            "decisions": list(self.decisions),
            "latency_s": self.latency_s | _latency_provenance(self.host),
            "late": self.late,
            "slept_seconds": self.slept_seconds,
            "energy": None if self.energy is None else self.energy.as_record(),
            "energy_reason": self.energy_reason,
            "unsent": self.unsent,
        }


@dataclass
class _Run:
    """A loop that is under way."""

    labels: tuple[str, ...]
    decisions: list[int] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    slept_seconds: float = 0.0
    late: int = 0


def run_bundle(
    bundle: Bundle,
    rows: NDArray[np.int8],
    *,
    backend: str = "litert",
    count: int | None = None,
    period_s: float = 0.0,
    reporting: Reporting | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> RunResult:
    """Decide on rows, one every period, and report.

    Args:
        bundle: an exported model.
        rows: int8 [rows, input elements], at least one; they come round again when `count` is
            larger.
        backend: one of `backends.BACKENDS`.
        count: how many decisions, >= 1; None for one a row.
        period_s: from the start of one decision to that of the next, s; 0 does not wait.
        reporting: where telemetry goes, or None.
        progress: called with (decisions done, decisions in all).

    Raises:
        BundleError: the model and the manifest disagree.
        MissingToolError: the backend's package is not installed.
        LinkError: no broker there.
    """
    opened = open_backend(bundle, backend)
    host = host_name()
    model = HostEnergy.of(bundle.device_id, host)
    run = _Run(_labels(bundle.card))
    node = None
    with ExitStack() as stack:
        if reporting is not None:
            metrics = _metrics(bundle, opened.name, run, model, host)
            node = EdgeNode(reporting.broker, reporting.group, reporting.node, metrics)
            stack.enter_context(node)
        last_report_s = -REPORT_EVERY_S
        in_all = len(rows) if count is None else count
        start_s = time.monotonic()
        for index in range(in_all):
            _sleep_until(start_s + index * period_s, run, is_paced=period_s > 0)
            _decide(opened, rows[index % len(rows)], run)
            is_due = time.monotonic() - last_report_s >= REPORT_EVERY_S or index == in_all - 1
            if node is not None and is_due:
                node.publish(_metrics(bundle, opened.name, run, model, host))
                last_report_s = time.monotonic()
            if progress is not None:
                progress(index + 1, in_all)
    return RunResult(
        bundle.name,
        bundle.device_id,
        opened.name,
        host,
        run.labels,
        tuple(run.decisions),
        tuple(run.seconds),
        run.slept_seconds,
        run.late,
        model.inference(float(np.mean(run.seconds))),
        model.reason,
        None if node is None else node.unsent,
    )


def _sleep_until(moment_s: float, run: _Run, *, is_paced: bool) -> None:
    if not is_paced:
        return
    left_s = moment_s - time.monotonic()
    if left_s > 0:
        time.sleep(left_s)
        run.slept_seconds += left_s
    elif run.decisions:
        run.late += 1


def _decide(backend: Backend, row: NDArray[np.int8], run: _Run) -> None:
    output = backend.infer(row)
    run.decisions.append(int(np.argmax(output)))
    run.seconds.append(backend.seconds)


def _labels(card: Mapping[str, Any]) -> tuple[str, ...]:
    outputs = card.get("outputs") or [{}]
    return tuple(map(str, outputs[0].get("labels") or ()))


def _latency_provenance(host: str) -> dict[str, str]:
    return {"kind": str(Kind.MEASURED), "source": f"clock of this machine ({host})"}


def _metrics(bundle: Bundle, backend: str, run: _Run, model: HostEnergy, host: str) -> list[Metric]:
    """The node's metrics as they stand; before the first decision most are not known."""
    has_run = bool(run.decisions)
    clock = _latency_provenance(host)
    latency = run.seconds[-1] if has_run else None
    decision = None
    if has_run:
        choice = run.decisions[-1]
        decision = run.labels[choice] if choice < len(run.labels) else str(choice)
    energies = {
        "energy/decision_joules": model.inference(latency or 0.0),
        "energy/run_joules": model.inference(sum(run.seconds)),
        "energy/sleep_joules": model.sleep(run.slept_seconds),
    }
    return [
        Metric("Properties/bundle", bundle.name),
        Metric("Properties/device", bundle.device_id),
        Metric("Properties/backend", backend),
        Metric("loop/decisions", len(run.decisions)),
        Metric("loop/decision", decision or ""),
        Metric("loop/latency_s", latency, clock["kind"], clock["source"], unit="s"),
        *(
            Metric(
                name,
                energy.joules if has_run else None,
                str(energy.kind),
                energy.source,
                energy.relative_error if has_run else None,
                "J",
            )
            for name, energy in energies.items()
            if energy is not None
        ),
    ]
