"""Hold the estimates of executed instructions, by layer, to counts by QEMU on four cores.

Fully connected layers, additions and activations of many shapes run on the emulated cores, each as
a module of its own; every count must lie in the interval that the estimate states. For operators
in plain C the coefficients of `export/estimate.py` are fitted again (squared relative error, no
coefficient below 0) and printed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from device_profiles.core import CORES
from edge_runtime.wire.module import SelfTest
from export.estimate import PLAIN_C, Count, layer_instructions
from export.graph import Rounding
from export.link import link_module
from export.render.c import render_c
from export.specs import tensor_specs
from hil_tests.result import Measure
from tests.export.bare_metal import run_module
from tests.export.random_graphs import GraphBuilder, packed, rows

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from export.graph import QGraph
    from export.ops import Call

SHAPES = ((8, 4), (12, 64), (16, 16), (33, 17), (64, 4), (64, 64), (128, 31), (200, 50))
# A zero point of 127 would leave one value to a RELU, and the compiler would see it.
OUTPUT_ZERO_POINT = -5
SIZES = (32, 100, 256)
CORE_NAMES = ("cortex-m0plus", "cortex-m3", "cortex-m4f", "cortex-m55")


@dataclass(frozen=True)
class Sample:
    """One layer: what QEMU counted, what the estimate says, and for plain C what there is to do.

    `work`: calls, outputs, scalings rounded once, scalings rounded twice; empty for a kernel.
    """

    counted: float
    estimate: Count
    work: tuple[float, ...]


def layers(rounding: Rounding) -> Iterator[QGraph]:
    """Graphs of one layer."""
    for index, (inputs, outputs) in enumerate(SHAPES):
        build = GraphBuilder(np.random.default_rng(index), rounding)
        yield build.graph(
            build.fully_connected(build.input(1, inputs), outputs, zero_point=OUTPUT_ZERO_POINT)
        )
    for index, size in enumerate(SIZES):
        build = GraphBuilder(np.random.default_rng(index), rounding)
        yield build.graph(build.add(build.input(1, size), build.input(1, size, scale=0.05)))
        build = GraphBuilder(np.random.default_rng(index), rounding)
        yield build.graph(
            build.unary(
                "QUANTIZE",
                build.input(1, size, zero_point=3),
                scale=0.03,
                zero_point=OUTPUT_ZERO_POINT,
            )
        )
        build = GraphBuilder(np.random.default_rng(index), rounding)
        yield build.graph(
            build.unary(
                "RELU",
                build.input(1, size, zero_point=3),
                scale=0.015,
                zero_point=OUTPUT_ZERO_POINT,
            )
        )


def sample(graph: QGraph, core: str) -> Sample:
    """Compile a layer, run it, and describe its work."""
    program = render_c(graph, CORES[core], producer="benchmark", model_sha256="")
    inputs, outputs = tensor_specs(graph)
    module = link_module(
        program,
        CORES[core],
        inputs=inputs,
        outputs=outputs,
        self_test=SelfTest(0, b"", b"", ()),
        model_sha256=bytes(32),
    )
    given = packed(rows(graph, 40, 0))
    counted = run_module(module.content, core, given, sum(spec.size for spec in outputs))
    layer = program.layers[0]
    estimate = layer_instructions(layer.code, CORES[core])
    work = _work(layer.call) if layer.code.note == PLAIN_C else ()
    return Sample(counted.instructions, estimate, work)


def _work(call: Call) -> tuple[float, ...]:
    size, is_sum = call.output.size, call.node.op == "ADD"
    rounds_once = call.rounding is Rounding.SINGLE
    scaled = 0 if is_sum and rounds_once else size * (3 if is_sum else 1)
    # RELU rounds twice under either rule.
    once = scaled if rounds_once and call.node.op != "RELU" else 0
    return (1.0, float(size), float(once), float(scaled - once))


def fit(samples: list[Sample]) -> NDArray[np.float64]:
    """Coefficients >= 0 with the least squared relative error, by projected gradient descent."""
    work = np.array([s.work for s in samples]) / np.array([[s.counted] for s in samples])
    # Scaled columns, so that one step size suits all.
    norms = np.linalg.norm(work, axis=0)
    scaled = work / norms
    step = 1.0 / np.linalg.norm(scaled, 2) ** 2
    weights = np.zeros(scaled.shape[1])
    for _ in range(200_000):
        weights = np.maximum(0.0, weights - step * (scaled.T @ (scaled @ weights - 1.0)))
    return np.asarray(weights / norms, np.float64)


def main() -> list[Measure]:
    """Judge every core's estimates, and print the coefficients that would fit its plain C best."""
    measures = []
    for core in CORE_NAMES:
        samples = [sample(graph, core) for rounding in Rounding for graph in layers(rounding)]
        fitted = fit([s for s in samples if s.work])
        print(core, "call, output, rescale once, twice:", [round(float(c), 1) for c in fitted])
        source = f"{len(samples)} layers on QEMU, the worst"
        for name, value in (
            ("counted / highest estimate", max(s.counted / s.estimate.high for s in samples)),
            ("lowest estimate / counted", max(s.estimate.low / s.counted for s in samples)),
        ):
            measures.append(Measure(f"{core} {name}", value, "", "measured", source, limit=1.0))
    return measures
