"""Channels that hardly weigh anything keep their values and do not cost their layer its kernel."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

import device_profiles
from export.frontend.checkpoint import read_checkpoint
from export.frontend.weight_floor import MOST_RATIO, floor_weight_scales
from export.graph import Rounding
from export.interpret import run
from export.passes import lower
from export.render.c import render_c
from export.verify import calls
from tests.export.checkpoints import write_checkpoint

if TYPE_CHECKING:
    from pathlib import Path

    from export.graph import QGraph

pytestmark = pytest.mark.train

WIDTHS = (12, 16, 8)


class NearlyConstant(torch.nn.Module):
    """Two layers, of whose outputs all but the first three hardly depend on the inputs."""

    def __init__(self) -> None:
        super().__init__()
        self.first = torch.nn.Linear(WIDTHS[0], WIDTHS[1])
        self.last = torch.nn.Linear(WIDTHS[1], WIDTHS[2])
        with torch.no_grad():
            self.last.weight[3:] *= 1e-5

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        scores: torch.Tensor = self.last(torch.relu(self.first(features)))
        return scores


def read(folder: Path, rounding: Rounding) -> tuple[QGraph, torch.nn.Module]:
    torch.manual_seed(3)
    module = NearlyConstant()
    write_checkpoint(folder, WIDTHS, module=module)
    return read_checkpoint(folder, rounding).graph, module


def weight_scales(graph: QGraph) -> list[np.ndarray[tuple[int, ...], np.dtype[np.float32]]]:
    return [
        call.input(1).quantization.scale
        for call in calls(graph)
        if call.node.op == "FULLY_CONNECTED"
    ]


@pytest.mark.parametrize("rounding", list(Rounding))
def test_small_channels_keep_their_values(tmp_path: Path, rounding: Rounding) -> None:
    graph, module = read(tmp_path / "model", rounding)
    ratios = [scale.max() / scale.min() for scale in weight_scales(graph)]
    assert max(ratios) == pytest.approx(MOST_RATIO, rel=1e-3)
    graph = lower(graph, device_profiles.load("mps2-an386"))
    rows = np.random.default_rng(4).uniform(-1, 1, (200, WIDTHS[0])).astype(np.float32)
    (name,), (result,) = graph.inputs, graph.outputs
    before, after = (graph.tensors[tensor] for tensor in (name, result))
    given = np.clip(np.rint(rows / before.scale) + before.zero_point, -128, 127).astype(np.int8)
    made = (run(graph, {name: given})[result].astype(np.float64) - after.zero_point) * after.scale
    with torch.no_grad():
        wanted = module(torch.from_numpy((given - np.float32(before.zero_point)) * before.scale))
    apart = np.abs(made.reshape(wanted.shape) - wanted.double().numpy()) / after.scale
    assert apart[:, 3:].max() <= 1.0


def test_the_layer_keeps_its_kernel(tmp_path: Path) -> None:
    graph, _ = read(tmp_path / "model", Rounding.SINGLE)
    profile = device_profiles.load("mps2-an386")
    program = render_c(lower(graph, profile), profile.core, producer="", model_sha256="")
    assert all("packed rows" in layer.code.note for layer in program.layers)


def test_even_scales_are_left_alone(tmp_path: Path) -> None:
    graph = read_checkpoint(write_checkpoint(tmp_path / "model"), Rounding.DOUBLE).graph
    assert floor_weight_scales(graph).tensors == graph.tensors
