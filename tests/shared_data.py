"""Data that tests use when it lies beside the checkout; its absence skips, nothing else does."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


def shared_folder() -> Path:
    """The folder of shared data: JOULELOOP_SHARED, else `shared` beside the repository."""
    given = os.environ.get("JOULELOOP_SHARED")
    return Path(given) if given else Path(__file__).parents[2] / "shared"


def shared_file(relative: str) -> Path:
    """Path of a shared file; skips the calling test, with the reason, when it is absent."""
    path = shared_folder() / relative
    if not path.exists():
        pytest.skip(
            f"shared data {relative} is absent; JOULELOOP_SHARED names the folder that holds it"
        )
    return path
