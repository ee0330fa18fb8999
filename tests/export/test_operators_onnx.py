"""Every operator as ONNX: ONNX Runtime stays within one step of the reference.

ONNX Runtime computes quantised operators in real numbers and rounds ties to even, so it cannot
follow either rule exactly.
"""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest

from export.graph import Rounding
from export.interpret import run
from export.render.onnx import render_onnx
from tests.export.joined_cases import BY_OPERATOR, joined

pytestmark = pytest.mark.pure


@pytest.mark.parametrize("op", BY_OPERATOR)
def test_onnx_runtime_stays_within_one_step(op: str) -> None:
    graph, rows = joined(op, Rounding.DOUBLE)
    content = render_onnx(graph, producer="a test", version="0")
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    expected = run(graph, rows)
    count = len(next(iter(rows.values())))
    results = [
        session.run(list(graph.outputs), {name: values[row] for name, values in rows.items()})
        for row in range(count)
    ]
    for index, (name, node) in enumerate(zip(graph.outputs, graph.nodes, strict=True)):
        got = np.stack([row[index] for row in results]).astype(int)
        difference = np.abs(got.ravel() - expected[name].ravel())
        assert difference.max() <= 1, node.name
        # Ties are the most: a sum with the factor 1/2 has one in every second output.
        assert np.mean(difference > 0) <= 0.3, node.name
