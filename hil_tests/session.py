"""One benchmark run from a bundle to a report: open the target and the broker, run, write."""

from __future__ import annotations

import tempfile
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from edge_runtime.firmware.build import board_of
from hil_tests.bench import run_benchmark
from hil_tests.board import open_serial
from hil_tests.conformance import run_conformance
from hil_tests.emulator import Emulator
from hil_tests.local import open_local
from hil_tests.observation import observation_of
from hil_tests.profile_bundle import golden_rows, profile_bundle
from hil_tests.publish import WORLD_METRICS, open_publisher
from hil_tests.qemu import board_for, open_qemu
from hil_tests.report import write_report
from hil_tests.world_report import write_world_report
from hil_tests.worlds import MOST_WORLDS, read_worlds, run_worlds
from jouleloop.errors import InputError
from jouleloop.programs import require_package

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from device_profiles.energy_model import Cycles
    from edge_runtime.wire.bundle import Bundle
    from edge_runtime.wire.keys import PublicKey
    from hil_tests.conformance import Conformance
    from hil_tests.result import Result
    from hil_tests.target import Target
    from hil_tests.world_measures import Limits
    from hil_tests.world_result import WorldsResult

REPORT = "report.html"
# Before the path of a board's serial port, where a target is named.
SERIAL = "serial:"
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
        target: `qemu`, `local` or `serial:PORT`.
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
        opened = stack.enter_context(open_target(bundle, target, device, trust=trust))
        publisher = None
        if broker is not None:
            publisher = stack.enter_context(open_publisher(broker, opened.measured_id))
        result = run_benchmark(
            bundle,
            opened.target,
            scenarios=scenarios,
            seed=seed,
            out=out,
            cycles=opened.cycles,
            publisher=publisher,
            progress=progress,
        )
    write_report(out / REPORT, bundle, (result,))
    return result


def run_worlds_session(
    bundle: Bundle,
    target: str,
    worlds: Path,
    *,
    device: str | None,
    scenarios: int | None,
    ticks: int | None,
    seed: int,
    limits: Limits,
    broker: str | None,
    out: Path,
    trust: Sequence[PublicKey] = (),
    progress: Callable[[int, int], None] | None = None,
) -> WorldsResult:
    """Run a benchmark in worlds on the target that is named, and write its report.

    Args:
        bundle: the exported model.
        target: `qemu`, `local` or `serial:PORT`.
        worlds: a scenario file, or a folder of them.
        device: emulated board, or None for the bundle's own; only for `qemu`.
        scenarios: how many worlds at most; None: 25.
        ticks: of each run; None: as the worlds say.
        seed: of the random controller.
        limits: budgets per decision; the bundle's own joules where this names none.
        broker: `mqtt://HOST:PORT` to send telemetry to, or None.
        out: folder for result.json and report.html.
        trust: keys that an emulated board trusts besides those of the user's key folder.
        progress: called with (ticks of the model's runs done, in all).

    Raises:
        InputError: a board was named for a run on this machine.
        JouleloopError: whatever the worlds, the target, the broker or the bundle has to say.
    """
    for package in ("scipy", "jinja2", "matplotlib"):
        require_package(package)
    observation_of(bundle)
    chosen = read_worlds(worlds, most=scenarios or MOST_WORLDS, ticks=ticks)
    if limits.joules is None:
        budget = bundle.cost.get("budget") or {}
        limits = replace(limits, joules=budget.get("joules_per_decision"))
    with ExitStack() as stack:
        opened = stack.enter_context(open_target(bundle, target, device, trust=trust))
        twin = stack.enter_context(open_local(bundle))
        publisher = None
        if broker is not None:
            publisher = stack.enter_context(
                open_publisher(broker, opened.measured_id, WORLD_METRICS)
            )
        result = run_worlds(
            bundle,
            opened.target,
            twin,
            chosen,
            seed=seed,
            out=out,
            limits=limits,
            cycles=opened.cycles,
            publisher=publisher,
            progress=progress,
        )
    write_world_report(out / REPORT, bundle, result)
    return result


def run_conformance_session(
    bundle: Bundle,
    target: str,
    *,
    device: str | None,
    trust: Sequence[PublicKey] = (),
    progress: Callable[[int, int], None] | None = None,
) -> Conformance:
    """Ask a board, emulated or behind a serial port, for all that a port must do.

    Args:
        bundle: a model for the board.
        target: `qemu` or `serial:PORT`.
        device: emulated board, or None for the bundle's own; only for `qemu`.
        trust: keys that the emulated board trusts besides the user's.
        progress: called with (checks done, checks in all).

    Raises:
        InputError: the target is no board.
        JouleloopError: whatever the target or the bundle has to say.
    """
    if target.startswith(SERIAL):
        return run_conformance(bundle, target.removeprefix(SERIAL), progress=progress)
    if target != "qemu":
        raise InputError(
            f"--target {target} is no board with our firmware",
            hint="use --target serial:PORT, or --target qemu",
        )
    board = board_for(bundle, device)
    # Where a board takes uploads, to upload a model is one of the checks.
    is_provisioned = board_of(board).model_address is not None
    with (
        tempfile.TemporaryDirectory(prefix="jouleloop-") as folder,
        Emulator(
            board,
            Path(folder) / "flash.bin",
            model=bundle.native if is_provisioned else None,
            trust=trust,
        ) as emulator,
    ):
        return run_conformance(bundle, emulator.port, progress=progress)


@dataclass(frozen=True)
class Opened:
    """A target that is ready.

    Args:
        target: where the model runs.
        measured_id: what telemetry calls it.
        cycles: of one inference, as the profiler estimates them; None where nothing was profiled.
    """

    target: Target
    measured_id: str
    cycles: Cycles | None


@contextmanager
def open_target(
    bundle: Bundle, target: str, device: str | None, *, trust: Sequence[PublicKey]
) -> Iterator[Opened]:
    """Load a bundle's model on the target that is named.

    Raises:
        InputError: a board was named for a run on this machine.
        JouleloopError: whatever the target or the bundle has to say.
    """
    if target == "qemu":
        board = board_for(bundle, device)
        cycles = _profiled_cycles(bundle)
        with open_qemu(bundle, board, trust=trust) as emulated:
            yield Opened(emulated, board.id, cycles)
    elif device not in (None, bundle.device_id):
        raise InputError(
            f"--device {device} was asked for; --target {target} takes the bundle as it is, for "
            f"{bundle.device_id}",
            hint="leave --device out, or use --target qemu",
        )
    elif target.startswith(SERIAL):
        with open_serial(bundle, target.removeprefix(SERIAL)) as board_there:
            yield Opened(board_there, bundle.device_id, _profiled_cycles(bundle))
    else:
        with open_local(bundle) as local:
            yield Opened(local, "local", None)


def _profiled_cycles(bundle: Bundle) -> Cycles:
    """Cycles of one inference, from a few golden rows under the profiler."""
    with tempfile.TemporaryDirectory(prefix="jouleloop-") as folder:
        rows = golden_rows(bundle)[:PROFILED_ROWS]
        return profile_bundle(bundle, rows, Path(folder)).profile.cycles
