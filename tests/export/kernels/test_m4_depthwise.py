"""Depthwise kernels of the DSP class: exact, inside their buffers, in place, fast enough."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from export.graph import Rounding
from export.kernels.layer import Convolution, KernelCode
from export.kernels.m4.depthwise import depthwise
from tests.export.kernels import layers, reference
from tests.export.kernels.board import M4, Case, run_cases

pytestmark = pytest.mark.qemu

STRIDE_2: dict[str, Any] = {"stride": (2, 2)}
VALID: dict[str, Any] = {"is_same": False}
SHAPES: tuple[tuple[tuple[int, int, int], dict[str, Any]], ...] = (
    # fewer rows or columns than taps; odd and even; channels in fours, and 1, 2, 3 more
    ((1, 1, 4), {}),
    ((2, 3, 7), {}),
    ((5, 4, 5), {}),
    ((4, 1, 6), {}),
    ((25, 5, 8), {}),
    # VALID, strides with padding on both sides, on one, on none
    ((3, 3, 4), VALID),
    ((8, 9, 4), VALID),
    ((6, 6, 8), STRIDE_2),
    ((7, 7, 6), STRIDE_2),
    ((7, 8, 4), STRIDE_2),
    ((9, 8, 4), VALID | STRIDE_2),
    ((8, 9, 4), VALID | STRIDE_2),
    # inner columns in a loop, every remainder of its four columns
    ((3, 20, 4), {}),
    ((4, 21, 4), {}),
    ((3, 22, 4), {}),
    ((4, 23, 5), {}),
    ((4, 20, 4), VALID),
    ((13, 22, 5), STRIDE_2),
    ((13, 23, 5), STRIDE_2),
    ((12, 24, 4), STRIDE_2),
    ((5, 25, 4), VALID | STRIDE_2),
    # offsets beyond an instruction's immediate
    ((3, 40, 100), {}),
    ((2, 300, 5), {}),
    ((200, 12, 4), {}),
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
    random = np.random.default_rng(40)
    made: list[Convolution] = []
    for index, (shape, rest) in enumerate(SHAPES):
        for place, (kind, scales) in enumerate(SCALES.items()):
            if (index + place) % 2:
                continue
            zero_point = (-128, 127, int(random.integers(-128, 128)))[(index + place // 2) % 3]
            layer = layers.convolution(
                random,
                f"layer{len(made)}",
                shape,
                shape[2],
                (3, 3),
                is_depthwise=True,
                input_zero_point=zero_point,
                **rest,
                **scales,
            )
            if kind == "relu":
                layer = replace(layer, requantisation=layers.relu(layer.requantisation))
            made.append(layer)
    return made


def _case(layer: Convolution, random: np.random.Generator, *, in_place: bool) -> Case:
    code = depthwise(layer)
    assert isinstance(code, KernelCode), code
    rows = layers.test_rows(random, 2, int(np.prod(layer.input_shape)))
    return Case(code, rows, int(np.prod(layer.output_shape)), in_place)


@pytest.mark.parametrize("in_place", [False, True])
def test_every_shape_and_scale_is_exact(tmp_path: Path, in_place: bool) -> None:
    random = np.random.default_rng(41)
    made = _layers()
    cases = [_case(layer, random, in_place=in_place) for layer in made]
    for layer, case, run in zip(made, cases, run_cases(M4, cases, tmp_path), strict=True):
        assert case.code.runs_in_place
        wanted = np.stack([reference.convolution(layer, row) for row in case.rows])
        np.testing.assert_array_equal(run.outputs, wanted, err_msg=f"{layer.name} {case.code.note}")
        assert run.instructions == pytest.approx(case.code.instructions, rel=0.1)


@pytest.mark.parametrize(
    ("shape", "stride", "per_product"),
    [((25, 5, 64), 1, 1.56), ((24, 24, 32), 1, 1.6), ((48, 48, 16), 2, 2.85)],
)
def test_instructions_per_product(
    tmp_path: Path, shape: tuple[int, int, int], stride: int, per_product: float
) -> None:
    random = np.random.default_rng(42)
    layer = layers.convolution(
        random, "layer", shape, shape[2], (3, 3), stride=(stride, stride), is_depthwise=True
    )
    layer = replace(layer, requantisation=replace(layer.requantisation, zero_point=-128))
    run = run_cases(M4, [_case(layer, random, in_place=False)], tmp_path)[0]
    products = layer.weights.size * layer.output_shape[0] * layer.output_shape[1]
    assert run.instructions / products <= per_product


@pytest.mark.parametrize(
    ("shape", "outputs", "kernel", "rest", "reason"),
    [
        ((6, 6, 4), 4, (5, 5), {}, "5x5"),
        ((6, 6, 4), 8, (3, 3), {}, "8 outputs"),
        ((6, 6, 3), 3, (3, 3), {}, "fewer than 4"),
        ((6, 6, 4), 4, (3, 3), {"stride": (1, 2)}, "stride"),
        ((6, 6, 4), 4, (3, 3), {"dilation": (2, 2)}, "dilation"),
        ((600, 4, 4), 4, (3, 3), {}, "LDRD"),
        ((4, 50, 90), 90, (3, 3), {}, "STRB"),
    ],
)
def test_what_the_scheme_does_not_serve_is_refused(
    shape: tuple[int, int, int],
    outputs: int,
    kernel: tuple[int, int],
    rest: dict[str, Any],
    reason: str,
) -> None:
    random = np.random.default_rng(43)
    layer = layers.convolution(random, "layer", shape, outputs, kernel, is_depthwise=True, **rest)
    assert reason in str(depthwise(layer))
