"""One trained and exported policy for all tests of the benches."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import device_profiles
from edge_runtime.wire.bundle import Bundle, write_bundle
from export.budget import Budget
from export.graph import Rounding
from export.pipeline import ExportOptions, export_model
from train.policy import train_policy

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="session")
def policy_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A policy, trained with a fixed seed."""
    checkpoint = tmp_path_factory.mktemp("line") / "checkpoint"
    train_policy(checkpoint, seed=3)
    return checkpoint


@pytest.fixture(scope="session")
def policy_bundle(policy_checkpoint: Path) -> Bundle:
    """The same for the emulated Cortex-M4F."""
    options = ExportOptions(rounding=Rounding.SINGLE, native=True, budget=Budget())
    return export_model(policy_checkpoint, device_profiles.load("mps2-an386"), options)


@pytest.fixture(scope="session")
def policy_path(policy_bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same policy as a file."""
    path = tmp_path_factory.mktemp("bundle") / "policy.jlb"
    write_bundle(policy_bundle, path)
    return path
