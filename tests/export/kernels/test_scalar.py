"""Plain C kernels: exact for every layer, also where the faster classes refuse."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from export.graph import Rounding
from export.kernels.layer import Convolution, FullyConnected
from export.kernels.scalar.select import scalar_kernel
from tests.export.kernels import layers, reference
from tests.export.kernels.board import M0PLUS, M3, Board, Case, run_cases

pytestmark = pytest.mark.qemu

Layer = FullyConnected | Convolution
Shape = tuple[tuple[int, int, int], int, tuple[int, int], dict[str, Any]]
CONVOLUTIONS: tuple[Shape, ...] = (
    ((5, 4, 3), 6, (1, 1), {"stride": (2, 1)}),
    ((7, 6, 2), 5, (3, 2), {"dilation": (2, 1)}),
    ((6, 6, 3), 4, (5, 5), {"stride": (2, 2)}),
)
DEPTHWISE: tuple[Shape, ...] = (
    ((6, 5, 4), 4, (3, 3), {}),
    ((6, 6, 3), 6, (3, 3), {"stride": (2, 2)}),
    ((4, 9, 2), 2, (2, 5), {"dilation": (1, 2)}),
    ((8, 8, 2), 2, (6, 5), {"stride": (3, 2)}),
)
SCALES: dict[str, dict[str, Any]] = {
    "linear": {},
    "single": {"rounding": Rounding.SINGLE},
    "ties": {"power_of_two": True},
    "clamp": {"minimum": -100, "maximum": 31, "per_channel": False},
}


def _ordinary() -> list[Layer]:
    random = np.random.default_rng(60)
    made: list[Layer] = []
    for place, scales in enumerate(SCALES.values()):
        rest = scales | {"input_zero_point": (-128, 127, 0, -13)[place]}

        def name() -> str:
            return f"layer{len(made)}"

        for inputs, outputs in ((1, 1), (7, 5), (64, 8), (33, 11)):
            made.append(layers.fully_connected(random, name(), inputs, outputs, rows=2, **rest))
        for is_depthwise, shapes in ((False, CONVOLUTIONS), (True, DEPTHWISE)):
            for shape, outputs, kernel, more in shapes:
                every = more | rest | {"is_depthwise": is_depthwise}
                made.append(layers.convolution(random, name(), shape, outputs, kernel, **every))
    return made


def _extreme() -> list[Layer]:
    """Layers whose bounds fail: no short cut may be taken."""
    random = np.random.default_rng(61)
    made: list[Layer] = []
    for rounding in Rounding:
        layer = layers.fully_connected(
            random, f"layer{len(made)}", 9, 12, input_zero_point=-128, rounding=rounding
        )
        multiplier = random.integers(1 << 30, 1 << 31, 12).astype(np.int32)
        shift = np.array([-31, -30, -20, -9, -1, 0, 1, 3, 8, 15, 30, -8], np.int32)
        bias = random.integers(-(2**31) + 400000, 2**31 - 400000, 12).astype(np.int32)
        bias[6:] = random.integers(-50, 50, 6)
        rule = replace(layer.requantisation, multiplier=multiplier, shift=shift)
        weights = layer.weights.copy()
        weights[::2] = -128
        made.append(replace(layer, weights=weights, bias=bias, requantisation=rule))
        dead = replace(rule, multiplier=np.zeros(12, np.int32), shift=np.zeros(12, np.int32))
        made.append(replace(layer, name=f"layer{len(made)}", requantisation=dead))
    return made


@pytest.mark.parametrize("board", [M3, M0PLUS], ids=lambda board: board.cpu)
@pytest.mark.parametrize("make", [_ordinary, _extreme])
def test_every_layer_is_exact(tmp_path: Path, board: Board, make: Any) -> None:
    random = np.random.default_rng(62)
    made: list[Layer] = make()
    cases = []
    for layer in made:
        if isinstance(layer, FullyConnected):
            outputs, inputs = (size * layer.rows for size in layer.weights.shape)
        else:
            inputs, outputs = int(np.prod(layer.input_shape)), int(np.prod(layer.output_shape))
        cases.append(Case(scalar_kernel(layer), layers.test_rows(random, 4, inputs), outputs))
    for layer, case, run in zip(made, cases, run_cases(board, cases, tmp_path), strict=True):
        wanted = np.stack([reference.run(layer, row) for row in case.rows])
        np.testing.assert_array_equal(run.outputs, wanted, err_msg=f"{layer.name} {case.code.note}")


@pytest.mark.parametrize(
    ("shape", "outputs", "kernel", "per_product"),
    [((6, 6, 64), 64, (1, 1), 3.0), ((8, 8, 16), 16, (3, 3), 3.1)],
)
def test_instructions_per_product(
    tmp_path: Path,
    shape: tuple[int, int, int],
    outputs: int,
    kernel: tuple[int, int],
    per_product: float,
) -> None:
    random = np.random.default_rng(63)
    layer = layers.convolution(random, "layer", shape, outputs, kernel)
    rows = layers.test_rows(random, 1, int(np.prod(shape)))
    case = Case(scalar_kernel(layer), rows, int(np.prod(layer.output_shape)))
    run = run_cases(M3, [case], tmp_path)[0]
    products = layer.weights.size * layer.output_shape[0] * layer.output_shape[1]
    assert run.instructions / products <= per_product
