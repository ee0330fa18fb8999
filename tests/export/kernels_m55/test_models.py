"""Published models layer by layer: every tensor exact, no more instructions than promised."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from device_profiles.core import KernelClass
from export.frontend.tflite import read_tflite
from export.graph import Rounding
from export.interpret import run_all
from export.kernels.layer import Convolution, FullyConnected
from export.kernels.m55.kernel import m55_kernel
from export.kernels.select import select_kernels
from export.ops import Call, conv_2d, depthwise_conv_2d, fully_connected
from export.verify import calls
from tests.export.kernels import layers
from tests.export.kernels_m55.bench import Case, run_cases
from tests.shared_data import shared_file

pytestmark = pytest.mark.qemu

LAYERS: dict[str, Callable[[Call, str], FullyConnected | Convolution]] = {
    "CONV_2D": conv_2d.layer,
    "DEPTHWISE_CONV_2D": depthwise_conv_2d.layer,
    "FULLY_CONNECTED": fully_connected.layer,
}


@pytest.mark.parametrize(
    ("model", "golden", "most_instructions", "most_arena_bytes"),
    [
        ("mlperf_tiny/kws_ref_model", "mlperf_tiny/kws_ref_model", 500_000, 21 * 1024),
        ("mlperf_tiny/ad01_int8", "mlperf_tiny/ad01_int8", 40_000, 4 * 1024),
        ("mlp_32_64_64_8", "mlp_32_64_64_8", 1_450, 512),
    ],
)
def test_every_layer_is_exact_and_cheap(
    tmp_path: Path, model: str, golden: str, most_instructions: int, most_arena_bytes: int
) -> None:
    graph = read_tflite(shared_file(f"data/{model}.tflite"), Rounding.DOUBLE)
    rows = np.load(shared_file(f"data/{golden}.tflm_golden.npz"))["inputs"][:2]
    tensors = run_all(graph, {graph.inputs[0]: rows}) | {graph.inputs[0]: rows}
    chosen = [call for call in calls(graph) if call.node.op in LAYERS]
    cases = []
    for number, call in enumerate(chosen):
        code = m55_kernel(LAYERS[call.node.op](call, f"layer_{number}"))
        given = tensors[call.node.inputs[0]].reshape(len(rows), -1)
        size, in_place = call.output.size, call.node.op == "DEPTHWISE_CONV_2D"
        cases.append(Case(code, given, size, in_place))
        arena = code.scratch_bytes + given.shape[1] + (0 if in_place else size)
        assert arena <= most_arena_bytes, call.node.name

    executed = 0
    for call, outcome in zip(chosen, run_cases(tmp_path, cases), strict=True):
        expected = tensors[call.node.outputs[0]].reshape(len(rows), -1)
        np.testing.assert_array_equal(outcome.outputs, expected, call.node.name)
        assert len(set(outcome.instructions)) == 1  # no branch depends on data
        executed += outcome.instructions[0]

    assert executed <= most_instructions


@pytest.mark.parametrize("rows", [1, 3])
def test_the_class_takes_these_kernels(rows: int) -> None:
    layer = layers.fully_connected(np.random.default_rng(7), "scores", 20, 6, rows=rows)

    [code] = select_kernels([layer], KernelClass.MVE)

    assert code.source == m55_kernel(layer).source
    assert "jl_m55" in code.source
