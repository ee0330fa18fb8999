"""The projectors side by side: exact, by penalties and L-BFGS, and amortised.

On this machine the exact projection of 1024 x 20 node states races the one of an article. On the
emulated Cortex-M4F and M3 the exact projection of whole plans is counted beside a learned one that
is finished exactly, on networks of three sizes; joules are modelled where the profile has figures.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks._projectors import BOARDS, compare_on_device, noisy_plans
from export.planner.choice import ProjectorMode, choose_projector
from hil_tests.result import Measure
from tests.edge_runtime.planner.networks import random_network
from train.amortiser import train_amortiser
from train.compare_projections import BATCH, NODES, compare_projections

if TYPE_CHECKING:
    from collections.abc import Iterator

    from export.planner.choice import ProjectorFigures

SIZES = ((8, 14), (20, 50), (40, 100))
ROWS, CANDIDATES = 8, 2000


def main() -> tuple[Measure, ...]:
    """The figures of all comparisons."""
    return (*_race(), *_devices())


def _race() -> Iterator[Measure]:
    race = compare_projections()
    source = f"timed, one thread, shortest of several rounds, {BATCH} x {NODES} states"
    residual = "mean of |mass|, |energy| and gained quality, of capacity"
    yield Measure("states, exact", race.exact_s, "s", "measured", source)
    yield Measure("states, L-BFGS", race.penalty_s, "s", "measured", source)
    yield Measure("states, L-BFGS over exact, time", race.speedup, "", "measured", source)
    yield Measure("states, exact, residual", race.exact_residual, "", "measured", residual)
    yield Measure("states, L-BFGS, residual", race.penalty_residual, "", "measured", residual)


def _devices() -> Iterator[Measure]:
    for nodes, edges in SIZES:
        network = random_network(1, nodes, edges, fixed=0)
        candidate = noisy_plans(network, CANDIDATES, seed=2)
        few = type(candidate)(*(part[:ROWS] for part in vars(candidate).values()))
        with tempfile.TemporaryDirectory(prefix="jouleloop-benchmark-") as name:
            checkpoint = Path(name) / "amortiser"
            train_amortiser(network, candidate, checkpoint)
            for device in BOARDS:
                folder = Path(name) / device
                folder.mkdir()
                exact, amortised = compare_on_device(network, few, checkpoint, device, folder)
                where = f"{device}, {nodes} nodes, {edges} edges"
                choice = choose_projector(ProjectorMode.AUTO, exact, amortised)
                yield from _figures(f"{where}, exact", exact, "")
                yield from _figures(f"{where}, amortised", amortised, f"auto: {choice.reason}")


def _figures(name: str, figures: ProjectorFigures, note: str) -> Iterator[Measure]:
    counted = f"QEMU, mean of {ROWS} plans{f'; {note}' if note else ''}"
    yield Measure(f"{name}: instructions", figures.instructions, "", "measured", counted)
    yield Measure(f"{name}: violation", figures.violation, "", "measured", "of capacity, largest")
    yield Measure(
        f"{name}: distance", figures.distance, "", "measured", "of capacity, root mean square"
    )
    if figures.energy is not None:
        low, high = figures.energy.interval
        yield Measure(
            *(f"{name}: energy", figures.energy.joules, "J", "modelled", figures.energy.source),
            low=low,
            high=high,
        )
