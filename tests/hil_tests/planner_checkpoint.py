"""A small planner with random weights, as `jouleloop train planner` lays its checkpoint out."""

from __future__ import annotations

import json
from dataclasses import fields
from typing import TYPE_CHECKING

import numpy as np

from edge_runtime.planner.network import Network
from tests.edge_runtime.planner.networks import random_network
from tests.export.checkpoints import write_checkpoint

if TYPE_CHECKING:
    from pathlib import Path

    import torch

STEPS = (10, 4)


def write_planner(
    folder: Path,
    nodes: int,
    edges: int,
    *,
    has_amortiser: bool = False,
    denoiser: torch.nn.Module | None = None,
) -> Network:
    """Write the checkpoint, of `denoiser` or a small one; returns its network."""
    network = random_network(5, nodes, edges)
    size = edges + 4 * nodes
    rows = np.random.default_rng(6).normal(size=(256, size + 18)).astype(np.float32)
    write_checkpoint(folder, (size + 18, 32, size), module=denoiser, rows=rows)
    values = {field.name: getattr(network, field.name) for field in fields(Network)}
    record = {k: v.tolist() if isinstance(v, np.ndarray) else list(v) for k, v in values.items()}
    kept = {steps: np.linspace(1e-3, 1.0, steps + 1) for steps in STEPS}
    card = json.loads((folder / "card.json").read_text())
    card["family"] = "planner"
    card["planner"] = {
        "network": record,
        "normalisation": {"mean": [1.0] * size, "std": [3.0] * size},
        "schedules": {
            str(steps): {
                "alpha_bar": row[:-1].tolist(),
                "alpha_bar_next": row[1:].tolist(),
                "embedding": np.sin(np.arange(16 * steps)).reshape(steps, 16).tolist(),
            }
            for steps, row in kept.items()
        },
        "steps": STEPS[0],
        "x0_limit": 8.0,
    }
    (folder / "card.json").write_text(json.dumps(card))
    if has_amortiser:
        # Of random weights it guesses nonsense, and every plan has to hold all the same.
        widths = (edges + 3 * nodes, 16, edges)
        rows = np.random.default_rng(7).uniform(-1.0, 1.0, (256, widths[0])).astype(np.float32)
        write_checkpoint(folder / "amortiser", widths, rows=rows)
    return network
