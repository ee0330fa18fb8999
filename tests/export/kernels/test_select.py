"""Which kernel a layer gets, and what layers share, on every core of the DSP class."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from device_profiles.core import KernelClass
from export.kernels.layer import Convolution, FullyConnected, KernelCode
from export.kernels.select import select_kernels
from tests.export.kernels import layers, reference
from tests.export.kernels.board import M4, M7, M33, Board, Case, run_cases, text_bytes

pytestmark = pytest.mark.qemu

Layer = FullyConnected | Convolution


def _mixture() -> list[Layer]:
    random = np.random.default_rng(50)
    made: list[Layer] = [
        layers.convolution(random, "first", (12, 10, 1), 8, (4, 4), stride=(2, 2)),
        layers.convolution(random, "middle", (6, 5, 8), 8, (3, 3), is_depthwise=True),
        layers.convolution(random, "pointwise", (6, 5, 8), 12, (1, 1)),
        layers.convolution(random, "whole", (6, 5, 12), 7, (6, 5), is_same=False),
        layers.convolution(random, "spread", (9, 9, 1), 6, (3, 3), is_depthwise=True),
        layers.fully_connected(random, "scores", 84, 6, power_of_two=True),
    ]
    return made


def _case(layer: Layer, code: KernelCode, random: np.random.Generator) -> Case:
    if isinstance(layer, FullyConnected):
        outputs, inputs = layer.weights.shape
    else:
        inputs, outputs = int(np.prod(layer.input_shape)), int(np.prod(layer.output_shape))
    return Case(code, layers.test_rows(random, 2, inputs), outputs)


@pytest.mark.parametrize("board", [M4, M7, M33], ids=lambda board: board.cpu)
def test_every_core_of_the_class_computes_the_same(tmp_path: Path, board: Board) -> None:
    random = np.random.default_rng(51)
    made = _mixture()
    cases = []
    for layer, code in zip(made, select_kernels(made, KernelClass.DSP), strict=True):
        cases.append(_case(layer, code, random))
    for layer, case, run in zip(made, cases, run_cases(board, cases, tmp_path), strict=True):
        wanted = np.stack([reference.run(layer, row) for row in case.rows])
        np.testing.assert_array_equal(run.outputs, wanted, err_msg=layer.name)


def test_a_window_that_is_the_whole_image_is_fully_connected() -> None:
    made = _mixture()
    code = select_kernels(made, KernelClass.DSP)[3]
    assert "inner product" in code.note


def test_layers_take_as_few_shifts_as_their_channels_allow() -> None:
    random = np.random.default_rng(52)
    made: list[Layer] = []
    for index, shift in enumerate((-5, -9, -6, -14, -15)):
        layer = layers.fully_connected(random, f"layer{index}", 64, 8, zero_point=-128)
        rule = replace(layer.requantisation, shift=np.full(8, shift, np.int32))
        made.append(replace(layer, requantisation=rule))
    symbols = set()
    for code in select_kernels(made, KernelClass.DSP):
        symbols |= {routine.symbol for routine in code.routines}
    assert len(symbols) == 1 + 2  # the widening, and cores for shifts 5..9 and 14..15


def test_a_layer_that_cannot_be_proven_runs_in_plain_c_and_says_why(tmp_path: Path) -> None:
    random = np.random.default_rng(53)
    made = _mixture()
    last = made[-1]
    made[-1] = replace(last, bias=last.bias + (1 << 24))
    *rest, plain = select_kernels(made, KernelClass.DSP)
    assert "2^23" in plain.note
    assert all(code.routines for code in rest)
    case = _case(made[-1], plain, random)
    run = run_cases(M4, [case], tmp_path)[0]
    wanted = np.stack([reference.run(made[-1], row) for row in case.rows])
    np.testing.assert_array_equal(run.outputs, wanted)


def test_code_stays_small(tmp_path: Path) -> None:
    layer = _mixture()[1]
    code = select_kernels([layer], KernelClass.DSP)[0]
    assert text_bytes(M4, code, tmp_path) - code.weights_bytes <= 1900
