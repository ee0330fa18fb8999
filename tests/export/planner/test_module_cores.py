"""The whole sampler as a module on emulated cores: every core has the bits of the specification."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np
import pytest

import device_profiles
from edge_runtime.planner.request import HEAD, TAIL
from edge_runtime.wire.bundle import PIPELINE_GOLDEN
from edge_runtime.wire.image import parse_image
from export.pipeline import ExportOptions, export_model
from tests.export.bare_metal import run_module
from tests.hil_tests.planner_checkpoint import write_planner

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

pytestmark = pytest.mark.qemu

BAD_BOUNDS = -2


def _crossed(row: NDArray[np.int8]) -> NDArray[np.int8]:
    """The same request with the first node's storage_min above every storage_max."""
    broken = row.copy()
    broken[HEAD.size : HEAD.size + 4] = np.frombuffer(np.float32(1e9).tobytes(), np.int8)
    return broken


# microbit-v1 is Armv6-M: neither Thumb-2 nor unaligned words, and 16 KiB of RAM for everything.
@pytest.mark.parametrize("device", ["microbit-v1", "mps2-an385", "mps2-an505", "corstone-300"])
def test_a_core_draws_what_the_specification_draws(device: str, tmp_path: Path) -> None:
    write_planner(tmp_path / "planner", 5, 7)
    profile = device_profiles.load(device)
    options = ExportOptions(steps=4)
    bundle = export_model(tmp_path / "planner", profile, options)
    with np.load(io.BytesIO(bundle.file(PIPELINE_GOLDEN))) as golden:
        asked, wanted = golden["inputs"], golden["outputs"]
    module = parse_image(bundle.native).payload
    rows = np.concatenate([asked, _crossed(asked[0])[None]])
    drawn = run_module(module, profile.core.name, rows, wanted.shape[1]).outputs
    np.testing.assert_array_equal(drawn[:-1], wanted)
    assert len(np.unique(drawn[:-1], axis=0)) == len(wanted)
    _, code = TAIL.unpack(drawn[-1].tobytes()[-TAIL.size :])
    assert code == BAD_BOUNDS
