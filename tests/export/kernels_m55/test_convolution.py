from pathlib import Path
from typing import Any

import numpy as np
import pytest

from export.graph import Rounding
from export.kernels.layer import Convolution
from export.kernels.m55.convolution import convolution, rows_of_vectors
from tests.export.kernels import layers, reference
from tests.export.kernels_m55.bench import Case, run_cases

pytestmark = pytest.mark.qemu

# input, outputs, kernel, options: each line a path through the emitter.
SHAPES: list[tuple[tuple[int, int, int], int, tuple[int, int], dict[str, Any]]] = [
    ((5, 5, 64), 64, (1, 1), {}),
    ((2, 1, 16), 4, (1, 1), {}),
    ((3, 3, 5), 3, (1, 1), {}),
    ((3, 2, 24), 1, (1, 1), {}),
    ((2, 4, 36), 6, (1, 1), {}),
    ((3, 3, 127), 2, (1, 1), {}),
    ((3, 3, 128), 9, (1, 1), {}),
    ((2, 3, 160), 7, (1, 1), {}),
    ((1, 3, 145), 5, (1, 1), {}),
    ((1, 1, 40), 5, (1, 1), {}),
    ((6, 7, 8), 8, (1, 1), {"stride": (2, 2)}),
    ((12, 10, 1), 16, (10, 4), {"stride": (2, 2)}),
    ((9, 9, 3), 8, (3, 3), {"stride": (2, 2)}),
    ((7, 6, 16), 5, (3, 3), {}),
    ((5, 5, 20), 4, (3, 3), {"is_same": False}),
    ((40, 40, 3), 4, (3, 3), {"stride": (2, 2)}),
    ((6, 100, 3), 4, (3, 3), {}),
    ((9, 9, 4), 6, (3, 3), {"dilation": (2, 3)}),
    ((5, 1, 8), 6, (5, 1), {"is_same": False}),
    ((5, 5, 8), 6, (3, 3), {"is_same": False, "stride": (3, 3)}),
    ((4, 4, 32), 6, (5, 5), {}),
    ((9, 1, 6), 6, (3, 1), {}),
]


def made(random: np.random.Generator, rounding: Rounding) -> list[Convolution]:
    result = []
    for number, (shape, outputs, kernel, options) in enumerate(SHAPES):
        zero_point = int(random.integers(-128, 128))
        result.append(
            layers.convolution(
                random,
                f"conv_{number}",
                shape,
                outputs,
                kernel,
                input_zero_point=int(random.integers(-128, 128)),
                rounding=rounding,
                power_of_two=number % 2 == 0,
                zero_point=zero_point,
                minimum=[-128, zero_point, min(zero_point, 20)][number % 3],
                maximum=[127, max(zero_point, 90)][number % 2],
                **options,
            )
        )
    return result


@pytest.mark.parametrize("rounding", list(Rounding))
def test_every_shape_equals_the_reference(tmp_path: Path, rounding: Rounding) -> None:
    random = np.random.default_rng(2)
    chosen = made(random, rounding)
    cases = [
        Case(
            convolution(layer, column_bytes=1024),
            layers.test_rows(random, 1, int(np.prod(layer.input_shape))),
            int(np.prod(layer.output_shape)),
        )
        for layer in chosen
    ]

    for layer, case, outcome in zip(chosen, cases, run_cases(tmp_path, cases), strict=True):
        expected = np.stack([reference.convolution(layer, row) for row in case.rows])
        np.testing.assert_array_equal(outcome.outputs, expected, layer.name)
        assert outcome.instructions[0] == pytest.approx(case.code.instructions, rel=0.1, abs=60)


def test_several_vectors_through_one_fully_connected_layer(tmp_path: Path) -> None:
    random = np.random.default_rng(3)
    layer = layers.fully_connected(random, "rows", 33, 10, input_zero_point=-7, rows=5)
    rows = layers.test_rows(random, 2, 165)

    [outcome] = run_cases(tmp_path, [Case(rows_of_vectors(layer), rows, 50)])

    expected = np.stack([reference.fully_connected(layer, row) for row in rows])
    np.testing.assert_array_equal(outcome.outputs, expected)
