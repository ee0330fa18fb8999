"""The plain C of every operator equals the reference, under sanitizers, without a warning."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from device_profiles.core import CORES
from export.graph import Rounding
from export.interpret import run
from export.render.c import render_c
from tests.export.graphs import activation_tensor, one_operator
from tests.export.host_c import run_c
from tests.export.joined_cases import BY_OPERATOR, joined

pytestmark = pytest.mark.host_c

# Operators whose C depends on the rule.
ROUNDED = {
    "ADD", "CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "MEAN", "MUL", "QUANTIZE", "SUB"
}  # fmt: skip
RUNS = [
    (op, rounding)
    for op in BY_OPERATOR
    for rounding in Rounding
    if rounding is Rounding.DOUBLE or op in ROUNDED
]


@pytest.mark.parametrize(("op", "rounding"), RUNS)
def test_c_computes_what_the_reference_computes(
    op: str, rounding: Rounding, tmp_path: Path
) -> None:
    graph, rows = joined(op, rounding)
    expected, got = run(graph, rows), run_c(graph, rows, tmp_path)
    for name, node in zip(graph.outputs, graph.nodes, strict=True):
        assert np.array_equal(got[name].ravel(), expected[name].ravel()), node.name


def test_a_softmax_beyond_what_tflite_computes_has_shares_of_zero(tmp_path: Path) -> None:
    x, y = activation_tensor("x", (1, 600), 0.05), activation_tensor("y", (1, 600), 1 / 256, -128)
    graph = one_operator("SOFTMAX", [x], y, {"beta": 1.0})
    rows = {"x": np.zeros((1, 1, 600), np.int8)}
    expected = run(graph, rows)["y"]
    assert np.all(expected == -128)
    assert np.array_equal(run_c(graph, rows, tmp_path)["y"].ravel(), expected.ravel())


def test_c_is_formatted_as_a_person_would(tmp_path: Path) -> None:
    if shutil.which("clang-format") is None:
        pytest.skip("clang-format is not installed; `make setup` installs it")
    shutil.copy(Path(__file__).parents[2] / ".clang-format", tmp_path / ".clang-format")
    files = []
    for op, rounding in RUNS:
        graph, _ = joined(op, rounding)
        program = render_c(graph, CORES["cortex-m3"], producer="a test", model_sha256="0" * 64)
        files.append(tmp_path / f"{op}_{rounding}.c")
        files[-1].write_text(program.files["model.c"])
    command = ["clang-format", "--dry-run", "--Werror", *map(str, files)]
    check = subprocess.run(command, capture_output=True, text=True, check=False)
    assert check.returncode == 0, check.stderr[:2000]
