"""The runner: modules alone on every emulated core, good ones and broken ones."""

from __future__ import annotations

import struct
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from device_profiles.core import CORES
from edge_runtime.wire.module import HEADER, SelfTest, parse_module
from export.graph import Rounding
from export.interpret import run
from export.link import link_module
from export.render.c import render_c
from export.specs import tensor_specs
from hil_tests.runner import build_runner, prepare_run, run_module, runner_board
from jouleloop.errors import BundleError, InputError, LinkError
from tests.export.random_graphs import mlp, packed, rows
from tests.processes import programs_with

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from export.graph import QGraph
    from hil_tests.runner import ModuleRun

pytestmark = pytest.mark.qemu

TAG = "JOULELOOP_TEST_RUNNER"
CORE_NAMES = ("cortex-m3", "cortex-m4f", "cortex-m7", "cortex-m33", "cortex-m55")
OUTPUTS = 4
ROW = np.zeros((1, 12), np.int8)
# Fields of the module's header, as edge_runtime/wire/module.py lists them.
ARENA_BYTES_AT, ENTRY_AT = 20, 28

# Thumb instructions.
UDF = bytes.fromhex("00de")
RETURN_ONE = bytes.fromhex("0120 7047")  # movs r0, #1; bx lr
FOREVER = bytes.fromhex("fee7")  # b .
# sub sp, #400; movs r0, #0; str r0, [sp]; add sp, #400; bx lr
DEEP = bytes.fromhex("e4b0 0020 0090 64b0 7047")


def link(graph: QGraph, core: str) -> bytes:
    inputs, outputs = tensor_specs(graph)
    return link_module(
        render_c(graph, CORES[core], producer="a test", model_sha256=""),
        CORES[core],
        inputs=inputs,
        outputs=outputs,
        self_test=SelfTest(0, b"", b"", ()),
        model_sha256=bytes(32),
    ).content


@pytest.fixture(scope="module")
def graph() -> QGraph:
    return mlp((12, 20, OUTPUTS), 1, Rounding.DOUBLE)


@pytest.fixture(scope="module")
def module(graph: QGraph) -> bytes:
    return link(graph, "cortex-m4f")


def with_entry(module: bytes, code: bytes) -> bytes:
    """The module whose first instructions are others."""
    at = parse_module(module).entry_offset & ~1
    return module[:at] + code + module[at + len(code) :]


def with_field(module: bytes, offset: int, value: int) -> bytes:
    return module[:offset] + struct.pack("<I", value) + module[offset + 4 :]


def run_on(
    core: str,
    module: bytes,
    given: NDArray[np.int8],
    folder: Path,
    *,
    timeout_s: float = 60.0,
) -> ModuleRun:
    command = prepare_run(folder, runner_board(CORES[core]), module, given)
    return run_module(folder, command, OUTPUTS, timeout_s=timeout_s)


@pytest.mark.parametrize("core", CORE_NAMES)
def test_outputs_are_exact_on_every_core(core: str, graph: QGraph, tmp_path: Path) -> None:
    content = link(graph, core)
    given = rows(graph, 400)
    ran = run_on(core, content, packed(given), tmp_path)
    expected = run(graph, given)[graph.outputs[0]]
    np.testing.assert_array_equal(ran.outputs, expected.reshape(400, OUTPUTS))
    assert 0 < ran.stack_bytes <= parse_module(content).stack_bytes


def test_no_rows_give_no_outputs(module: bytes, tmp_path: Path) -> None:
    ran = run_on("cortex-m4f", module, np.zeros((0, 12), np.int8), tmp_path)
    assert ran.outputs.shape == (0, OUTPUTS)
    assert ran.stack_bytes == 0


def test_the_deepest_stack_is_seen(module: bytes, tmp_path: Path) -> None:
    shallow = run_on("cortex-m4f", with_entry(module, bytes.fromhex("0020 7047")), ROW, tmp_path)
    deep = run_on("cortex-m4f", with_entry(module, DEEP), ROW, tmp_path)
    # The painter keeps clear of its own frame, so less than that is not told apart.
    assert shallow.stack_bytes <= 100
    assert 400 <= deep.stack_bytes <= 400 + shallow.stack_bytes


def test_a_module_that_faults_is_named(module: bytes, tmp_path: Path) -> None:
    with pytest.raises(LinkError, match="99: the core faulted"):
        run_on("cortex-m4f", with_entry(module, UDF), ROW, tmp_path)


def test_a_module_that_fails_is_named(module: bytes, tmp_path: Path) -> None:
    with pytest.raises(LinkError, match="3: the module returned an error"):
        run_on("cortex-m4f", with_entry(module, RETURN_ONE), ROW, tmp_path)


def test_a_module_that_never_ends_is_stopped(
    module: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(TAG, str(tmp_path))
    with pytest.raises(LinkError, match=r"did not end within 0\.5 s"):
        run_on("cortex-m4f", with_entry(module, FOREVER), ROW, tmp_path, timeout_s=0.5)
    assert not programs_with(f"{TAG}={tmp_path}", names=("qemu-system-arm",))


def test_buffers_that_do_not_fit_into_ram_are_named(module: bytes, tmp_path: Path) -> None:
    with pytest.raises(LinkError, match="do not fit into the board's RAM"):
        run_on("cortex-m4f", with_field(module, ARENA_BYTES_AT, 4 << 20), ROW, tmp_path)


def test_rows_that_vanish_are_named(module: bytes, tmp_path: Path) -> None:
    command = prepare_run(tmp_path, runner_board(CORES["cortex-m4f"]), module, ROW)
    (tmp_path / "rows.bin").unlink()
    with pytest.raises(LinkError, match="4: a file could not be read"):
        run_module(tmp_path, command, OUTPUTS)


@pytest.mark.parametrize("core", ["cortex-m3", "cortex-m55"])
def test_a_module_for_another_core_is_refused(core: str, module: bytes, tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=f"for DSP cores .* is a {core}"):
        prepare_run(tmp_path, runner_board(CORES[core]), module, ROW)


def test_a_module_that_is_too_large_is_refused(module: bytes, tmp_path: Path) -> None:
    board = replace(runner_board(CORES["cortex-m4f"]), module_bytes=len(module) - 1)
    with pytest.raises(BundleError, match=f"{len(module)} bytes; .* takes {len(module) - 1}"):
        prepare_run(tmp_path, board, module, ROW)
    assert not (tmp_path / "module.bin").exists()


@pytest.mark.parametrize("cut", [0, 40, HEADER.size, -1])
def test_a_module_that_is_cut_off_is_refused(module: bytes, cut: int, tmp_path: Path) -> None:
    with pytest.raises(BundleError):
        prepare_run(tmp_path, runner_board(CORES["cortex-m4f"]), module[:cut], ROW)


@pytest.mark.parametrize(
    "bad",
    [np.zeros((2, 11), np.int8), np.zeros((2, 12), np.int16), np.zeros(12, np.int8)],
    ids=["width", "type", "dimensions"],
)
def test_rows_that_do_not_fit_are_refused(
    module: bytes, bad: NDArray[np.int8], tmp_path: Path
) -> None:
    with pytest.raises(BundleError, match=r"the model takes int8 \[n, 12\]"):
        prepare_run(tmp_path, runner_board(CORES["cortex-m4f"]), module, bad)


@pytest.mark.parametrize("core", ["cortex-m0plus", "cortex-m0", "xtensa-lx7"])
def test_a_core_without_a_machine_is_refused(core: str) -> None:
    with pytest.raises(InputError, match=f"no machine with a {core}"):
        runner_board(CORES[core])


def test_the_runner_is_built_once() -> None:
    board = runner_board(CORES["cortex-m4f"])
    first = build_runner(board)
    made = first.stat().st_ino
    assert build_runner(board) == first
    assert first.stat().st_ino == made


def test_entry_of_the_header_is_where_the_tests_patch(module: bytes) -> None:
    (entry,) = struct.unpack_from("<I", module, ENTRY_AT)
    assert entry == parse_module(module).entry_offset
    (arena,) = struct.unpack_from("<I", module, ARENA_BYTES_AT)
    assert arena == parse_module(module).arena_bytes
