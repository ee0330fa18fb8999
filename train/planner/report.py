"""The planner's report: every line that must be reached, over several seeds, on one page."""

from __future__ import annotations

import json
import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import jouleloop
from jouleloop.errors import InputError
from jouleloop.programs import die_with_parent, require_package
from train.planner.verdicts import LINES, Verdict, interval, judge

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from train.planner.settings import Settings

    Record = dict[str, Any]
    Device = Callable[[Path], Record]

PAGE, FIGURES = "report.html", "report.json"
WORKERS = 2
HEADS = (
    "sampler",
    "distance",
    "energy",
    "spread",
    "cost, its weight",
    "CO2, its weight",
    "loose",
    "distance, projected",
    "spread, projected",
    "feasible, projected",
)


def write_report(
    folder: Path,
    settings: Settings,
    seeds: int,
    *,
    device: Device | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[Verdict, ...]:
    """Study several seeds and write `report.html` and `report.json`.

    A seed that is finished is kept in the folder and not studied again, and one that was killed is
    taken up where it was.

    Args:
        folder: for the report, and for the checkpoint of each seed, `seed-N`.
        settings: of the first seed; the others count on from it.
        seeds: how many, >= 1.
        device: figures of a checkpoint on a device; left out, those lines are not measured.
        progress: called with (seeds finished, seeds in all).

    Returns:
        The verdicts in the order of the page.

    Raises:
        MissingToolError: a package is not installed.
        InputError: no seed, or the folder cannot be used.
    """
    for package in ("torch", "scipy", "onnx", "onnxscript", "jinja2", "matplotlib"):
        require_package(package)
    if seeds < 1:
        raise InputError(f"{seeds} seeds were asked for", hint="ask for at least 1, better 5")
    folder.mkdir(parents=True, exist_ok=True)
    every = [replace(settings, seed=settings.seed + number) for number in range(seeds)]
    records = _study(folder, every, progress or (lambda done, total: None))
    for record in records:
        # One at a time, in this process: they are timed.
        place = folder / f"projection-{record['seed']}.json"
        record["projection"] = _kept(place, partial(_projection, record["seed"]))
    if device is not None:
        first = folder / f"seed-{settings.seed}"
        records[0]["device"] = _kept(folder / "device.json", lambda: device(first))
    verdicts = tuple(judge(line, records) for line in LINES)
    _write(folder / FIGURES, json.dumps(_summary(verdicts, records), indent=1) + "\n")
    _write(folder / PAGE, _page(verdicts, records))
    return verdicts


def _study(
    folder: Path, every: Sequence[Settings], progress: Callable[[int, int], None]
) -> list[Record]:
    """The records of all seeds; two are studied at a time."""
    context = multiprocessing.get_context("spawn")
    workers = min(WORKERS, os.cpu_count() or 1)
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=die_with_parent)
    try:
        # Only the first seed trains the baselines: they are nowhere near.
        jobs = {
            pool.submit(study_one, folder, settings, settings is every[0]): number
            for number, settings in enumerate(every)
        }
        records: dict[int, Record] = {}
        progress(0, len(jobs))
        for job in as_completed(jobs):
            records[jobs[job]] = job.result()
            progress(len(records), len(jobs))
    finally:
        pool.shutdown(cancel_futures=True)
    return [records[number] for number in range(len(every))]


def study_one(folder: Path, settings: Settings, baselines: bool) -> Record:
    """One seed, read from the folder where it is finished."""

    def study() -> Record:
        from train.planner.study import study_seed

        return study_seed(folder, settings, lambda part, done, total: None, baselines=baselines)

    return _kept(folder / f"seed-{settings.seed}.json", study)


def _projection(seed: int) -> Record:
    """The exact projection beside the one by penalties and L-BFGS, in the same run."""
    from train.compare_projections import compare_projections

    found = compare_projections(seed)
    return asdict(found) | {"speed_up": found.speedup, "residual_ratio": found.residual_ratio}


def _kept(path: Path, make: Callable[[], Record]) -> Record:
    """A record that this version made before; or made now, and kept."""
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        kept = {}
    if kept.get("producer") != jouleloop.__version__:
        kept = {"producer": jouleloop.__version__, "record": make()}
        _write(path, json.dumps(kept) + "\n")
    record: Record = kept["record"]
    return record


def _write(path: Path, text: str) -> None:
    new = path.with_name(path.name + ".partial")
    new.write_text(text, encoding="utf-8")
    new.replace(path)


def _summary(verdicts: Sequence[Verdict], records: Sequence[Record]) -> Record:
    return {
        "lines": [
            {
                "what": verdict.line.what,
                "target": verdict.line.target,
                "values": verdict.values,
                "mean": verdict.mean,
                "low": verdict.low,
                "high": verdict.high,
                "reached": verdict.reached,
            }
            for verdict in verdicts
        ],
        "seeds": [{k: v for k, v in r.items() if k != "steering"} for r in records],
    }


def _page(verdicts: Sequence[Verdict], records: Sequence[Record]) -> str:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    from train.planner.plots import draw_plots

    templates = Environment(
        loader=PackageLoader("train"), autoescape=True, undefined=StrictUndefined
    )
    first = records[0]
    return templates.get_template("planner.html").render(
        title=f"The planner over {len(records)} seeds",
        lead=f"{first['parameters']:,} parameters, networks of 20 nodes and "
        f"{first['network']['edges']} edges or about as many, {first['held_out_plans']:,} held-out "
        f"plans each; seeds {', '.join(str(record['seed']) for record in records)}.",
        verdicts=verdicts,
        plots=draw_plots(records),
        heads=HEADS,
        rows=[_row(name, records) for name in first["samplers"]],
    )


def _row(name: str, records: Sequence[Record]) -> tuple[str, ...]:
    rows = [record["samplers"][name] for record in records if name in record["samplers"]]

    def mean(figure: str, *, projected: bool = False) -> float:
        return interval([(row["projected"] if projected else row)[figure] for row in rows])[0]

    return (
        name,
        f"{mean('sliced_wasserstein'):.3f}",
        f"{1e3 * mean('energy_distance'):.2f}",
        f"{mean('std_ratio'):.3f}",
        f"{mean('cost_correlation'):.2f}",
        f"{mean('co2_correlation'):.2f}",
        f"{mean('feasible_loose'):.1%}",
        f"{mean('sliced_wasserstein', projected=True):.3f}",
        f"{mean('std_ratio', projected=True):.3f}",
        f"{mean('feasible', projected=True):.1%}",
    )
