"""AVERAGE_POOL_2D in C, four channels at a time: exact at its edges and on every core."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from export.arithmetic.window import Window
from export.graph import QGraph, Rounding
from export.interpret import run
from tests.export.bare_metal import run_module
from tests.export.graphs import activation_tensor, one_operator
from tests.export.host_c import run_c
from tests.export.random_graphs import packed, rows
from tests.export.test_native_module import CORE_NAMES, link

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

# (height, width), channels, window, stride, padding
CASES = {
    "257 elements, as many as half a word sums": ((1, 257), 4, (1, 257), (1, 1), "VALID"),
    "258 elements, one more": ((1, 258), 4, (1, 258), (1, 1), "VALID"),
    "whole rows with padding above and below": ((7, 3), 4, (4, 3), (2, 3), "SAME"),
    "whole rows of one pixel": ((9, 1), 8, (5, 1), (2, 1), "SAME"),
    "padded, 7 channels": ((6, 5), 7, (3, 2), (2, 2), "SAME"),
    "5 channels": ((4, 4), 5, (2, 2), (2, 2), "VALID"),
    "3 channels": ((4, 4), 3, (2, 2), (2, 2), "VALID"),
    "a window of one": ((3, 3), 6, (1, 1), (1, 1), "VALID"),
}


def joined() -> QGraph:
    """All cases side by side."""
    merged: QGraph | None = None
    for index, (image, channels, size, stride, padding) in enumerate(CASES.values()):
        attributes = {"filter": size, "stride": stride, "padding": padding}
        window = Window.over(image, size, attributes)
        x = activation_tensor(f"x{index}", (1, *image, channels))
        y = activation_tensor(f"y{index}", (1, *window.output, channels))
        one = one_operator("AVERAGE_POOL_2D", [x], y, attributes, Rounding.DOUBLE)
        merged = (
            one
            if merged is None
            else replace(
                merged,
                inputs=merged.inputs + one.inputs,
                outputs=merged.outputs + one.outputs,
                tensors={**merged.tensors, **one.tensors},
                nodes=merged.nodes + one.nodes,
            )
        )
    assert merged is not None
    return merged


def saturating(graph: QGraph) -> dict[str, NDArray[np.int8]]:
    """Rows of which the last two are −128 and 127 alone: the largest sums of either sign."""
    given = rows(graph, 60)
    for values in given.values():
        values[-2], values[-1] = -128, 127
    return given


@pytest.mark.host_c
def test_c_equals_the_reference(tmp_path: Path) -> None:
    graph = joined()
    given = saturating(graph)
    expected, got = run(graph, given), run_c(graph, given, tmp_path)
    for name, case in zip(graph.outputs, CASES, strict=True):
        assert np.array_equal(got[name].ravel(), expected[name].ravel()), case


@pytest.mark.qemu
@pytest.mark.parametrize("core", CORE_NAMES)
def test_every_core_equals_the_reference(core: str) -> None:
    graph = joined()
    given = saturating(graph)
    answers = run(graph, given)
    expected = packed({name: answers[name] for name in graph.outputs})
    _, module = link(graph, core)
    ran = run_module(module.content, core, packed(given), expected.shape[1])
    np.testing.assert_array_equal(ran.outputs, expected)
