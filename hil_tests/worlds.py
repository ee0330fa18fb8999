"""The benchmark in worlds: the model on the target decides what comes back in supply chains."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import jouleloop
from hil_tests.bench import RESULT, WRITE_EVERY_S, Publisher, check_golden_rows
from hil_tests.device_controller import DeviceController
from hil_tests.observation import observation_of
from hil_tests.result import write_result
from hil_tests.world_measures import Limits, pareto_of, world_measures_of
from hil_tests.world_result import MODEL, ControllerRun, WorldCell, WorldsResult
from scenarios import pv
from scenarios.world import catastrophe
from scenarios.world.controllers import make_controller
from scenarios.world.file import read
from scenarios.world.folder import scenario_files
from scenarios.world.score import evaluate

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from device_profiles.energy_model import Cycles
    from edge_runtime.wire.bundle import Bundle
    from hil_tests.target import Target
    from scenarios.world.schema import Scenario
    from scenarios.world.score import Evaluation

    Progress = Callable[[int, int], None]

COMPARED = ("random", "rule", "greedy")
MOST_WORLDS = 25
WRITES_SHARE = 20.0
CATASTROPHE_LINE = (
    f"{catastrophe.METRIC} of {catastrophe.WINDOW_TICKS} ticks and at least "
    f"{catastrophe.FEWEST_DECISIONS} decisions, below {catastrophe.LEVEL}"
)


@dataclass(frozen=True)
class Worlds:
    """The worlds of a run, in the order of their file names.

    Args:
        files: name of each file.
        scenarios: as the files say, or with fewer ticks.
        left_out: files that the limit left out.
    """

    files: tuple[str, ...]
    scenarios: tuple[Scenario, ...]
    left_out: int


def read_worlds(path: Path, *, most: int = MOST_WORLDS, ticks: int | None = None) -> Worlds:
    """Read a scenario file, or the first files of a folder.

    Args:
        path: file or folder.
        most: worlds to take, >= 1.
        ticks: of each run; a world of fewer runs in its own. Returns are then drawn for so many.

    Raises:
        ScenarioError: names the file and the JSON path of what is wrong.
    """
    found = scenario_files(path)
    files = found[:most]
    scenarios = [read(file) for file in files]
    if ticks is not None:
        scenarios = [s.model_copy(update={"ticks": min(ticks, s.ticks)}) for s in scenarios]
    return Worlds(tuple(f.name for f in files), tuple(scenarios), len(found) - len(files))


def run_worlds(
    bundle: Bundle,
    target: Target,
    twin: Target,
    worlds: Worlds,
    *,
    seed: int,
    out: Path,
    limits: Limits,
    cycles: Cycles | None = None,
    publisher: Publisher | None = None,
    progress: Progress | None = None,
) -> WorldsResult:
    """Drive a bundle's policy through worlds on a target, beside controllers to compare with.

    `out/result.json` is rewritten about every second and at the end, however the run ends.

    Args:
        bundle: a bundle of the family `policy`.
        target: where the model runs, already loaded.
        twin: the same bundle on this machine.
        worlds: from `read_worlds`.
        seed: of the random controller; all else that is random hangs on a scenario's own seed.
        out: folder for the result; made when missing.
        limits: budgets per decision.
        cycles: of one inference, as the profiler estimates them; None: not profiled.
        publisher: receives the result whenever it is written.
        progress: called with (ticks of the model's runs done, in all).

    Raises:
        BundleError: the model does not fit the worlds, or the target's outputs are not the exact
            ones of the bundle's golden rows.
        LinkError: the target did not answer.
    """
    observation = observation_of(bundle)
    out.mkdir(parents=True, exist_ok=True)
    result = WorldsResult(
        bundle=bundle.name,
        device=bundle.device_id,
        target=target.name,
        target_description=target.description,
        observation=observation.name,
        seed=seed,
        labels=pv.DISPOSITIONS,
        golden_rows=check_golden_rows(bundle, target),
        scenarios_asked=len(worlds.scenarios),
        scenarios_left_out=worlds.left_out,
        catastrophe_line=CATASTROPHE_LINE,
        cells=(),
        pareto=None,
        measures=(),
        missing={},
        over_budget=(),
        complete=False,
        producer=f"jouleloop {jouleloop.__version__}",
    )
    write_result(result, out / RESULT)
    controller = DeviceController(bundle, observation, target, twin)
    steps = _Ticks(sum(s.ticks for s in worlds.scenarios), progress)
    cells: list[WorldCell] = []
    next_write_s = time.monotonic() + WRITE_EVERY_S
    try:
        for file, scenario in zip(worlds.files, worlds.scenarios, strict=True):
            cells.append(run_cell(controller, file, scenario, seed, steps.one))
            steps.world_done(scenario.ticks)
            began_s = time.monotonic()
            if began_s >= next_write_s or len(cells) == len(worlds.scenarios):
                result = _extended(result, bundle, cells, cycles, limits)
                write_result(result, out / RESULT)
                if publisher is not None:
                    publisher.publish(result)
                # A long record is written less often: at most a twentieth of the time goes there.
                took_s = time.monotonic() - began_s
                next_write_s = time.monotonic() + max(WRITE_EVERY_S, WRITES_SHARE * took_s)
    finally:
        if len(cells) > len(result.cells):
            result = _extended(result, bundle, cells, cycles, limits)
            write_result(result, out / RESULT)
    return result


class _Ticks:
    """Counts ticks for a progress bar; a world that ended early counts whole."""

    def __init__(self, total: int, progress: Progress | None) -> None:
        self._total, self._progress = total, progress
        self._before = self._here = 0

    def one(self) -> None:
        self._here += 1
        self._tell()

    def world_done(self, ticks: int) -> None:
        self._before, self._here = self._before + ticks, 0
        self._tell()

    def _tell(self) -> None:
        if self._progress is not None:
            self._progress(self._before + self._here, self._total)


def run_cell(
    controller: DeviceController,
    file: str,
    scenario: Scenario,
    seed: int,
    after_tick: Callable[[], None] = lambda: None,
) -> WorldCell:
    """One world under the model, and under each controller that it is compared with."""
    runs = {
        MODEL: _run_of(
            evaluate(
                scenario,
                controller,
                watch=lambda _flows, _state: after_tick(),
                ends_at_catastrophe=True,
            )
        )
    }
    for name in COMPARED:
        compared = make_controller(name, seed)
        runs[name] = _run_of(evaluate(scenario, compared, ends_at_catastrophe=True))
    replies = controller.replies
    return WorldCell(
        file=file,
        id=scenario.id,
        scenario_seed=scenario.seed,
        seed=seed,
        nodes=len(scenario.nodes),
        ticks=scenario.ticks,
        decisions=tuple(controller.decisions),
        runs=runs,
        instructions=tuple(r.instructions for r in replies if r.instructions is not None),
        link_bytes=tuple(reply.link_bytes for reply in replies),
        seconds=tuple(r.seconds for r in replies if r.seconds is not None),
        differences=controller.differences,
    )


def _run_of(evaluation: Evaluation) -> ControllerRun:
    over = evaluation.catastrophe_tick is not None
    score = 0.0 if over else evaluation.score.value
    return ControllerRun(
        score, evaluation.robustness, evaluation.metrics, evaluation.catastrophe_tick
    )


def _extended(
    result: WorldsResult,
    bundle: Bundle,
    cells: Sequence[WorldCell],
    cycles: Cycles | None,
    limits: Limits,
) -> WorldsResult:
    """The result with these cells, its figures made anew."""
    measures, missing, over = world_measures_of(bundle, result.target, cells, cycles, limits)
    return replace(
        result,
        cells=tuple(cells),
        pareto=pareto_of(cells),
        measures=measures,
        missing=missing,
        over_budget=over,
        complete=len(cells) == result.scenarios_asked,
    )
