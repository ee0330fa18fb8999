"""Every accumulator against every scale: weights of zero make the bias the accumulator."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from export.graph import Rounding
from export.kernels.layer import Convolution, FullyConnected, Requantisation
from export.kernels.m55.kernel import m55_kernel
from export.kernels.m55.scaling import plan_scaling
from tests.export.kernels import reference
from tests.export.kernels_m55.bench import Case, run_cases

CHANNELS = 480
Maker = Callable[[str, NDArray[np.int32], Requantisation], FullyConnected | Convolution]
EXTREMES = [-(2**31), -(2**31) + 1, -1, 0, 1, 2**31 - 1]


def accumulators(random: np.random.Generator, shift: NDArray[np.int32]) -> NDArray[np.int32]:
    """Values near int8 after scaling, half of them near a tie; then extremes."""
    steps = random.integers(-200, 200, CHANNELS) + random.choice([0, 0.5], CHANNELS)
    value = steps * 2.0 ** -np.minimum(shift, 0) + random.integers(-2, 3, CHANNELS)
    value[: len(EXTREMES) * 5] = np.repeat(EXTREMES, 5)
    clipped: NDArray[np.int32] = np.clip(value, -(2**31), 2**31 - 1).astype(np.int32)
    return clipped


def rule(
    random: np.random.Generator, rounding: Rounding, shifts: tuple[int, int], clamps: str
) -> Requantisation:
    multiplier = random.choice(
        [0, 2**30, 2**30 + 1, 2**31 - 1, 1518500250], CHANNELS, p=[0.04, 0.4, 0.16, 0.2, 0.2]
    )
    shift = random.integers(shifts[0], shifts[1] + 1, CHANNELS).astype(np.int32)
    zero_point = -128 if clamps == "relu" else int(random.integers(-100, 100))
    low, high = {
        "none": (-128, 127),
        "relu": (-128, 127),
        "both": (zero_point - 20, zero_point + 25),
    }[clamps]
    return Requantisation(multiplier.astype(np.int32), shift, zero_point, low, high, rounding)


def as_fully_connected(name: str, bias: NDArray[np.int32], how: Requantisation) -> FullyConnected:
    return FullyConnected(name, np.zeros((CHANNELS, 1), np.int8), bias, 5, how)


def as_convolution(name: str, bias: NDArray[np.int32], how: Requantisation) -> Convolution:
    weights = np.zeros((CHANNELS, 1, 1, 4), np.int8)
    shape = (1, 2, 4), (1, 2, CHANNELS)
    return Convolution(name, *shape, (1, 1), (1, 1), (0, 0), weights, bias, 5, how)


def as_depthwise(name: str, bias: NDArray[np.int32], how: Requantisation) -> Convolution:
    weights = np.zeros((1, 1, CHANNELS), np.int8)
    shape = (1, 2, CHANNELS), (1, 2, CHANNELS)
    return Convolution(name, *shape, (1, 1), (1, 1), (0, 0), weights, bias, 5, how, True)


@pytest.mark.qemu
@pytest.mark.parametrize("make", [as_fully_connected, as_convolution, as_depthwise])
def test_scaling_is_exact_for_every_accumulator(tmp_path: Path, make: Maker) -> None:
    random = np.random.default_rng(5)
    made: list[FullyConnected | Convolution] = []
    cases = []
    for rounding in Rounding:
        for shifts in ((-31, 30), (-12, -1), (-3, 3), (0, 0)):
            for clamps in ("none", "relu", "both"):
                how = rule(random, rounding, shifts, clamps)
                name = f"{rounding}_{len(made)}"
                layer = make(name, accumulators(random, how.shift), how)
                inputs, positions = 1, 1
                if isinstance(layer, Convolution):
                    inputs, positions = int(np.prod(layer.input_shape)), 2
                made.append(layer)
                rows = np.zeros((1, inputs), np.int8)
                cases.append(Case(m55_kernel(layer), rows, positions * CHANNELS))

    for layer, case, outcome in zip(made, cases, run_cases(tmp_path, cases), strict=True):
        if isinstance(layer, FullyConnected):
            expected = reference.fully_connected(layer, case.rows[0])
        else:
            expected = reference.convolution(layer, case.rows[0])
        np.testing.assert_array_equal(outcome.outputs[0], expected, layer.name)
        assert np.unique(expected).size > 5  # the sweep does not only saturate


@pytest.mark.pure
def test_ties_are_mended_only_where_they_show() -> None:
    random = np.random.default_rng(6)

    plain = plan_scaling(rule(random, Rounding.DOUBLE, (-9, -5), "none")).recipe
    relu = plan_scaling(rule(random, Rounding.DOUBLE, (-9, -5), "relu")).recipe
    mixed = plan_scaling(rule(random, Rounding.DOUBLE, (-3, 3), "none")).recipe
    single = plan_scaling(rule(random, Rounding.SINGLE, (-9, -5), "none")).recipe

    assert (plain.has_ties, plain.has_unshifted, plain.has_left) == (True, False, False)
    assert relu.suffix == "d"
    assert (mixed.has_ties, mixed.has_unshifted, mixed.has_left) == (True, True, True)
    assert (single.has_ties, single.has_left) == (False, False)
