"""`jouleloop train planner`: plans from the simulator, a denoiser, a checkpoint; resumable."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import zipfile
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

import jouleloop
from edge_runtime.planner.network import Network, Plans
from jouleloop.errors import ScenarioError
from jouleloop.programs import require_package
from scenarios.world.generate import make_scenarios
from train.checkpoint import AMORTISER, Card, new_checkpoint, require_replaceable, write_checkpoint
from train.planner.data import PlanData, make_plan_data
from train.planner.pv_network import PERIOD_HOURS, pv_network
from train.planner.pv_plans import simulate_pv_plans
from train.planner.scenario_network import PERIOD_TICKS, network_of
from train.planner.scenario_plans import simulate_plans

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from train.planner.settings import Settings

    Show = Callable[[str, int, int], None]
    Simulate = Callable[[Callable[[int, int], None] | None], tuple[Plans, Any]]

SNAPSHOT, PLANS = "snapshot.pt", "plans.npz"
NODES = 20


def train_planner(
    out: Path, settings: Settings, show: Show | None = None, *, data: PlanData | None = None
) -> Card:
    """Train a planner and write its checkpoint.

    A run that was killed goes on where it was when it is started again with the same settings, and
    ends with the same checkpoint; its snapshots lie beside `out` and are removed at the end.

    Args:
        out: folder for the checkpoint; an older checkpoint there is replaced.
        settings: what and how.
        show: called with (what is done, done, in all).
        data: of these settings, where they were made already.

    Returns:
        The checkpoint's card; docs/planner.md says what is in it.

    Raises:
        MissingToolError: torch or SciPy is not installed.
        InputError: a negative seed, plans that cannot be learned from, or `out` cannot be used.
    """
    for package in ("torch", "scipy"):
        require_package(package)
    if settings.seed < 0:
        raise ScenarioError(f"seed {settings.seed} is negative", hint="a seed is 0 or more")
    require_replaceable(out)
    import torch

    from train.planner.amortise import learn_projections
    from train.planner.checkpoint import (
        DEFAULT_STEPS,
        INPUT,
        calibration_rows,
        planner_card,
        schedules,
    )
    from train.planner.evaluate import evaluate
    from train.planner.fit import fit_denoiser
    from train.planner.resume import Progress
    from train.planner.uncertainty import calibrate_intervals

    place = out.resolve()
    work = place.with_name(f".{place.name}.training")
    work.mkdir(parents=True, exist_ok=True)
    data = data or plan_data(settings, work / PLANS, show)
    keeper = Progress(work / SNAPSHOT, _fingerprint(settings, data), show)
    model = fit_denoiser(data, settings.fit, settings.seed, keeper)
    tables = schedules(settings.fit)
    metrics = evaluate(model, data, tables, settings.seed)
    metrics["intervals"] = calibrate_intervals(model, data, tables[DEFAULT_STEPS], settings.seed)
    card = planner_card(data, settings.fit, tables, metrics, settings.seed)
    rows = calibration_rows(model, data.states.shape[1], tables, settings.seed)
    with new_checkpoint(out) as folder:
        example = torch.zeros(1, rows.shape[1])
        write_checkpoint(folder, model, (example,), card, {INPUT: rows})
        learn_projections(model, data, tables, settings, folder / AMORTISER, show)
    shutil.rmtree(work)
    return card


def plan_data(settings: Settings, cache: Path | None = None, show: Show | None = None) -> PlanData:
    """Plans to learn from; kept in `cache`, and read from there by a later run.

    Args:
        settings: whose network and seed.
        cache: file; nothing is kept when left out.
        show: as of `train_planner`.
    """
    world = _pv_world if settings.pv_year is not None else _scenario_world
    network, source, simulate = world(settings)
    key = json.dumps([source, settings.seed, settings.plans, jouleloop.__version__])
    kept = _read_plans(cache, key)
    if kept is None:
        tell = None if show is None else lambda done, total: show("simulate plans", done, total)
        kept = simulate(tell)
        _keep_plans(cache, key, *kept)
    return make_plan_data(network, source, *kept)


def _scenario_world(settings: Settings) -> tuple[Network, dict[str, Any], Simulate]:
    scenario = settings.scenario or next(make_scenarios(1, seed=settings.seed, nodes=NODES))
    network = network_of(scenario)
    source = {
        "kind": "scenario",
        "id": scenario.id,
        "seed": scenario.seed,
        "period_hours": PERIOD_TICKS * scenario.tick_hours,
        "served": [node.id for node in scenario.nodes if node.kind == "use"],
    }
    count, seed = settings.plans, settings.seed
    return (
        network,
        source,
        lambda tell: simulate_plans(scenario, network, count, seed, progress=tell),
    )


def _pv_world(settings: Settings) -> tuple[Network, dict[str, Any], Simulate]:
    year, count, seed = settings.pv_year, settings.plans, settings.seed
    assert year is not None  # noqa: S101 - asked before
    network = pv_network(year)
    source = {
        "kind": "pv",
        "id": f"PV_ICE {year}",
        "seed": seed,
        "period_hours": PERIOD_HOURS,
        "served": [node for node in network.nodes if node.startswith("field")],
    }
    return (
        network,
        source,
        lambda tell: simulate_pv_plans(network, year, count, seed, progress=tell),
    )


def _keep_plans(cache: Path | None, key: str, plans: Plans, conditions: Any) -> None:
    if cache is None:
        return
    buffer = io.BytesIO()
    np.savez(buffer, key=np.array(key), conditions=conditions, **vars(plans))
    partial = cache.with_name(cache.name + ".partial")
    partial.write_bytes(buffer.getvalue())
    partial.replace(cache)


def _read_plans(cache: Path | None, key: str) -> tuple[Plans, Any] | None:
    """Plans that an interrupted run of the same settings left; None where there are none."""
    if cache is None or not cache.exists():
        return None
    names = Plans.__dataclass_fields__
    try:
        # Opened here: NumPy leaves a file that is no archive open.
        with cache.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            if str(archive["key"]) != key:
                return None
            return Plans(**{name: archive[name] for name in names}), archive["conditions"]
    except (ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None  # no file of ours: simulate them again


def _fingerprint(settings: Settings, data: PlanData) -> str:
    import torch

    parts = [asdict(settings.fit), settings.seed, data.sha256, torch.__version__]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()
