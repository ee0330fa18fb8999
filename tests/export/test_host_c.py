"""The generated C, compiled here with sanitizers and every warning, against the interpreter."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from device_profiles.core import CORES
from export.arithmetic.fixed_point import scale
from export.c_text import SCALE_HELPERS, helpers_used
from export.graph import Rounding
from export.interpret import run, run_all
from export.render.c import render_c
from tests.export.host_c import SANITIZERS, WARNINGS, run_c
from tests.export.random_graphs import builder, mlp, rows

if TYPE_CHECKING:
    from export.graph import QGraph

pytestmark = pytest.mark.host_c

STYLE = Path(__file__).parents[2] / ".clang-format"
both_rules = pytest.mark.parametrize("rounding", list(Rounding))


def assert_same(graph: QGraph, folder: Path, count: int = 1000) -> None:
    given = rows(graph, count)
    expected, got = run(graph, given), run_c(graph, given, folder)
    for name in graph.outputs:
        np.testing.assert_array_equal(got[name].ravel(), expected[name].ravel())


def sinks(rounding: Rounding) -> QGraph:
    """Two inputs, two outputs, every operator, broadcasting, a value that is used twice."""
    build = builder(11, rounding)
    first, second = build.input(1, 3, 10), build.input(1, 10, scale=0.03)
    kept = build.fully_connected(first, 10, keep_num_dims=True, activation="RELU", zero_point=-90)
    # Zero points off the ends: a RELU of a zero point of 127 leaves one value.
    total = build.add(kept, second, zero_point=-30)
    relu = build.unary("RELU", total, scale=0.9 * float(build.tensors[total].scale), zero_point=-9)
    rescaled = build.unary(
        "QUANTIZE", relu, scale=1.7 * float(build.tensors[relu].scale), zero_point=2
    )
    six = build.unary("RELU6", rescaled, scale=0.03, zero_point=-128)
    last = build.add(six, relu, activation="RELU6", scale=0.05, zero_point=-60)
    return build.graph(last, rescaled)


@both_rules
@pytest.mark.parametrize("per_channel", [True, False])
def test_a_policy_equals_the_interpreter(
    rounding: Rounding, per_channel: bool, tmp_path: Path
) -> None:
    graph = mlp((12, 40, 40, 4), 3, rounding, per_channel=per_channel, has_residual=True)
    assert_same(graph, tmp_path)
    outputs = run(graph, rows(graph, 1000))[graph.outputs[0]]
    assert 0 < np.isin(outputs, (-128, 127)).mean() < 0.8, "some rows saturate, not all"


@both_rules
def test_odd_sizes_equal_the_interpreter(rounding: Rounding, tmp_path: Path) -> None:
    assert_same(mlp((1, 1, 3, 17, 5), 4, rounding), tmp_path)


@both_rules
def test_every_operator_equals_the_interpreter(rounding: Rounding, tmp_path: Path) -> None:
    graph = sinks(rounding)
    assert_same(graph, tmp_path)
    for name, values in run_all(graph, rows(graph, 100)).items():
        assert np.unique(values).size > 10, f"{name} must not be constant"


@both_rules
@pytest.mark.parametrize("shapes", [((1, 4, 1, 3), (5, 3)), ((1, 1), (1, 7)), ((1, 6), (1,))])
def test_broadcast_addition_equals_the_interpreter(
    shapes: tuple[tuple[int, ...], tuple[int, ...]], rounding: Rounding, tmp_path: Path
) -> None:
    build = builder(5, rounding)
    first, second = build.input(*shapes[0]), build.input(*shapes[1], scale=0.011)
    assert_same(build.graph(build.add(first, second)), tmp_path, count=100)


@both_rules
def test_a_constant_operand_equals_the_interpreter(rounding: Rounding, tmp_path: Path) -> None:
    build = builder(6, rounding)
    source = build.input(1, 9)
    data = build.rng.integers(-128, 128, (1, 9)).astype(np.int8)
    offset = build.constant(data, build.tensors[source].quantization)
    assert_same(build.graph(build.add(offset, source)), tmp_path, count=200)


@both_rules
@pytest.mark.parametrize("factor", [2.0**-20, 3.0, 900.0])
def test_factors_far_from_one_equal_the_interpreter(
    factor: float, rounding: Rounding, tmp_path: Path
) -> None:
    """Shifts to the left saturate before the multiplication; tiny factors leave the zero point."""
    build = builder(8, rounding)
    source = build.input(1, 30, scale=1.0)
    out = build.fully_connected(source, 6)
    graph = build.graph(out)
    tensor = graph.tensors[out]
    tensor.quantization.scale[:] = float(graph.tensors[graph.nodes[0].inputs[1]].scale) / factor
    # The bias has to be scaled as the sums are, whatever the output's scale.
    assert_same(graph, tmp_path, count=300)


@both_rules
def test_generated_c_is_formatted(rounding: Rounding, tmp_path: Path) -> None:
    if shutil.which("clang-format") is None:
        pytest.skip("clang-format is not installed; `make setup` installs it")
    wide = mlp((4, *(6,) * 12, 4), 1, rounding)
    for index, graph in enumerate((sinks(rounding), wide)):
        program = render_c(graph, CORES["cortex-m3"], producer="a test", model_sha256="0" * 64)
        path = tmp_path / f"model{index}.c"
        path.write_text(program.files["model.c"])
        command = ["clang-format", f"--style=file:{STYLE}", "--dry-run", "-Werror", str(path)]
        subprocess.run(command, check=True)


SCALE_MAIN = """
#include <stdio.h>

int main(void) {
    int32_t given[3];
    while (fread(given, sizeof given, 1, stdin) == 1) {
        const int64_t scaled = SCALE(given[0], given[1], given[2]);
        fwrite(&scaled, sizeof scaled, 1, stdout);
    }
    return 0;
}
"""


@both_rules
def test_the_scaling_helpers_are_exact_on_ties_and_extremes(
    rounding: Rounding, tmp_path: Path
) -> None:
    rng = np.random.default_rng(0)
    shifts = rng.integers(-31, 31, 20_000)
    multipliers = rng.integers(2**30, 2**31, 20_000)
    values = rng.integers(-(2**31), 2**31, 20_000)
    values[:100], values[100:200] = -(2**31), 2**31 - 1
    # A factor of a power of two: odd values are ties, of either sign.
    multipliers[5000:], shifts[5000:] = 2**30, rng.integers(-12, 0, 15_000)
    values[5000:] = rng.integers(-500, 500, 15_000) << np.maximum(-shifts[5000:], 0)
    values[10_000:] = values[10_000:] // 2
    helper = SCALE_HELPERS[rounding]
    body = helpers_used(f"{helper}(")
    text = f"#include <stdint.h>\n{body}{SCALE_MAIN.replace('SCALE', helper)}"
    (tmp_path / "scale.c").write_text(text)
    program = tmp_path / "scale"
    command = ["gcc", *WARNINGS, *SANITIZERS, "-o", str(program), str(tmp_path / "scale.c")]
    subprocess.run(command, check=True)
    given = np.stack([values, multipliers, shifts], axis=1).astype(np.int32).tobytes()
    answer = subprocess.run([str(program)], input=given, stdout=subprocess.PIPE, check=True).stdout
    expected = scale(values.astype(np.int64), multipliers, shifts, rounding)
    np.testing.assert_array_equal(np.frombuffer(answer, np.int64), expected)


def test_names_from_a_model_cannot_leave_their_comment() -> None:
    build = builder(9)
    out = build.fully_connected(build.input(1, 3), 2)
    node = build.nodes[0]
    build.nodes[0] = type(node)(node.op, "*/ int x; /* ?? \n \\", node.inputs, node.outputs)
    graph = build.graph(out, name="evil */ name")
    text = render_c(graph, CORES["cortex-m3"], producer="a test", model_sha256="").files["model.c"]
    comments = text.count("/*")
    assert comments == text.count("*/")
    without_comments = re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL)
    assert "int x" not in without_comments


def test_the_same_graph_gives_the_same_text() -> None:
    texts = {
        render_c(
            mlp((5, 6, 7), 1), CORES["cortex-m4f"], producer="a test", model_sha256="ab"
        ).files["model.c"]
        for _ in range(3)
    }
    assert len(texts) == 1
    (text,) = texts
    assert "a test" in text
    assert "SHA-256 of model.tflite: ab" in text
