"""The INT8 denoiser as the exporter makes it, in the integer arithmetic of every device."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from export.frontend.checkpoint import read_checkpoint
from export.graph import Rounding
from export.interpret import run
from train.planner.denoiser import Denoiser

if TYPE_CHECKING:
    from pathlib import Path


class QuantisedDenoiser(torch.nn.Module):
    """Runs the exported graph of a checkpoint: float32 in and out, integers between.

    Args:
        folder: the checkpoint.

    Raises:
        CheckpointError: it cannot be read.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._graph = read_checkpoint(folder, Rounding.SINGLE).graph
        (self._input,), (self._output,) = self._graph.inputs, self._graph.outputs

    def forward(self, state: torch.Tensor) -> torch.Tensor:
        """x0, float32 [n, D], of inputs, float32 [n, D + 2 + 16]."""
        x0 = run(self._graph, {self._input: state.numpy()})[self._output]
        return torch.from_numpy(x0.astype(np.float32, copy=False))


def load_denoiser(folder: Path) -> Denoiser:
    """The float denoiser of a checkpoint, for any number of rows at once.

    Args:
        folder: a checkpoint that `jouleloop train planner` wrote.
    """
    weights = torch.export.load(folder / "program.pt2").state_dict
    hidden, wide = weights["first.weight"].shape
    model = Denoiser(len(weights["last.bias"]), hidden)
    assert wide == model.first.in_features  # noqa: S101 - the exporter checks the folder's files
    model.load_state_dict(weights)
    return model.eval()
