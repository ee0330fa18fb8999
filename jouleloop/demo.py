"""The whole line in one run: train, export, flash, bench, telemetry, report.

Part of the roof, beside the commands: it is the one place that joins every room.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import device_profiles
from edge_runtime.wire.bundle import write_bundle
from export.budget import Budget
from export.graph import Rounding
from export.pipeline import ExportOptions, export_model
from fleet.broker import Broker
from fleet.monitor import Monitor
from fleet.store import Store
from hil_tests.report import write_report
from hil_tests.session import run_session
from jouleloop.errors import LinkError
from train.policy import train_policy

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from pathlib import Path

    from hil_tests.result import Result

    Progress = Callable[[int, int], None]
    # A stage: its name in, a context out that yields where the stage's progress goes.
    Stage = Callable[[str], AbstractContextManager[Progress]]

TELEMETRY_TIMEOUT_S = 15.0


@dataclass(frozen=True)
class Demo:
    """What the line made.

    Args:
        emulated: the benchmark on the emulated board.
        local: the same returns, decided by LiteRT on this machine.
        telemetry: what the monitor received, one record a metric.
        report: the HTML page.
    """

    emulated: Result
    local: Result
    telemetry: tuple[dict[str, Any], ...]
    report: Path

    @property
    def are_decisions_equal(self) -> bool:
        """Whether the board and this machine decided every return alike."""
        return self.emulated.decisions == self.local.decisions


def run_demo(out: Path, *, device: str, scenarios: int, seed: int, stage: Stage) -> Demo:
    """Train a policy, export it, run it on the emulated board under a monitor, and report.

    Args:
        out: folder for the checkpoint, the bundle, the results and report.html; made when missing.
        device: an emulated board.
        scenarios: how many generated scenarios, >= 1.
        seed: of training and scenarios.
        stage: opens the progress of a named stage.

    Raises:
        JouleloopError: whatever a stage has to say.
    """
    out.mkdir(parents=True, exist_ok=True)
    with stage("train") as progress:
        train_policy(out / "checkpoint", seed=seed, progress=progress)
    with stage("export") as progress:
        options = ExportOptions(rounding=Rounding.SINGLE, native=True, budget=Budget())
        bundle = export_model(
            out / "checkpoint", device_profiles.load(device), options, progress=progress
        )
        write_bundle(bundle, out / "policy.jlb")
    with (
        Broker(0) as broker,
        Store(out / "telemetry.sqlite") as store,
        Monitor(broker.url, store) as monitor,
    ):
        with stage("bench on the emulated board") as progress:
            emulated = run_session(
                bundle,
                "qemu",
                device=device,
                scenarios=scenarios,
                seed=seed,
                broker=broker.url,
                out=out / "qemu",
                progress=progress,
            )
        telemetry = _received(monitor)
    with stage("bench on this machine") as progress:
        local = run_session(
            bundle,
            "local",
            device=None,
            scenarios=scenarios,
            seed=seed,
            broker=None,
            out=out / "local",
            progress=progress,
        )
    report = out / "report.html"
    write_report(report, bundle, (emulated, local), telemetry)
    return Demo(emulated, local, telemetry, report)


def _received(monitor: Monitor) -> tuple[dict[str, Any], ...]:
    """What the monitor has stored of the run.

    Raises:
        LinkError: nothing complete has arrived.
    """
    if not monitor.wait_complete(TELEMETRY_TIMEOUT_S):
        raise LinkError(f"the monitor received no birth and data within {TELEMETRY_TIMEOUT_S} s")
    monitor.flush()
    nodes = monitor.snapshot().as_record()["nodes"]
    return tuple(metric for node in nodes for metric in node["metrics"])
