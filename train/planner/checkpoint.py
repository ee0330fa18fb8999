"""A planner's checkpoint: what its card says, and the rows that it is quantised by."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

import jouleloop
from edge_runtime.planner.network import Network
from train.checkpoint import PRODUCER, Card
from train.planner.denoiser import CONDITION_SIZE, parameter_count
from train.planner.sampler import sample
from train.planner.schedule import (
    DISTILLED,
    EMBEDDING_SIZE,
    STEPS,
    X0_LIMIT,
    Schedule,
    make_schedule,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from train.planner.data import PlanData
    from train.planner.settings import Fit

NAME = FAMILY = "planner"
INPUT, OUTPUT = "state", "x0"
SOURCE = ("kind", "id", "seed", "period_hours")
DEFAULT_STEPS = 10
CALIBRATION_PATHS, CALIBRATION_ROWS = 1024, 2048
CORNERS = ((0.0, 0.0), (0.0, 1.0), (1.0, 0.0), (1.0, 1.0), (0.5, 0.5))


def schedules(fit: Fit) -> dict[int, Schedule]:
    """The tables of a checkpoint: short steps for 50 and 10, long ones where they were learned."""
    learned = DISTILLED if fit.distillation_steps else {}
    return {steps: make_schedule(steps, distilled=steps in learned) for steps in STEPS}


def calibration_rows(
    model: torch.nn.Module, size: int, tables: dict[int, Schedule], seed: int
) -> NDArray[np.float32]:
    """Inputs of whole sampling runs: of every table, and of each column its true extremes.

    Args:
        model: the denoiser.
        size: D.
        tables: schedules by number of steps.
        seed: of noise, conditions and choice.
    """
    random = torch.Generator().manual_seed(seed)
    noise = torch.randn(CALIBRATION_PATHS, size, generator=random)
    conditions = torch.rand(CALIBRATION_PATHS, CONDITION_SIZE, generator=random)
    corners = torch.tensor(CORNERS)
    conditions[: CALIBRATION_PATHS // 2] = corners.repeat(CALIBRATION_PATHS, 1)[
        : CALIBRATION_PATHS // 2
    ]
    seen: list[torch.Tensor] = []
    for table in tables.values():
        sample(model, table, noise, conditions, watch=seen.append)
    inputs = torch.cat(seen)
    with torch.no_grad():
        # What the sampler cuts off anyway needs no place among the eight bits of x0.
        within = model(inputs).abs().amax(dim=1) <= X0_LIMIT
    rows: NDArray[np.float32] = (inputs[within] if within.any() else inputs).numpy()
    anywhere = torch.randperm(len(rows), generator=random)[:CALIBRATION_ROWS].numpy()
    chosen = np.unique(np.concatenate([anywhere, rows.argmin(axis=0), rows.argmax(axis=0)]))
    kept: NDArray[np.float32] = rows[chosen]
    return kept


def planner_card(
    data: PlanData, fit: Fit, tables: dict[int, Schedule], metrics: dict[str, Any], seed: int
) -> Card:
    """The card of a planner; docs/planner.md says what each key means."""
    size = data.states.shape[1]
    edges, nodes = len(data.network.sources), len(data.network.nodes)
    normalisation = data.normalisation
    return Card(
        name=NAME,
        family=FAMILY,
        inputs=(
            {
                "name": INPUT,
                "shape": [1, size + CONDITION_SIZE + EMBEDDING_SIZE],
                "unit": "1",
                "layout": {
                    "flows": edges,
                    "storage": nodes,
                    "exchange": nodes,
                    "quality": nodes,
                    "status": nodes,
                    "condition": CONDITION_SIZE,
                    "embedding": EMBEDDING_SIZE,
                },
            },
        ),
        outputs=({"name": OUTPUT, "shape": [1, size], "unit": "1"},),
        metrics=metrics,
        seed=seed,
        data_sha256=data.sha256,
        producer=f"{PRODUCER}{jouleloop.__version__}",
        details={
            "network": network_record(data.network),
            "source": {name: data.source[name] for name in SOURCE},
            "served": data.source["served"],
            "normalisation": {
                "mean": normalisation.mean.tolist(),
                "std": normalisation.std.tolist(),
                "moving": data.moving.tolist(),
            },
            "schedules": {str(steps): table.as_record() for steps, table in tables.items()},
            "distilled": list(DISTILLED) if fit.distillation_steps else [],
            "steps": DEFAULT_STEPS,
            "x0_limit": X0_LIMIT,
            "intervals": {
                level: record["offsets"] for level, record in metrics["intervals"].items()
            },
            "projection": "end",
            "parameters": parameter_count(size, fit.hidden),
        },
    )


def network_record(network: Network) -> dict[str, Any]:
    """Every field of a network as lists, for JSON."""
    values = {field.name: getattr(network, field.name) for field in fields(Network)}
    return {
        name: value.tolist() if isinstance(value, np.ndarray) else list(value)
        for name, value in values.items()
    }
