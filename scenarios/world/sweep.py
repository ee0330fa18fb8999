"""Scenarios × controllers × seeds in a process pool; finished cells survive a kill."""

from __future__ import annotations

import multiprocessing
import os
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from jouleloop.errors import ScenarioError
from jouleloop.programs import die_with_parent, require_package
from scenarios.world.controllers import make_controller
from scenarios.world.generate import make_scenario, scenario_seeds
from scenarios.world.linear_programs import require_feasible
from scenarios.world.score import evaluate
from scenarios.world.sweep_report import write_report
from scenarios.world.sweep_store import Cell, SweepStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

DATABASE = "sweep.sqlite"
# Cells that wait in the pool per worker: enough that none is ever idle.
AHEAD = 3


@dataclass(frozen=True)
class Plan:
    """What a sweep consists of; a folder holds one plan.

    Args:
        count: scenarios, >= 1.
        controllers: names, in the order of the table.
        repeats: runs of each with controller seeds 0, 1, ...; >= 1.
        seed: of the scenarios.
        nodes: of each scenario.
        ticks: of each run.
    """

    count: int
    controllers: tuple[str, ...]
    repeats: int
    seed: int
    nodes: int
    ticks: int

    def cells(self) -> Iterator[Cell]:
        """Every cell, in the order of the table."""
        for number, scenario_seed in enumerate(scenario_seeds(self.count, self.seed)):
            for controller in self.controllers:
                for repeat in range(self.repeats):
                    yield Cell(number, scenario_seed, controller, repeat)


@dataclass(frozen=True)
class SweepResult:
    """How a sweep went.

    Args:
        cells_total: in the plan.
        cells_done_before: found finished in the folder.
        cells_run: run now.
        summary: of all cells; sweep_report.py says what is in it.
    """

    cells_total: int
    cells_done_before: int
    cells_run: int
    summary: dict[str, Any]


def run_sweep(
    plan: Plan,
    out: Path,
    *,
    workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> SweepResult:
    """Run what is not run yet, then write the table, the summary and the plots.

    Args:
        plan: what to run.
        out: folder; a finished or interrupted sweep of the same plan is taken up.
        workers: processes, >= 1; the number of processors when left out.
        progress: called with (cells finished, cells in all).

    Raises:
        ScenarioError: an argument out of range, or the folder holds another plan.
        MissingToolError: SciPy or matplotlib is not installed.
    """
    for package in ("scipy", "matplotlib"):
        require_package(package)
    _check(plan)
    out.mkdir(parents=True, exist_ok=True)
    cells = tuple(plan.cells())
    with SweepStore(out / DATABASE, plan) as store:
        done = store.finished()
        left = [cell for cell in cells if cell.key not in done]
        finished = len(cells) - len(left)
        if progress is not None:
            progress(finished, len(cells))
        for cell, record in _run(plan, left, workers or os.cpu_count() or 1):
            store.add(cell, record)
            finished += 1
            if progress is not None:
                progress(finished, len(cells))
        summary = write_report(out, store.rows(), plan.controllers)
    return SweepResult(len(cells), len(cells) - len(left), len(left), summary)


def _check(plan: Plan) -> None:
    if plan.repeats < 1:
        raise ScenarioError(f"{plan.repeats} repeats were asked for", hint="ask for at least 1")
    if not plan.controllers:
        raise ScenarioError("no controller was named", hint="name one, as in: rule,greedy")
    if len(set(plan.controllers)) < len(plan.controllers):
        raise ScenarioError("a controller is named twice", hint="name each once")
    for name in plan.controllers:
        make_controller(name)
    scenario_seeds(plan.count, plan.seed)
    make_scenario(plan.seed, nodes=plan.nodes, ticks=plan.ticks)


def _run(plan: Plan, cells: Iterable[Cell], workers: int) -> Iterator[tuple[Cell, dict[str, Any]]]:
    """Run cells in a pool and yield them as they finish."""
    if workers < 1:
        raise ScenarioError(f"{workers} workers were asked for", hint="ask for at least 1")
    waiting = list(cells)[::-1]
    if not waiting:
        return
    # Not fork: a copy of a process with threads may hang.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=die_with_parent)
    running: dict[Future[dict[str, Any]], Cell] = {}
    try:
        while waiting or running:
            while waiting and len(running) < AHEAD * workers:
                cell = waiting.pop()
                running[pool.submit(run_cell, plan, cell)] = cell
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                yield running.pop(future), future.result()
    finally:
        pool.shutdown(cancel_futures=True)


def run_cell(plan: Plan, cell: Cell) -> dict[str, Any]:
    """One cell: the same wherever and whenever it runs."""
    scenario = make_scenario(cell.scenario_seed, nodes=plan.nodes, ticks=plan.ticks)
    require_feasible([scenario])
    evaluation = evaluate(scenario, make_controller(cell.controller, cell.repeat))
    return {"scenario_id": scenario.id} | evaluation.as_record()
