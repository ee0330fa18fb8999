from pathlib import Path

import numpy as np
import pytest

from export.graph import Rounding
from export.kernels.m55.fully_connected import fully_connected
from tests.export.kernels import layers, reference
from tests.export.kernels_m55.bench import Case, run_cases

pytestmark = pytest.mark.qemu

SHAPES = [(1, 1), (3, 2), (16, 8), (17, 5), (32, 64), (64, 8), (100, 12), (112, 9), (113, 16),
          (128, 30), (129, 3), (145, 8), (257, 11), (300, 17), (640, 24)]  # fmt: skip


@pytest.mark.parametrize("rounding", list(Rounding))
@pytest.mark.parametrize("per_channel", [False, True])
def test_every_shape_equals_the_reference(
    tmp_path: Path, rounding: Rounding, per_channel: bool
) -> None:
    random = np.random.default_rng(1)
    made = [
        layers.fully_connected(
            random,
            f"fc_{inputs}_{outputs}",
            inputs,
            outputs,
            input_zero_point=int(random.integers(-128, 128)),
            rounding=rounding,
            per_channel=per_channel,
            power_of_two=bool(random.integers(2)),
        )
        for inputs, outputs in SHAPES
    ]
    cases = [
        Case(
            fully_connected(layer),
            layers.test_rows(random, 3, layer.weights.shape[1]),
            layer.weights.shape[0],
        )
        for layer in made
    ]

    for layer, case, outcome in zip(made, cases, run_cases(tmp_path, cases), strict=True):
        expected = np.stack([reference.fully_connected(layer, row) for row in case.rows])
        np.testing.assert_array_equal(outcome.outputs, expected, layer.name)
        assert outcome.instructions[0] == pytest.approx(case.code.instructions, rel=0.03, abs=8)
