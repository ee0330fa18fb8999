"""Plans straight from a checkpoint: the float denoiser in torch, projected exactly."""

from __future__ import annotations

import json
from dataclasses import fields
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from edge_runtime.planner.network import Network, Plans
from edge_runtime.planner.objectives import OBJECTIVES
from edge_runtime.planner.planner import Planner
from edge_runtime.planner.projection import Projector
from edge_runtime.planner.state import Normalisation, split_plans
from jouleloop.errors import CheckpointError
from train.checkpoint import CARD
from train.planner.quantised import load_denoiser
from train.planner.sampler import sample
from train.planner.schedule import Schedule

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]


def planner_of_checkpoint(folder: Path) -> Planner:
    """A planner that draws with the float model of a checkpoint and its default schedule.

    Args:
        folder: what `jouleloop train planner` wrote.

    Raises:
        CheckpointError: it is no planner's checkpoint.
    """
    try:
        card = json.loads((folder / CARD).read_text(encoding="utf-8"))
        details = card["planner"]
        network = network_of_record(details["network"])
        table = details["schedules"][str(details["steps"])]
        schedule = Schedule(**{name: np.array(values) for name, values in table.items()})
        normalisation = Normalisation(
            *(np.array(details["normalisation"][name]) for name in ("mean", "std"))
        )
        served = np.array([network.nodes.index(name) for name in details["served"]], np.int64)
        offsets = {
            level: np.array([row[name] for name in OBJECTIVES])
            for level, row in details["intervals"].items()
        }
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(
            f"{folder} is not a planner's checkpoint: {error}",
            hint="make one with `jouleloop train planner --out DIR`",
        ) from error
    model, projector = load_denoiser(folder), Projector(network)

    def draw(conditions: Floats, seed: int) -> Plans:
        random = torch.Generator().manual_seed(seed)
        noise = torch.randn(len(conditions), len(normalisation.mean), generator=random)
        weights = torch.from_numpy(conditions.astype(np.float32))
        states = sample(model, schedule, noise, weights).numpy().astype(np.float64)
        return projector.project(split_plans(network, normalisation.restore(states))).plans

    return Planner(network, served, offsets, draw)


def network_of_record(record: dict[str, Any]) -> Network:
    """The network of a card."""
    values: dict[str, Any] = {"nodes": tuple(record["nodes"])}
    for field in fields(Network):
        if field.name != "nodes":
            kind = np.int64 if field.name in ("sources", "targets") else np.float64
            values[field.name] = np.array(record[field.name], kind)
    return Network(**values)
