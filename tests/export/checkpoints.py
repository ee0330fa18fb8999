"""Small checkpoints, made here: the compiler must not import the folder that trains."""

from __future__ import annotations

import itertools
import json
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

if TYPE_CHECKING:
    from pathlib import Path


class Policy(torch.nn.Module):
    """Fully connected layers with ReLU between them; a skip where two widths are equal."""

    def __init__(self, widths: tuple[int, ...], *, has_residual: bool) -> None:
        super().__init__()
        pairs = itertools.pairwise(widths)
        self.linears = [torch.nn.Linear(a, b) for a, b in pairs]
        self.layers = torch.nn.ModuleList(self.linears)
        self.has_residual = has_residual

    def forward(self, observation: torch.Tensor) -> torch.Tensor:
        value = observation
        for index, layer in enumerate(self.layers):
            before = value
            value = layer(value)
            if index < len(self.layers) - 1:
                value = torch.relu(value)
            if self.has_residual and value.shape == before.shape:
                value = value + before
        return value


def write_checkpoint(
    folder: Path,
    widths: tuple[int, ...] = (12, 32, 32, 4),
    *,
    seed: int = 0,
    has_residual: bool = False,
    module: torch.nn.Module | None = None,
    dynamic: bool = False,
    rows: np.ndarray[Any, Any] | None = None,
) -> Path:
    """A checkpoint with random weights, or of `module`; the same arguments give the same model."""
    torch.manual_seed(seed)
    folder.mkdir(parents=True, exist_ok=True)
    model = (module or Policy(widths, has_residual=has_residual)).eval()
    example = torch.zeros(2 if dynamic else 1, widths[0])
    shapes = ({0: torch.export.Dim("batch")},) if dynamic else None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # torch about its own future
        program = torch.export.export(model, (example,), dynamic_shapes=shapes)
        torch.export.save(program, folder / "program.pt2")
    name = program.graph_signature.user_inputs[0]
    if rows is None:
        rows = np.random.default_rng(seed).uniform(-1, 1, (64, widths[0])).astype(np.float32)
    arrays: dict[str, Any] = {str(name): rows}
    np.savez(folder / "calibration.npz", **arrays)
    write_card(folder, str(name), widths)
    return folder


def write_card(folder: Path, name: str, widths: tuple[int, ...], **changes: Any) -> None:
    card = {
        "format": 1,
        "name": "policy",
        "family": "policy",
        "inputs": [{"name": name, "shape": [1, widths[0]]}],
        "outputs": [{"name": "scores", "shape": [1, widths[-1]]}],
        "metrics": {},
        "seed": 0,
        "data_sha256": "0" * 64,
        "producer": "a test",
    }
    (folder / "card.json").write_text(json.dumps(card | changes))
