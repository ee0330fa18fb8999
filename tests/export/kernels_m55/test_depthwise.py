from pathlib import Path
from typing import Any

import numpy as np
import pytest

from export.graph import Rounding
from export.kernels.m55.depthwise import depthwise
from tests.export.kernels import layers, reference
from tests.export.kernels_m55.bench import Case, run_cases

pytestmark = pytest.mark.qemu

# input, outputs, kernel, options, in place: each line a path through the emitter.
SHAPES: list[tuple[tuple[int, int, int], int, tuple[int, int], dict[str, Any], bool]] = [
    ((25, 5, 8), 8, (3, 3), {}, True),
    ((4, 3, 5), 5, (3, 3), {}, False),
    ((5, 4, 3), 3, (3, 3), {"stride": (2, 1)}, True),
    ((6, 6, 4), 4, (3, 3), {}, True),
    ((7, 13, 3), 3, (3, 3), {}, True),
    ((9, 9, 4), 4, (3, 3), {"stride": (2, 2)}, True),
    ((24, 24, 2), 2, (3, 3), {}, True),
    ((48, 30, 2), 2, (3, 3), {"stride": (2, 2)}, False),
    ((8, 9, 3), 6, (3, 3), {}, False),
    ((5, 5, 1), 4, (3, 3), {"is_same": False}, False),
    ((9, 9, 3), 3, (3, 3), {"dilation": (2, 2)}, True),
    ((6, 1, 4), 4, (3, 1), {}, True),
    ((1, 40, 2), 2, (1, 5), {}, True),
    ((6, 6, 3), 3, (4, 4), {}, True),
    ((3, 3, 5), 5, (3, 3), {"is_same": False}, False),
    ((7, 7, 3), 3, (5, 5), {}, True),
    ((6, 9, 2), 4, (5, 5), {"stride": (2, 2)}, False),
    ((9, 20, 2), 2, (7, 7), {}, True),
    ((5, 3, 2), 2, (9, 1), {}, True),
    ((2, 30, 2), 2, (1, 17), {}, False),
    ((4, 130, 2), 2, (3, 3), {}, True),
    ((1, 1, 6), 6, (1, 1), {}, True),
    ((3, 5, 20), 20, (1, 1), {}, True),
]


@pytest.mark.parametrize("rounding", list(Rounding))
def test_every_shape_equals_the_reference(tmp_path: Path, rounding: Rounding) -> None:
    random = np.random.default_rng(4)
    chosen, cases = [], []
    for number, (shape, outputs, kernel, options, in_place) in enumerate(SHAPES):
        zero_point = int(random.integers(-128, 128))
        layer = layers.convolution(
            random,
            f"depthwise_{number}",
            shape,
            outputs,
            kernel,
            is_depthwise=True,
            input_zero_point=int(random.integers(-128, 128)),
            rounding=rounding,
            power_of_two=number % 2 == 0,
            zero_point=zero_point,
            minimum=[-128, zero_point, min(zero_point, 20)][number % 3],
            maximum=[127, max(zero_point, 90)][number % 2],
            **options,
        )
        code = depthwise(layer)
        assert code.runs_in_place or not in_place, layer.name
        rows = layers.test_rows(random, 1, int(np.prod(shape)))
        chosen.append(layer)
        cases.append(Case(code, rows, int(np.prod(layer.output_shape)), in_place))

    for layer, case, outcome in zip(chosen, cases, run_cases(tmp_path, cases), strict=True):
        expected = np.stack([reference.convolution(layer, row) for row in case.rows])
        np.testing.assert_array_equal(outcome.outputs, expected, layer.name)
        if "because" not in case.code.note:
            assert outcome.instructions[0] == pytest.approx(case.code.instructions, rel=0.1, abs=60)
