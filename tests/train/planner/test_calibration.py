"""The contract on ranges: of the whole trajectory they hold it, of one end they do not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch

from tests.export.checkpoints import write_checkpoint
from tests.train.planner.ranges import LEFT_OUT, held_out_steps, left_out
from train.planner.checkpoint import calibration_rows
from train.planner.denoiser import Denoiser
from train.planner.sampler import sample
from train.planner.schedule import DISTILLED, STEPS, make_schedule

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.train

SIZE, HIDDEN, SEED = 30, 32, 3
SCHEDULES = {steps: make_schedule(steps, distilled=steps in DISTILLED) for steps in STEPS}


@pytest.fixture(scope="module")
def model() -> Denoiser:
    """Random weights; what it is told of a step matters so much that no step is like another."""
    torch.manual_seed(SEED)
    model = Denoiser(SIZE, HIDDEN).eval()
    with torch.no_grad():
        model.first.weight[:, SIZE:] *= 4.0
    return model


def _rows(part: str, model: Denoiser) -> torch.Tensor:
    """Calibration rows of the whole trajectory, or of one end of it."""
    if part == "trajectory":
        return torch.from_numpy(calibration_rows(model, SIZE, SCHEDULES, SEED))
    random = torch.Generator().manual_seed(SEED)
    noise, conditions = torch.randn(1024, SIZE, generator=random), torch.rand(1024, 2)
    seen: list[torch.Tensor] = []
    data = sample(model, SCHEDULES[10], noise, conditions, watch=seen.append)
    return seen[0] if part == "noise" else torch.cat([data, seen[-1][:, SIZE:]], dim=1)


@pytest.mark.parametrize("part", ["trajectory", "noise", "data"])
def test_int8_holds_what_it_was_calibrated_on(part: str, model: Denoiser, tmp_path: Path) -> None:
    widths = (SIZE + 18, HIDDEN, SIZE)
    write_checkpoint(tmp_path, widths, module=model, rows=_rows(part, model).numpy())
    worst = left_out(tmp_path, model, held_out_steps(model, SCHEDULES))
    assert (max(worst.values()) <= LEFT_OUT) == (part == "trajectory"), worst
