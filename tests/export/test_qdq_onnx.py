"""Reading QDQ ONNX models: ours and others', and refusing what has no code."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

import device_profiles
from export.frontend.qdq_onnx import read_qdq_onnx
from export.graph import Rounding
from export.interpret import run
from export.passes import lower
from export.render.onnx import render_onnx
from jouleloop.errors import UnsupportedModelError
from tests.export.random_graphs import mlp, rows
from tests.export.test_host_c import sinks

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from export.graph import QGraph

pytestmark = pytest.mark.pure

PROFILE = device_profiles.load("mps2-an386")


class ModelBuilder:
    """A QDQ model in a few lines."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, NDArray[Any]] = {}

    def constant(self, name: str, values: NDArray[Any]) -> str:
        self.constants[name] = values
        return name

    def quantized(self, real: str, scale: float = 0.05, dtype: type = np.int8) -> str:
        """Through QuantizeLinear and DequantizeLinear."""
        scale_name = self.constant(f"{real}_s", np.array(scale, np.float32))
        zero = self.constant(f"{real}_z", np.array(0, dtype))
        self.nodes.append(
            helper.make_node("QuantizeLinear", [real, scale_name, zero], [f"{real}_q"])
        )
        self.nodes.append(
            helper.make_node("DequantizeLinear", [f"{real}_q", scale_name, zero], [f"{real}_d"])
        )
        return f"{real}_d"

    def weights(self, name: str, values: NDArray[Any], scale: float = 0.01) -> str:
        stored = self.constant(f"{name}_q", values)
        scale_name = self.constant(f"{name}_s", np.array(scale, np.float32))
        self.nodes.append(helper.make_node("DequantizeLinear", [stored, scale_name], [name]))
        return name

    def node(self, op_type: str, inputs: list[str], output: str, **attributes: Any) -> str:
        self.nodes.append(helper.make_node(op_type, inputs, [output], f"n_{output}", **attributes))
        return output

    def model(self, output: str, shape: tuple[Any, ...] = (1, 3)) -> onnx.ModelProto:
        graph = helper.make_graph(
            self.nodes,
            "g",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
            [helper.make_tensor_value_info(output, TensorProto.FLOAT, None)],
            [numpy_helper.from_array(values, name) for name, values in self.constants.items()],
        )
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def read(model: onnx.ModelProto) -> QGraph:
    return read_qdq_onnx(model, name="m", source="m.onnx", rounding=Rounding.SINGLE)


def gemm(build: ModelBuilder, **attributes: Any) -> str:
    weights = build.weights("w", np.arange(-6, 6, dtype=np.int8).reshape(4, 3))
    return build.node("Gemm", [build.quantized("x"), weights], "y", **({"transB": 1} | attributes))


@pytest.mark.parametrize("seed", [1, 2])
def test_our_own_onnx_comes_back_as_the_same_graph(seed: int) -> None:
    """What the writer writes the reader reads: same operators, constants, scales and results."""
    graph = mlp((12, 9, 9, 4), seed, has_residual=True)
    content = render_onnx(graph, producer="a test", version="0")
    model = onnx.load_from_string(content)
    again = lower(read(model), PROFILE)
    given = rows(graph, 200)
    expected = run(graph, given)
    np.testing.assert_array_equal(run(again, given)[graph.outputs[0]], expected[graph.outputs[0]])
    assert sorted(node.op for node in again.nodes) == sorted(node.op for node in graph.nodes)


@pytest.mark.parametrize(("rounding", "limit"), [(Rounding.SINGLE, 1), (Rounding.DOUBLE, 2)])
def test_onnx_runtime_is_within_one_lsb(rounding: Rounding, limit: int) -> None:
    """Within 1 per layer; where layers round twice, or not as ONNX, that can add up to 2."""
    policy = mlp((12, 40, 40, 4), 3, rounding, has_residual=True)
    for graph, most, share in ((policy, limit, 0.99), (sinks(rounding), 2, 0.9)):
        worst = []
        session = onnxruntime.InferenceSession(render_onnx(graph, producer="a test", version="0"))
        given = rows(graph, 500)
        expected = run(graph, given)
        for row in range(500):
            outputs = session.run(None, {name: values[row] for name, values in given.items()})
            for name, output in zip(graph.outputs, outputs, strict=True):
                difference = output.astype(int).ravel() - expected[name][row].ravel()
                worst.append(np.abs(difference).max())
        assert max(worst) <= most
        assert np.mean(np.array(worst) <= 1) > share


def test_matmul_and_transposed_weights_are_fully_connected_layers() -> None:
    for trans_b in (0, 1):
        build = ModelBuilder()
        matrix = np.arange(-6, 6, dtype=np.int8).reshape(3, 4)
        stored = np.ascontiguousarray(matrix.T) if trans_b else matrix
        value = build.quantized("x")
        op, attributes = ("Gemm", {"transB": 1}) if trans_b else ("MatMul", {})
        y = build.node(op, [value, build.weights("w", stored)], "y", **attributes)
        graph = lower(read(build.model(build.quantized(y))), PROFILE)
        assert [node.op for node in graph.nodes] == ["FULLY_CONNECTED"]
        out = run(graph, {"x": np.array([[10, 20, 30]], np.int8)})[graph.outputs[0]]
        expected = np.array([10, 20, 30]) @ matrix.astype(int) * 0.01
        np.testing.assert_array_equal(out[0], np.rint(expected))


def test_relu_and_clip_between_operator_and_store_are_fused() -> None:
    for op, inputs, activation in (
        ("Relu", ["y"], "RELU"),
        ("Clip", ["y", "zero", "six"], "RELU6"),
    ):
        build = ModelBuilder()
        build.constant("zero", np.array(0.0, np.float32))
        build.constant("six", np.array(6.0, np.float32))
        gemm(build)
        graph = read(build.model(build.quantized(build.node(op, inputs, "r"))))
        layer = graph.nodes[1]
        assert (layer.op, layer.attributes["activation"]) == ("FULLY_CONNECTED", activation)


def test_a_relu_of_a_stored_value_is_its_own_operator() -> None:
    build = ModelBuilder()
    value = build.node("Relu", [build.quantized("x")], "r")
    assert [n.op for n in read(build.model(build.quantized(value))).nodes] == [
        "QUANTIZE",
        "RELU",
        "DEQUANTIZE",
    ]


def test_a_value_may_be_stored_again_with_another_scale() -> None:
    build = ModelBuilder()
    first = build.quantized("x")
    graph = lower(read(build.model(build.quantized(first, scale=0.1))), PROFILE)
    assert [node.op for node in graph.nodes] == ["QUANTIZE"]


def refused(build: ModelBuilder, output: str, shape: tuple[Any, ...] = (1, 3)) -> str:
    with pytest.raises(UnsupportedModelError) as caught:
        read(build.model(output, shape))
    return caught.value.message


def test_an_unsupported_operator_is_named_with_what_is_supported() -> None:
    build = ModelBuilder()
    message = refused(build, build.quantized(build.node("Erf", [build.quantized("x")], "e")))
    assert "m.onnx: operator Erf (node n_e) has no code; supported: Add, " in message
    assert "Gemm" in message


def test_operands_that_are_not_quantised_are_named() -> None:
    build = ModelBuilder()
    weights = build.constant("w", np.ones((3, 3), np.float32))
    assert "the float32 tensor w" in refused(
        build, build.quantized(build.node("MatMul", [build.quantized("x"), weights], "y"))
    )
    build = ModelBuilder()
    build.node("Relu", [gemm(build)], "r")
    value = build.node("Add", ["r", "r"], "s")
    assert "reads r, which is not quantised" in refused(build, build.quantized(value))
    build = ModelBuilder()
    assert "the output y is not quantised" in refused(build, gemm(build))


def test_forms_without_code_are_named() -> None:
    build = ModelBuilder()
    assert "alpha 1, beta 1 and transA 0" in refused(build, build.quantized(gemm(build, alpha=2.0)))
    build = ModelBuilder()
    assert "quantises to uint8; supported: int8" in refused(
        build, build.quantized(build.node("Relu", [build.quantized("x", dtype=np.uint8)], "r"))
    )
    build = ModelBuilder()
    build.constant("low", np.array(-1.0, np.float32))
    build.constant("high", np.array(1.0, np.float32))
    value = build.node("Clip", [build.quantized("x"), "low", "high"], "c")
    assert "the limits 0 and 6 alone" in refused(build, build.quantized(value))
    build = ModelBuilder()
    value = build.quantized("x")
    square = build.node("MatMul", [value, value], "y")
    assert "needs a constant matrix" in refused(build, build.quantized(square), (3, 3))


def test_dynamic_shapes_are_named() -> None:
    build = ModelBuilder()
    message = refused(build, build.quantized(gemm(build)), ("batch", 3))
    assert "x has the dynamic dimension batch" in message
