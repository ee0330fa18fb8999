"""A planner that is trained in seconds: of the right form, and of no use."""

from __future__ import annotations

from typing import TYPE_CHECKING

from train.planner.settings import Fit, Settings

if TYPE_CHECKING:
    from pathlib import Path

    from train.checkpoint import Card

TINY_FIT = Fit(
    hidden=24,
    steps=60,
    distillation_steps=40,
    distillation_rows=64,
    amortiser_rows=60,
    amortiser_steps=40,
)
TINY = Settings(seed=1, plans=128, fit=TINY_FIT)


def tiny_planner(out: Path) -> Card:
    """Write a checkpoint of a planner for the default network, 20 nodes, to a folder."""
    from train.planner.train import train_planner

    return train_planner(out, TINY)
