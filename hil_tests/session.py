"""One benchmark run from a bundle to a report: open the target and the broker, run, write."""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from hil_tests.bench import run_benchmark
from hil_tests.local import open_local
from hil_tests.profile_bundle import golden_rows, profile_bundle
from hil_tests.publish import open_publisher
from hil_tests.qemu import board_for, open_qemu
from hil_tests.report import write_report
from jouleloop.errors import InputError
from jouleloop.programs import require_package

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from device_profiles.energy_model import Cycles
    from edge_runtime.wire.bundle import Bundle
    from edge_runtime.wire.keys import PublicKey
    from hil_tests.result import Result
    from hil_tests.target import Target

REPORT = "report.html"
PROFILED_ROWS = 4


def run_session(
    bundle: Bundle,
    target: str,
    *,
    device: str | None,
    scenarios: int,
    seed: int,
    broker: str | None,
    out: Path,
    trust: Sequence[PublicKey] = (),
    progress: Callable[[int, int], None] | None = None,
) -> Result:
    """Run a benchmark on the target that is named, and write its report.

    Args:
        bundle: the exported model.
        target: `qemu` or `local`.
        device: emulated board, or None for the bundle's own; only for `qemu`.
        scenarios: how many, >= 1.
        seed: of the scenarios.
        broker: `mqtt://HOST:PORT` to send telemetry to, or None.
        out: folder for result.json and report.html.
        trust: keys that an emulated board trusts besides those of the user's key folder.
        progress: called with (scenarios done, scenarios in all).

    Raises:
        InputError: a board was named for a run on this machine.
        JouleloopError: whatever the target, the broker or the bundle has to say.
    """
    for package in ("PV_ICE", "jinja2", "matplotlib"):
        require_package(package)
    with ExitStack() as stack:
        opened: Target
        cycles = None
        if target == "qemu":
            board = board_for(bundle, device)
            cycles = _profiled_cycles(bundle)
            opened = stack.enter_context(open_qemu(bundle, board, trust=trust))
            measured = board.id
        elif device not in (None, bundle.device_id):
            raise InputError(
                f"--device {device} was asked for, but --target local runs on this machine",
                hint="leave --device out, or use --target qemu",
            )
        else:
            opened = stack.enter_context(open_local(bundle))
            measured = "local"
        publisher = None
        if broker is not None:
            publisher = stack.enter_context(open_publisher(broker, measured))
        result = run_benchmark(
            bundle,
            opened,
            scenarios=scenarios,
            seed=seed,
            out=out,
            cycles=cycles,
            publisher=publisher,
            progress=progress,
        )
    write_report(out / REPORT, bundle, (result,))
    return result


def _profiled_cycles(bundle: Bundle) -> Cycles:
    """Cycles of one inference, from a few golden rows under the profiler."""
    with tempfile.TemporaryDirectory(prefix="jouleloop-") as folder:
        rows = golden_rows(bundle)[:PROFILED_ROWS]
        return profile_bundle(bundle, rows, Path(folder)).profile.cycles
