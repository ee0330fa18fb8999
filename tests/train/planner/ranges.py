"""What int8 leaves out of what the sampler's whole trajectory brings to the denoiser."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from export.frontend.checkpoint import read_checkpoint
from export.graph import Rounding
from train.planner.sampler import sample
from train.planner.schedule import X0_LIMIT

if TYPE_CHECKING:
    from pathlib import Path

    from train.planner.denoiser import Denoiser
    from train.planner.schedule import Schedule

LEFT_OUT = 1e-3  # of the values of a step: what is beyond the 99.9th percentile
TENSORS = ("state", "first", "second", "third", "sum", "x0")
HELD_OUT_SEED, PATHS = 991, 256


def held_out_steps(model: Denoiser, schedules: dict[int, Schedule]) -> list[torch.Tensor]:
    """The denoiser's inputs in every step of every schedule, of noise that no calibration saw."""
    random = torch.Generator().manual_seed(HELD_OUT_SEED)
    noise = torch.randn(PATHS, model.last.out_features, generator=random)
    conditions = torch.rand(PATHS, 2, generator=random)
    steps: list[torch.Tensor] = []
    for schedule in schedules.values():
        sample(model, schedule, noise, conditions, watch=steps.append)
    return steps


def left_out(folder: Path, model: Denoiser, steps: list[torch.Tensor]) -> dict[str, float]:
    """Share of values beyond the int8 range of each of TENSORS, in the worst step."""
    worst = dict.fromkeys(TENSORS, 0.0)
    spans = _ranges(folder)
    for rows in steps:
        parts = _activations(model, rows)
        for name, values, (low, high) in zip(TENSORS, parts, spans, strict=True):
            share = float(((values < low) | (values > high)).float().mean())
            worst[name] = max(worst[name], share)
    return worst


def _activations(model: Denoiser, rows: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """What the float denoiser has in each place that the exporter quantises, as in TENSORS."""
    with torch.no_grad():
        first = torch.relu(model.first(rows))
        second = torch.relu(model.second(first))
        third = model.third(second)
        added = torch.relu(third + first)
        # The sampler cuts x0 off there anyway.
        return rows, first, second, third, added, model.last(added).clamp(-X0_LIMIT, X0_LIMIT)


def _ranges(folder: Path) -> list[tuple[float, float]]:
    """Smallest and largest number that each of TENSORS can hold in int8."""
    graph = read_checkpoint(folder, Rounding.SINGLE).graph
    held = [graph.tensors[node.outputs[0]] for node in graph.nodes]
    return [
        (float(t.scale) * (-128 - t.zero_point), float(t.scale) * (127 - t.zero_point))
        for t in held
        if t.dtype == "int8"
    ]
