"""Layers of random shapes and scales, each held to the reference; guards around every buffer."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from export.graph import Rounding
from export.kernels.layer import Convolution, FullyConnected
from export.kernels.m55.kernel import m55_kernel
from tests.export.kernels import layers, reference
from tests.export.kernels_m55.bench import Case, run_cases

pytestmark = pytest.mark.qemu

COUNT = 40


def random_layer(random: np.random.Generator, name: str) -> FullyConnected | Convolution:
    zero_point = int(random.integers(-128, 128))
    options: dict[str, Any] = {
        "input_zero_point": int(random.integers(-128, 128)),
        "rounding": list(Rounding)[random.integers(2)],
        "power_of_two": bool(random.integers(2)),
        "per_channel": bool(random.integers(2)),
        "zero_point": zero_point,
        "minimum": [-128, zero_point, max(-128, zero_point - 30)][random.integers(3)],
        "maximum": [127, min(127, zero_point + 60)][random.integers(2)],
    }
    kind = random.integers(3)
    if kind == 0:
        inputs, outputs = int(random.integers(1, 300)), int(random.integers(1, 40))
        rows = int(random.choice([1, 1, 2, 3, 7]))
        return layers.fully_connected(random, name, inputs, outputs, rows=rows, **options)
    is_depthwise = bool(kind == 2)
    channels = int(random.choice([1, 3, 7, 16, 20, 32, 64]))
    outputs = channels * int(random.integers(1, 3)) if is_depthwise else int(random.integers(1, 40))
    kernel = int(random.integers(1, 6)), int(random.integers(1, 6))
    # Large enough for any of these kernels without padding.
    shape = int(random.integers(9, 14)), int(random.integers(9, 30)), channels
    return layers.convolution(
        random,
        name,
        shape,
        outputs,
        kernel,
        stride=(int(random.integers(1, 4)), int(random.integers(1, 4))),
        dilation=(int(random.integers(1, 3)), int(random.integers(1, 3))),
        is_same=bool(random.integers(2)),
        is_depthwise=is_depthwise,
        **options,
    )


def expected(layer: FullyConnected | Convolution, row: NDArray[np.int8]) -> NDArray[np.int8]:
    if isinstance(layer, FullyConnected):
        return reference.fully_connected(layer, row)
    return reference.convolution(layer, row)


@pytest.mark.parametrize("seed", [11, 12])
def test_random_layers_are_exact(tmp_path: Path, seed: int) -> None:
    random = np.random.default_rng(seed)
    made = [random_layer(random, f"layer_{number}") for number in range(COUNT)]
    cases = []
    for layer in made:
        if isinstance(layer, FullyConnected):
            outputs, inputs = (layer.rows * size for size in layer.weights.shape)
        else:
            inputs, outputs = (int(np.prod(s)) for s in (layer.input_shape, layer.output_shape))
        code = m55_kernel(layer, column_bytes=int(random.choice([0, 500, 8192])))
        rows = layers.test_rows(random, 1, inputs)[:2]
        cases.append(Case(code, rows, outputs, code.runs_in_place and bool(random.integers(2))))

    for layer, case, outcome in zip(made, cases, run_cases(tmp_path, cases), strict=True):
        wanted = np.stack([expected(layer, row) for row in case.rows])
        np.testing.assert_array_equal(outcome.outputs, wanted, f"{layer.name}: {case.code.note}")
