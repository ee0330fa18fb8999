"""Fully connected kernels of the DSP class: exact, inside their buffers, as fast as promised."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from export.graph import Rounding
from export.kernels.layer import FullyConnected, KernelCode
from export.kernels.m4.fully_connected import fully_connected
from tests.export.kernels import layers, reference
from tests.export.kernels.board import M4, Case, run_cases

pytestmark = pytest.mark.qemu

# Whole blocks, tails of rows (1, 2, 3), of inputs (1..7), bodies that repeat, are entered midway.
SHAPES = (
    *((1, 1), (1, 5), (3, 2), (5, 3), (7, 5), (8, 4), (9, 7), (16, 1), (33, 11), (64, 6)),
    *((72, 4), (96, 4), (100, 6), (104, 9), (128, 8), (136, 4), (200, 3), (640, 2), (3000, 5)),
)
SCALES: dict[str, dict[str, Any]] = {
    "one scale, linear": {"per_channel": False},
    "linear": {},
    "single": {"rounding": Rounding.SINGLE},
    "one scale, single": {"rounding": Rounding.SINGLE, "per_channel": False},
    "ties": {"power_of_two": True},
    "one scale, ties": {"power_of_two": True, "per_channel": False},
    "low clamp": {"minimum": -77},
    "high clamp": {"maximum": 50},
    "narrow clamp": {"minimum": -20, "maximum": 31, "per_channel": False},
    "wide": {"scale_octaves": 9.0},
    "wide, single": {"scale_octaves": 9.0, "rounding": Rounding.SINGLE},
    "one value": {"minimum": 5, "maximum": 5},
}
RELU = {"ties", "one scale, ties", "linear", "one scale, linear"}


def _layers() -> list[FullyConnected]:
    random = np.random.default_rng(20)
    made: list[FullyConnected] = []
    for index, (inputs, outputs) in enumerate(SHAPES):
        for place, (kind, scales) in enumerate(SCALES.items()):
            if (index + place) % 3:  # a third of the product meets every shape and every scale
                continue
            zero_point = (-128, 127, int(random.integers(-128, 128)))[place % 3]
            layer = layers.fully_connected(
                random,
                f"layer{len(made)}",
                inputs,
                outputs,
                input_zero_point=zero_point,
                rows=1 + (index + place) % 2,
                **scales,
            )
            if kind in RELU and place % 2:
                layer = replace(layer, requantisation=layers.relu(layer.requantisation))
            made.append(layer)
    return made


def _code(
    layer: FullyConnected, common_shift: int | None = None, *, widens: bool = True
) -> KernelCode:
    code = fully_connected(layer, common_shift=common_shift, widens=widens)
    assert isinstance(code, KernelCode), code
    return code


@pytest.mark.parametrize("widens", [True, False])
def test_every_shape_and_scale_is_exact(tmp_path: Path, *, widens: bool) -> None:
    random = np.random.default_rng(21)
    made = _layers()
    cases = []
    for layer in made:
        outputs, inputs = layer.weights.shape
        rows = layers.test_rows(random, 6, layer.rows * inputs)
        cases.append(Case(_code(layer, widens=widens), rows, layer.rows * outputs))
    runs = run_cases(M4, cases, tmp_path)
    for layer, case, run in zip(made, cases, runs, strict=True):
        wanted = np.stack([reference.fully_connected(layer, row) for row in case.rows])
        np.testing.assert_array_equal(run.outputs, wanted, err_msg=f"{layer.name} {case.code.note}")
        assert run.instructions == pytest.approx(case.code.instructions, rel=0.1, abs=60)


@pytest.mark.parametrize(
    ("inputs", "outputs", "per_product", "per_product_of_bytes"),
    [
        (640, 128, 0.76, 0.92),
        (128, 128, 0.82, 0.96),
        (64, 64, 0.88, 1.02),
        (32, 64, 1.0, 1.16),
        (128, 640, 0.81, 0.96),
    ],
)
def test_instructions_per_product(
    tmp_path: Path, inputs: int, outputs: int, per_product: float, per_product_of_bytes: float
) -> None:
    random = np.random.default_rng(22)
    layer = layers.fully_connected(
        random, "layer", inputs, outputs, per_channel=False, zero_point=-128, input_zero_point=-128
    )
    rows = layers.test_rows(random, 1, inputs)
    run = run_cases(M4, [Case(_code(layer), rows, outputs)], tmp_path)[0]
    assert run.instructions / (inputs * outputs) <= per_product
    without_scratch = _code(layer, widens=False)
    assert without_scratch.scratch_bytes == 0
    run = run_cases(M4, [Case(without_scratch, rows, outputs)], tmp_path)[0]
    assert run.instructions / (inputs * outputs) <= per_product_of_bytes


def _square(weight: int, *, bias: int = 0, shift: int = -5) -> FullyConnected:
    """8 × 8, all weights and scales alike."""
    random = np.random.default_rng(23)
    layer = layers.fully_connected(random, "layer", 8, 8, per_channel=False)
    rule = replace(layer.requantisation, shift=np.full(8, shift, np.int32))
    return replace(
        layer,
        weights=np.full((8, 8), weight, np.int8),
        bias=np.full(8, bias, np.int32),
        requantisation=rule,
    )


def _refusal(layer: FullyConnected) -> str:
    refusal = fully_connected(layer)
    assert isinstance(refusal, str), refusal.note
    return refusal


def test_what_cannot_be_proven_is_refused_with_its_bound() -> None:
    assert "2^23" in _refusal(_square(1, bias=1 << 23))
    assert "-128" in _refusal(_square(-128))
    assert "SSAT" in _refusal(_square(1, shift=-31))
    wide = _square(1)
    shifts = np.array([-30, 10] * 4, np.int32)
    wide = replace(wide, requantisation=replace(wide.requantisation, shift=shifts))
    assert "differ" in _refusal(wide)


@pytest.mark.parametrize("sign", [1, -1])
def test_the_largest_sum_that_is_packed_is_exact_and_the_next_is_refused(
    tmp_path: Path, sign: int
) -> None:
    largest = (1 << 23) - 1
    bias = sign * (largest - 8 * 255)
    layer = replace(_square(sign, bias=bias, shift=-15), input_zero_point=-128)
    rows = layers.test_rows(np.random.default_rng(26), 20, 8)
    run = run_cases(M4, [Case(_code(layer), rows, 8)], tmp_path)[0]
    wanted = np.stack([reference.fully_connected(layer, row) for row in rows])
    np.testing.assert_array_equal(run.outputs, wanted)
    assert "2^23" in _refusal(replace(layer, bias=layer.bias + sign))


def test_ties_show_one_step_below_a_relu(tmp_path: Path) -> None:
    random = np.random.default_rng(27)
    layer = layers.fully_connected(random, "layer", 4, 40, power_of_two=True, zero_point=-100)
    rule = replace(layer.requantisation, minimum=-101, multiplier=np.full(40, 1 << 30, np.int32))
    # sums of about one output step, so that -1/2 occurs
    rule = replace(rule, shift=np.full(40, -7, np.int32))
    layer = replace(layer, weights=np.sign(layer.weights), bias=0 * layer.bias, requantisation=rule)
    rows = random.integers(-128, 128, (200, 4)).astype(np.int8)
    run = run_cases(M4, [Case(_code(layer), rows, 40)], tmp_path)[0]
    wanted = np.stack([reference.fully_connected(layer, row) for row in rows])
    np.testing.assert_array_equal(run.outputs, wanted)


def test_a_weight_of_minus_128_is_packed_where_it_fits() -> None:
    layer = _square(3)
    layer.weights[0, :] = -128  # a low row may hold it
    layer.weights[3, :] = -128  # a high row too, above weights that are not negative
    assert isinstance(fully_connected(layer), KernelCode)


def test_layers_share_their_core_under_a_common_shift() -> None:
    random = np.random.default_rng(24)
    codes = []
    for index in range(3):
        layer = layers.fully_connected(random, f"layer{index}", 64, 8, zero_point=-128)
        rule = replace(layer.requantisation, shift=np.full(8, -5, np.int32) - index, minimum=-128)
        codes.append(_code(replace(layer, requantisation=rule), common_shift=9))
    assert len({routine.symbol for code in codes for routine in code.routines}) == 2


def test_equal_layers_give_equal_text() -> None:
    first, second = (
        _code(layers.fully_connected(np.random.default_rng(25), "layer", 64, 9)) for _ in range(2)
    )
    assert first == second
