"""The plain C of every operator equals the reference, under sanitizers, without a warning."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from device_profiles.core import CORES
from export.graph import Node, QGraph, Rounding
from export.interpret import run
from export.ops import OPERATORS
from export.render.c import render_c
from export.verify import verify
from tests.export.host_c import run_c
from tests.export.operator_cases import CASES

if TYPE_CHECKING:
    from export.graph import Tensor
    from tests.export.operator_cases import Rows

pytestmark = pytest.mark.host_c

BY_OPERATOR = {
    op: [name for name in CASES if name.partition(" ")[0] == op]
    for op in OPERATORS
    if op != "DEQUANTIZE"
}
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


def joined(op: str, rounding: Rounding) -> tuple[QGraph, Rows]:
    """All cases of an operator side by side in one graph: one program to compile."""
    tensors: dict[str, Tensor] = {}
    nodes: list[Node] = []
    inputs: list[str] = []
    outputs: list[str] = []
    rows: Rows = {}
    count = max(len(values) for name in BY_OPERATOR[op] for values in CASES[name][1].values())
    for index, name in enumerate(BY_OPERATOR[op]):
        graph, given = CASES[name]
        names = {old: f"case{index}_{old}" for old in graph.tensors}
        tensors |= {names[n]: replace(t, name=names[n]) for n, t in graph.tensors.items()}
        (node,) = graph.nodes
        read = tuple(names[n] for n in node.inputs)
        made = tuple(names[n] for n in node.outputs)
        nodes.append(Node(op, name, read, made, node.attributes))
        inputs += [names[n] for n in graph.inputs]
        outputs += made
        rows |= {names[n]: np.resize(v, (count, *v.shape[1:])) for n, v in given.items()}
    graph = QGraph(op, tuple(inputs), tuple(outputs), tensors, tuple(nodes), rounding, "cases")
    verify(graph, after="joining")
    return graph, rows


@pytest.mark.parametrize(("op", "rounding"), RUNS)
def test_c_computes_what_the_reference_computes(
    op: str, rounding: Rounding, tmp_path: Path
) -> None:
    graph, rows = joined(op, rounding)
    expected, got = run(graph, rows), run_c(graph, rows, tmp_path)
    for name, node in zip(graph.outputs, graph.nodes, strict=True):
        assert np.array_equal(got[name].ravel(), expected[name].ravel()), node.name


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
