"""Test data too large for the repository: other engines' models and published results.

It lies in the folder that JOULELOOP_SHARED names, or in `shared` beside the repository.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parent.parent


def shared_data(name: str) -> Path:
    """Path of a file or folder of the shared data; skips the test where it is absent.

    Args:
        name: relative to the data folder, as `mlperf_tiny/published_results.csv`.
    """
    folder = Path(os.environ.get("JOULELOOP_SHARED") or REPOSITORY.parent / "shared")
    path = folder / "data" / name
    if not path.exists():
        pytest.skip(f"shared data is absent: {name} (set JOULELOOP_SHARED to its folder)")
    return path
