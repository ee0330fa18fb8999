"""Convolution kernels of the DSP class: exact, inside their buffers, as fast as promised."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from export.graph import Rounding
from export.kernels.layer import Convolution, KernelCode
from export.kernels.m4.convolution import convolution
from tests.export.kernels import layers, reference
from tests.export.kernels.board import M4, Case, Run, run_cases

pytestmark = pytest.mark.qemu

# input shape, outputs, kernel, the rest
SHAPES: tuple[tuple[tuple[int, int, int], int, tuple[int, int], dict[str, Any]], ...] = (
    # 1×1: one, two, three, four positions; tails of channels; odd rows; strides
    ((1, 1, 7), 2, (1, 1), {}),
    ((1, 1, 1), 1, (1, 1), {}),
    ((1, 2, 7), 3, (1, 1), {}),
    ((3, 1, 16), 5, (1, 1), {}),
    ((2, 2, 3), 1, (1, 1), {}),
    ((3, 3, 8), 5, (1, 1), {}),
    ((5, 5, 19), 6, (1, 1), {}),
    ((9, 9, 16), 8, (1, 1), {"stride": (2, 2)}),
    ((4, 7, 66), 4, (1, 1), {}),
    ((5, 3, 200), 3, (1, 1), {}),
    # windows: padding on every side, wide and narrow rows, strides, dilation, a body that repeats
    ((49, 10, 1), 8, (10, 4), {"stride": (2, 2)}),
    ((7, 6, 5), 4, (3, 3), {"dilation": (2, 2)}),
    ((7, 6, 5), 4, (3, 3), {"is_same": False, "stride": (2, 1)}),
    ((5, 5, 33), 7, (2, 5), {}),
    ((3, 4, 43), 3, (2, 2), {}),
    ((12, 12, 3), 8, (3, 3), {"stride": (2, 2)}),
    ((2, 2, 3), 4, (5, 5), {}),
    # images too large to be padded as a whole; taps of few and of many bytes
    ((20, 20, 3), 3, (3, 3), {}),
    ((18, 20, 4), 2, (3, 2), {"dilation": (2, 2)}),
    ((9, 14, 20), 2, (3, 3), {"stride": (2, 2)}),
    ((6, 1, 20), 2, (3, 1), {"dilation": (2, 1)}),
    ((1, 30, 4), 3, (1, 9), {"stride": (1, 3)}),
)
SCALES: dict[str, dict[str, Any]] = {
    "linear": {},
    "single": {"rounding": Rounding.SINGLE, "per_channel": False},
    "relu": {},
    "ties": {"power_of_two": True},
    "wide": {"scale_octaves": 7.5},
    "narrow clamp": {"minimum": -100, "maximum": 31},
}


def _layers() -> list[Convolution]:
    random = np.random.default_rng(30)
    made: list[Convolution] = []
    for index, (shape, outputs, kernel, rest) in enumerate(SHAPES):
        for place, (kind, scales) in enumerate(SCALES.items()):
            zero_point = (-128, 127, int(random.integers(-128, 128)))[(index + place) % 3]
            layer = layers.convolution(
                random,
                f"layer{len(made)}",
                shape,
                outputs,
                kernel,
                input_zero_point=zero_point,
                **rest,
                **scales,
            )
            if kind == "relu":
                layer = replace(layer, requantisation=layers.relu(layer.requantisation))
            made.append(layer)
    return made


def _code(layer: Convolution) -> KernelCode:
    code = convolution(layer)
    assert isinstance(code, KernelCode), code
    return code


def _case(layer: Convolution, random: np.random.Generator, *, in_place: bool = False) -> Case:
    code = _code(layer)
    rows = layers.test_rows(random, 2, int(np.prod(layer.input_shape)))
    return Case(code, rows, int(np.prod(layer.output_shape)), in_place)


def _check(layer: Convolution, case: Case, run: Run) -> None:
    wanted = np.stack([reference.convolution(layer, row) for row in case.rows])
    np.testing.assert_array_equal(run.outputs, wanted, err_msg=f"{layer.name} {case.code.note}")


def test_every_shape_and_scale_is_exact(tmp_path: Path) -> None:
    random = np.random.default_rng(31)
    made = _layers()
    cases = [_case(layer, random) for layer in made]
    for layer, case, run in zip(made, cases, run_cases(M4, cases, tmp_path), strict=True):
        _check(layer, case, run)
        assert run.instructions == pytest.approx(case.code.instructions, rel=0.2, abs=100)


def test_a_pointwise_layer_runs_in_place(tmp_path: Path) -> None:
    random = np.random.default_rng(32)
    made = [
        layers.convolution(random, f"layer{index}", shape, outputs, (1, 1))
        for index, (shape, outputs) in enumerate(
            [((5, 5, 16), 16), ((4, 5, 16), 16), ((3, 3, 9), 4), ((7, 2, 12), 1)]
        )
    ]
    cases = [_case(layer, random, in_place=True) for layer in made]
    for layer, case, run in zip(made, cases, run_cases(M4, cases, tmp_path), strict=True):
        assert case.code.runs_in_place
        _check(layer, case, run)
    assert not _code(layers.convolution(random, "layer", (5, 5, 8), 9, (1, 1))).runs_in_place
    assert not _code(layers.convolution(random, "layer", (5, 5, 8), 8, (3, 3))).runs_in_place


@pytest.mark.parametrize(
    ("shape", "outputs", "kernel", "stride", "per_product"),
    [
        ((25, 5, 64), 64, (1, 1), (1, 1), 0.815),
        ((6, 6, 128), 128, (1, 1), (1, 1), 0.77),
        ((49, 10, 1), 64, (10, 4), (2, 2), 0.9),
        ((8, 8, 64), 64, (3, 3), (1, 1), 0.77),
    ],
)
def test_instructions_per_product(
    tmp_path: Path,
    shape: tuple[int, int, int],
    outputs: int,
    kernel: tuple[int, int],
    stride: tuple[int, int],
    per_product: float,
) -> None:
    random = np.random.default_rng(33)
    layer = layers.convolution(random, "layer", shape, outputs, kernel, stride=stride)
    layer = replace(
        layer, requantisation=layers.relu(replace(layer.requantisation, zero_point=-128))
    )
    run = run_cases(M4, [_case(layer, random)], tmp_path)[0]
    products = layer.weights.size * layer.output_shape[0] * layer.output_shape[1]
    assert run.instructions / products <= per_product


def test_what_cannot_be_proven_is_refused_with_its_bound() -> None:
    random = np.random.default_rng(34)
    layer = layers.convolution(random, "layer", (4, 4, 4), 4, (3, 3))
    large = convolution(replace(layer, bias=layer.bias + (1 << 24)))
    assert isinstance(large, str)
    assert "2^23" in large
    heavy = convolution(replace(layer, weights=np.full_like(layer.weights, -128)))
    assert isinstance(heavy, str)
    assert "-128" in heavy
