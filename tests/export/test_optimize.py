"""What `--optimize` trades: fewer instructions or a smaller arena, exact either way."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from device_profiles.core import CORES
from export.golden import make_golden
from export.graph import Rounding
from export.interpret import run
from export.link import link_module
from export.optimize import Optimize
from export.render.c import Program, render_c
from export.specs import tensor_specs
from tests.export.bare_metal import Run, run_module
from tests.export.random_graphs import builder, mlp, packed, rows

if TYPE_CHECKING:
    from export.graph import QGraph

pytestmark = pytest.mark.qemu


def run_for(graph: QGraph, core: str, optimize: Optimize) -> tuple[Program, Run]:
    """Link for one mode, run rows, and see that they are exact."""
    inputs, outputs = tensor_specs(graph)
    program = render_c(
        graph, CORES[core], producer="a test", model_sha256="0" * 64, optimize=optimize
    )
    module = link_module(
        program,
        CORES[core],
        inputs=inputs,
        outputs=outputs,
        self_test=make_golden(graph, {}).self_test(()),
        model_sha256=bytes(32),
    )
    given = rows(graph, 40)
    (name,) = graph.outputs
    ran = run_module(module.content, core, packed(given), graph.tensors[name].size)
    expected = run(graph, given)[name]
    np.testing.assert_array_equal(ran.outputs, expected.reshape(len(expected), -1))
    return program, ran


@pytest.mark.parametrize("rounding", list(Rounding))
@pytest.mark.parametrize("per_channel", [True, False])
def test_memory_takes_a_smaller_arena_and_speed_fewer_instructions(
    rounding: Rounding, *, per_channel: bool
) -> None:
    graph = mlp((100, 61, 61, 34, 100), 5, rounding, per_channel=per_channel, has_residual=True)
    fast, fast_run = run_for(graph, "cortex-m4f", Optimize.SPEED)
    small, small_run = run_for(graph, "cortex-m4f", Optimize.MEMORY)
    assert small.plan.arena_bytes < fast.plan.arena_bytes
    assert fast_run.instructions < small_run.instructions
    assert small.plan.arena_bytes == 128, "two vectors of 61, each to the next multiple of 16"
    for program, ran in ((fast, fast_run), (small, small_run)):
        choice = program.choices[program.optimize]
        assert choice.plan is program.plan
        assert choice.instructions == pytest.approx(ran.instructions, rel=0.15)


def test_memory_keeps_the_fast_kernel_where_it_costs_nothing() -> None:
    """The 8 inputs of the last layer may be widened in the room that the first layers need."""
    build = builder(3)
    wide = build.fully_connected(build.input(1, 16), 64)
    graph = build.graph(build.fully_connected(build.fully_connected(wide, 8), 5))
    program, _ = run_for(graph, "cortex-m4f", Optimize.MEMORY)
    has_scratch = [layer.code.scratch_bytes > 0 for layer in program.layers]
    assert has_scratch == [False, False, True]


@pytest.mark.parametrize("core", ["cortex-m0plus", "cortex-m3"])
def test_a_class_with_one_kernel_a_layer_has_one_mode(core: str) -> None:
    graph = mlp((12, 20, 4), 1)
    speed, memory = (
        render_c(graph, CORES[core], producer="", model_sha256="", optimize=mode)
        for mode in Optimize
    )
    assert speed.files == memory.files
