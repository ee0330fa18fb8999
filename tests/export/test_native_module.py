"""Modules for every core class on QEMU, against the interpreter; and what a module consists of."""

from __future__ import annotations

import struct

import numpy as np
import pytest

from device_profiles.core import CORES, KernelClass
from edge_runtime.wire.module import CEILING, SELF_TEST, Ceiling, SelfTest, parse_module
from export.cost import count_instructions
from export.golden import make_golden
from export.graph import QGraph, Rounding
from export.interpret import run
from export.link import Module, link_module
from export.render.c import Program, render_c
from export.specs import module_specs, tensor_specs
from jouleloop.elf import Elf
from jouleloop.errors import UnsupportedModelError
from tests.export.bare_metal import run_module
from tests.export.graphs import activation_tensor, one_operator
from tests.export.random_graphs import mlp, packed, rows
from tests.export.test_host_c import sinks

pytestmark = pytest.mark.qemu

CORE_NAMES = ("cortex-m0plus", "cortex-m3", "cortex-m4f", "cortex-m55")


def link(graph: QGraph, core: str, ceilings: tuple[Ceiling, ...] = ()) -> tuple[Program, Module]:
    inputs, outputs = tensor_specs(graph)
    program = render_c(graph, CORES[core], producer="a test", model_sha256="0" * 64)
    module = link_module(
        program,
        CORES[core],
        inputs=inputs,
        outputs=outputs,
        self_test=make_golden(graph, {}).self_test(ceilings),
        model_sha256=bytes(range(32)),
    )
    return program, module


@pytest.mark.parametrize("rounding", list(Rounding))
@pytest.mark.parametrize("core", CORE_NAMES)
def test_a_policy_on_a_core_equals_the_interpreter(core: str, rounding: Rounding) -> None:
    graph = mlp((12, 40, 40, 4), 3, rounding, has_residual=True)
    program, module = link(graph, core)
    given = rows(graph, 1000)
    ran = run_module(module.content, core, packed(given), output_bytes=4)
    expected = run(graph, given)[graph.outputs[0]]
    np.testing.assert_array_equal(ran.outputs, expected.reshape(1000, 4))
    # The estimate that joules come from holds what it states.
    estimate = count_instructions(program, CORES[core])
    assert estimate.low <= ran.instructions <= estimate.high


@pytest.mark.parametrize("core", CORE_NAMES)
@pytest.mark.parametrize("widths", [(16, 32, 32, 4), (64, 64, 8), (640, 128, 128, 8)], ids=str)
def test_the_estimate_holds_for_other_widths(widths: tuple[int, ...], core: str) -> None:
    graph = mlp(widths, 1)
    program, module = link(graph, core)
    given = rows(graph, 50)
    ran = run_module(module.content, core, packed(given), output_bytes=widths[-1])
    estimate = count_instructions(program, CORES[core])
    assert estimate.low <= ran.instructions <= estimate.high


@pytest.mark.parametrize("rounding", list(Rounding))
@pytest.mark.parametrize("core", CORE_NAMES)
def test_every_operator_on_a_core_equals_the_interpreter(core: str, rounding: Rounding) -> None:
    graph = sinks(rounding)
    _, module = link(graph, core)
    given = rows(graph, 300)
    answers = run(graph, given)
    expected = packed({name: answers[name] for name in graph.outputs})
    ran = run_module(module.content, core, packed(given), output_bytes=expected.shape[1])
    np.testing.assert_array_equal(ran.outputs, expected)


@pytest.mark.parametrize("channels", [3, 64])
def test_loops_over_strided_bytes_end_on_helium(channels: int) -> None:
    x = activation_tensor("x", (1, 3, 4, channels), 0.05, 3)
    y = activation_tensor("y", (1, channels), 0.031, -7)
    graph = one_operator("MEAN", [x], y, {"axes": (1, 2)})
    _, module = link(graph, "cortex-m55")
    given = rows(graph, 20)
    ran = run_module(module.content, "cortex-m55", packed(given), output_bytes=channels)
    np.testing.assert_array_equal(ran.outputs, run(graph, given)["y"].reshape(20, channels))


def test_an_edge_of_five_dimensions_is_refused() -> None:
    shape = (1, 2, 1, 3, 1)
    graph = one_operator(
        "QUANTIZE", [activation_tensor("x", shape)], activation_tensor("y", shape, 0.1)
    )
    with pytest.raises(UnsupportedModelError, match=r"x .* has 5 dimensions.* at most 4"):
        module_specs(graph)


@pytest.mark.parametrize("core", CORE_NAMES)
def test_the_header_describes_the_module(core: str) -> None:
    graph = mlp((12, 20, 4), 1)
    program, module = link(graph, core, (Ceiling(7, 100, 2000),))
    header = parse_module(module.content)
    inputs, outputs = tensor_specs(graph)
    assert header.kernel_class == CORES[core].kernel_class
    assert header.isa == CORES[core].isa
    assert header.arena_bytes == program.plan.arena_bytes
    assert header.module_bytes == module.code_bytes + module.weights_bytes
    assert header.entry_offset & 1, "a Thumb function"
    assert header.model_sha256 == bytes(range(32))
    for spec, read in zip((*inputs, *outputs), (*header.inputs, *header.outputs), strict=True):
        assert (read.shape, read.zero_point) == (spec.shape, spec.zero_point)
        assert read.scale == np.float32(spec.scale)


def test_the_self_test_holds_exact_rows() -> None:
    graph = mlp((12, 20, 4), 1)
    _, module = link(graph, "cortex-m4f", (Ceiling(7, 100, 2000),))
    offset = parse_module(module.content).self_test_offset
    count, ceilings, inputs_at, outputs_at = SELF_TEST.unpack_from(module.content, offset)
    assert (count, ceilings) == (4, 1)
    assert CEILING.unpack_from(module.content, offset + SELF_TEST.size) == (7, 100, 2000)
    given = np.frombuffer(module.content, np.int8, count * 12, inputs_at).reshape(count, 12)
    expected = np.frombuffer(module.content, np.int8, count * 4, outputs_at).reshape(count, 4)
    got = run(graph, {graph.inputs[0]: given})[graph.outputs[0]]
    np.testing.assert_array_equal(got, expected)


def test_a_module_without_a_self_test_says_so() -> None:
    graph = mlp((2, 2), 1)
    inputs, outputs = tensor_specs(graph)
    program = render_c(graph, CORES["cortex-m3"], producer="a test", model_sha256="")
    module = link_module(
        program,
        CORES["cortex-m3"],
        inputs=inputs,
        outputs=outputs,
        self_test=SelfTest(0, b"", b"", ()),
        model_sha256=bytes(32),
    )
    assert parse_module(module.content).self_test_offset == 0


def test_the_same_graph_links_to_the_same_bytes() -> None:
    graph = mlp((12, 20, 4), 1)
    contents = {link(graph, "cortex-m55")[1].content for _ in range(2)}
    assert len(contents) == 1


def test_weights_and_code_are_told_apart() -> None:
    graph = mlp((64, 64, 8), 1)
    program, module = link(graph, "cortex-m4f")
    weights = sum(layer.code.weights_bytes for layer in program.layers)
    assert module.weights_bytes == weights
    assert 0 <= module.packing_bytes <= 0.15 * weights
    assert module.code_bytes < 4096


def test_nothing_is_left_to_relocate() -> None:
    _, module = link(mlp((12, 20, 4), 1), "cortex-m4f")
    loaded = {section.name for section in Elf(module.elf).sections if section.is_loaded}
    assert loaded <= {".text", ".weights"}
    names = {symbol.name for symbol in Elf(module.elf).symbols if symbol.is_function}
    assert {"jl_infer", "layer0", "layer1"} <= names


def test_the_stack_covers_what_the_compiler_says() -> None:
    _, module = link(mlp((12, 20, 4), 1), "cortex-m3")
    frames = dict(Elf(module.elf).stack_sizes())
    assert len(frames) >= 3
    assert module.stack_bytes >= max(frames.values()) > 0
    assert module.stack_bytes % 8 == 0


def test_an_elf_file_is_checked() -> None:
    with pytest.raises(ValueError, match="not a 32-bit"):
        Elf(b"\x7fELF\x02\x01" + bytes(100))
    _, module = link(mlp((2, 2), 1), "cortex-m3")
    with pytest.raises(ValueError, match=r"no section \.data"):
        Elf(module.elf).section(".data")
    with pytest.raises(ValueError, match="no symbol main"):
        Elf(module.elf).symbol("main")
    assert struct.unpack_from("<I", module.content)[0] == 0x314D4C4A
    assert parse_module(module.content).kernel_class == KernelClass.SCALAR
