"""The TFLite reader on files that are damaged, hostile, or hold what there is no code for."""

from __future__ import annotations

import tracemalloc
from typing import TYPE_CHECKING, Any

import flatbuffers
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from hypothesis import given, settings
from hypothesis import strategies as st

from export.frontend import tflite
from export.frontend.tflite import MAX_FILE_BYTES, parse_tflite, read_tflite
from export.frontend.tflite_options import OPTION_READERS
from export.graph import Node, QGraph, Rounding, Tensor
from export.ops import OPERATORS
from export.render.tflite import render_tflite
from jouleloop.errors import UnsupportedModelError
from tests.export.graphs import activation_tensor, constant, random_int8

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.pure


def _network() -> bytes:
    """A file with a convolution, its padding, a pool, a reshape, a dense layer and a softmax."""
    tensors = [
        activation_tensor("image", (1, 4, 4, 2), 0.05, 3),
        activation_tensor("padded", (1, 6, 6, 2), 0.05, 3),
        constant("kernel", random_int8((3, 3, 3, 2), 1), np.geomspace(0.01, 0.03, 3), axis=0),
        constant(
            "bias",
            np.array([7, -8, 9], np.int32),
            np.float32(0.05) * np.geomspace(0.01, 0.03, 3).astype(np.float32),
            axis=0,
        ),
        activation_tensor("features", (1, 4, 4, 3), 0.2, -128),
        activation_tensor("pooled", (1, 1, 1, 3), 0.2, -128),
        activation_tensor("flat", (1, 3), 0.2, -128),
        constant("weights", random_int8((4, 3), 2), 0.02),
        activation_tensor("scores", (1, 4), 0.3, 5),
        activation_tensor("shares", (1, 4), 1 / 256, -128),
    ]
    window = {"stride": (1, 1), "padding": "VALID"}
    dense = {"activation": "NONE", "keep_num_dims": False}
    pool = {**window, "filter": (4, 4), "activation": "NONE"}
    steps: list[tuple[str, tuple[str, ...], str, dict[str, Any]]] = [
        ("PAD", ("image",), "padded", {"paddings": ((0, 0), (1, 1), (1, 1), (0, 0))}),
        (
            "CONV_2D",
            ("padded", "kernel", "bias"),
            "features",
            {**window, "dilation": (1, 1), "activation": "RELU"},
        ),
        ("AVERAGE_POOL_2D", ("features",), "pooled", pool),
        ("RESHAPE", ("pooled",), "flat", {}),
        ("FULLY_CONNECTED", ("flat", "weights", ""), "scores", dense),
        ("SOFTMAX", ("scores",), "shares", {"beta": 1.0}),
    ]
    nodes = tuple(
        Node(op, f"{op.lower()}_{at}", inputs, (output,), attributes)
        for at, (op, inputs, output, attributes) in enumerate(steps)
    )
    by_name: dict[str, Tensor] = {tensor.name: tensor for tensor in tensors}
    graph = QGraph("net", ("image",), ("shares",), by_name, nodes, Rounding.DOUBLE)
    return render_tflite(graph, producer="a test")


NETWORK = _network()


def _read(content: bytes) -> QGraph:
    return parse_tflite(content, "net", Rounding.DOUBLE)


def _changed(change: Callable[[Any, Any], None]) -> bytes:
    """The file after a change to its model and its one subgraph."""
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(NETWORK, 0))
    change(model, model.subgraphs[0])
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def _index(subgraph: Any, name: str) -> int:
    return next(i for i, tensor in enumerate(subgraph.tensors) if tensor.name == name.encode())


def _tensor(subgraph: Any, name: str) -> Any:
    return subgraph.tensors[_index(subgraph, name)]


def test_the_network_is_read_whole() -> None:
    graph = _read(NETWORK)
    assert [node.op for node in graph.nodes] == [
        "PAD", "CONV_2D", "AVERAGE_POOL_2D", "RESHAPE", "FULLY_CONNECTED", "SOFTMAX"
    ]  # fmt: skip
    assert graph.nodes[0].attributes == {"paddings": ((0, 0), (1, 1), (1, 1), (0, 0))}
    assert graph.nodes[3].inputs == ("pooled",)
    assert graph.nodes[4].inputs == ("flat", "weights", "")
    assert not any(name.startswith("parameter") for name in graph.tensors)


def test_the_reader_knows_the_operators_that_have_code() -> None:
    assert set(OPTION_READERS) == set(OPERATORS)


def _set_type(name: str, kind: str) -> Callable[[Any, Any], None]:
    def change(_: Any, subgraph: Any) -> None:
        _tensor(subgraph, name).type = getattr(schema.TensorType, kind)

    return change


def _set_attribute(name: str, **values: Any) -> Callable[[Any, Any], None]:
    def change(_: Any, subgraph: Any) -> None:
        for attribute, value in values.items():
            setattr(_tensor(subgraph, name), attribute, value)

    return change


def _set_scale(name: str, scale: list[float], zero_point: list[int]) -> Callable[[Any, Any], None]:
    def change(_: Any, subgraph: Any) -> None:
        quantization = _tensor(subgraph, name).quantization
        quantization.scale = np.array(scale, np.float32)
        quantization.zeroPoint = np.array(zero_point, np.int64)

    return change


def _set_operator(position: int, **values: Any) -> Callable[[Any, Any], None]:
    def change(_: Any, subgraph: Any) -> None:
        for attribute, value in values.items():
            setattr(subgraph.operators[position], attribute, value)

    return change


def _set_option(position: int, **values: Any) -> Callable[[Any, Any], None]:
    def change(_: Any, subgraph: Any) -> None:
        for attribute, value in values.items():
            setattr(subgraph.operators[position].builtinOptions, attribute, value)

    return change


def _set_code(
    position: int, builtin: str, custom: bytes | None = None
) -> Callable[[Any, Any], None]:
    def change(model: Any, _: Any) -> None:
        number = getattr(schema.BuiltinOperator, builtin)
        model.operatorCodes[position].builtinCode = number
        model.operatorCodes[position].deprecatedBuiltinCode = min(number, 127)
        model.operatorCodes[position].customCode = custom

    return change


def _compute_paddings(_: Any, subgraph: Any) -> None:
    subgraph.tensors[subgraph.operators[0].inputs[1]].buffer = 0


def _two_subgraphs(model: Any, subgraph: Any) -> None:
    model.subgraphs = [subgraph, subgraph]


def _cut_data(model: Any, subgraph: Any) -> None:
    model.buffers[_tensor(subgraph, "kernel").buffer].data = np.zeros(5, np.uint8)


def _no_outputs(_: Any, subgraph: Any) -> None:
    subgraph.outputs = np.zeros(0, np.int32)


def _swapped(_: Any, subgraph: Any) -> None:
    subgraph.operators = subgraph.operators[::-1]


# what is changed, and words that the message must hold
UNSUPPORTED: dict[str, tuple[Callable[[Any, Any], None], tuple[str, ...]]] = {
    "int16 activations": (_set_type("features", "INT16"), ("features", "INT16", "INT8")),
    "uint8 activations": (_set_type("image", "UINT8"), ("image", "UINT8")),
    "float left inside": (_set_type("scores", "FLOAT32"), ("FULLY_CONNECTED", "scores", "float32")),
    "dynamic shape": (
        _set_attribute("image", shapeSignature=np.array([1, -1, 4, 2], np.int32)),
        ("image", "dynamic", "-1"),
    ),
    "empty shape": (
        _set_attribute("image", shape=np.array([1, 0, 4, 2], np.int32)),
        ("image", "0"),
    ),
    "huge shape": (
        _set_attribute("image", shape=np.array([1, 2**20, 2**20, 2], np.int32)),
        ("image",),
    ),
    "nine dimensions": (_set_attribute("image", shape=np.ones(9, np.int32)), ("image", "9", "5")),
    "variable": (_set_attribute("image", isVariable=True), ("image", "variable")),
    "unknown operator": (_set_code(5, "LSTM"), ("LSTM", "position 5", "shares")),
    "custom operator": (_set_code(5, "CUSTOM", b"mine"), ("CUSTOM", "'mine'", "position 5")),
    "tanh fused": (_set_option(1, fusedActivationFunction=4), ("CONV_2D", "activation 4", "RELU6")),
    "no stride": (_set_option(1, strideH=0), ("CONV_2D", "stride (0, 1)")),
    "huge dilation": (
        _set_option(1, dilationHFactor=2**30, padding=schema.Padding.SAME),
        ("CONV_2D", "padding", "1024"),
    ),
    "no options": (
        _set_operator(1, builtinOptions=None, builtinOptionsType=0),
        ("CONV_2D", "Conv2DOptions"),
    ),
    "shuffled weights": (_set_option(4, weightsFormat=1), ("FULLY_CONNECTED", "shuffled")),
    "beta": (_set_option(5, beta=float("nan")), ("SOFTMAX", "beta", "nan")),
    "computed paddings": (_compute_paddings, ("pad_0", "paddings", "constant")),
    "two subgraphs": (_two_subgraphs, ("2 subgraphs",)),
    "short data": (_cut_data, ("kernel", "5 bytes", "54")),
    "no outputs": (_no_outputs, ("0 outputs",)),
    "wrong order": (_swapped, ("scores", "before")),
    "unknown tensor": (_set_operator(5, inputs=np.array([77], np.int32)), ("operator 5", "77")),
    "no paddings": (_set_operator(0, inputs=np.array([0], np.int32)), ("pad_0", "1 inputs")),
    "no bias": (_set_operator(1, inputs=np.array([1, 2], np.int32)), ("CONV_2D", "2 inputs")),
    "unknown code": (_set_operator(5, opcodeIndex=40), ("operator 5", "40")),
    "zero scale": (_set_scale("flat", [0.0], [0]), ("flat", "scale")),
    "infinite scale": (_set_scale("flat", [float("inf")], [0]), ("flat", "scale")),
    "zero point": (_set_scale("flat", [0.2], [-129]), ("flat", "-128..127")),
    "weights' zero point": (_set_scale("weights", [0.02], [3]), ("weights", "zero point 0")),
    "scales": (_set_scale("kernel", [0.1, 0.2], [0, 0]), ("kernel", "2 scales", "axis 0")),
    "bias scale": (_set_scale("bias", [9.0] * 3, [0] * 3), ("bias", "scale")),
    "softmax's scale": (_set_scale("shares", [0.01], [-128]), ("shares", "0.00390625")),
    "pool's scale": (_set_scale("pooled", [0.3], [-128]), ("AVERAGE_POOL_2D", "0.3", "0.2")),
    "shape": (
        _set_attribute("features", shape=np.array([1, 4, 4, 4], np.int32)),
        ("features", "4, 4, 3"),
    ),
}


@pytest.mark.parametrize("name", UNSUPPORTED)
def test_what_has_no_code_is_refused_with_its_place(name: str) -> None:
    change, words = UNSUPPORTED[name]
    with pytest.raises(UnsupportedModelError) as caught:
        _read(_changed(change))
    for word in words:
        assert word in caught.value.message, caught.value.message


def test_an_unsupported_operator_comes_with_the_supported_ones() -> None:
    with pytest.raises(UnsupportedModelError) as caught:
        _read(_changed(_set_code(5, "LSTM")))
    assert all(op in caught.value.hint for op in OPERATORS)


@pytest.mark.parametrize(
    "content", [b"", b"TFL3", bytes(100), b"PK\x03\x04" + bytes(60), NETWORK[:8]]
)
def test_what_is_no_tflite_file_is_refused(content: bytes) -> None:
    with pytest.raises(UnsupportedModelError, match="net"):
        _read(content)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedModelError, match=r"missing\.tflite"):
        read_tflite(tmp_path / "missing.tflite", Rounding.SINGLE)
    with pytest.raises(UnsupportedModelError, match="cannot read"):
        read_tflite(tmp_path, Rounding.SINGLE)
    large = tmp_path / "large.tflite"
    with large.open("wb") as file:
        file.truncate(MAX_FILE_BYTES + 1)
    with pytest.raises(UnsupportedModelError, match=str(MAX_FILE_BYTES)):
        read_tflite(large, Rounding.SINGLE)


def test_tensors_without_a_name_or_with_the_same_one_get_their_own() -> None:
    def change(_: Any, subgraph: Any) -> None:
        for tensor, name in zip(subgraph.tensors, (None, b"a", b"a", b"a#2"), strict=False):
            tensor.name = name

    assert len(_read(_changed(change)).tensors) == len(_read(NETWORK).tensors)


def _peak_bytes(content: bytes) -> int:
    tracemalloc.start()
    try:
        with pytest.raises(UnsupportedModelError):
            _read(content)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_tables_that_overlap_cannot_multiply_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    # The same long vector as the inputs of an operator.
    many = _set_operator(5, inputs=np.zeros(2**20, np.int32))
    assert _peak_bytes(_changed(many)) < 16 * 2**20
    for limit in ("MAX_SCALES", "MAX_CONSTANTS", "MAX_ENTRIES"):
        with monkeypatch.context() as lowered:
            lowered.setattr(tflite, limit, 5)
            with pytest.raises(UnsupportedModelError, match="at most 5"):
                _read(NETWORK)


def _survives(content: bytes) -> None:
    """Read, or refuse in one way."""
    try:
        graph = _read(content)
    except UnsupportedModelError:
        pass
    else:
        assert graph.nodes


@settings(max_examples=400, deadline=2000)
@given(st.integers(0, len(NETWORK)))
def test_a_truncated_file_is_refused(length: int) -> None:
    _survives(NETWORK[:length])


@settings(max_examples=1500, deadline=2000)
@given(
    st.lists(
        st.tuples(st.integers(8, len(NETWORK) - 1), st.integers(0, 255)), min_size=1, max_size=8
    )
)
def test_a_file_with_changed_bytes_is_read_or_refused(changes: list[tuple[int, int]]) -> None:
    content = bytearray(NETWORK)
    for place, value in changes:
        content[place] = value
    _survives(bytes(content))


@settings(max_examples=800, deadline=2000)
@given(
    st.integers(2, len(NETWORK) // 4 - 1),
    st.sampled_from([0, 1, 4, 0x7F, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF]),
)
def test_a_file_with_a_changed_word_is_read_or_refused(word: int, value: int) -> None:
    content = bytearray(NETWORK)
    content[4 * word : 4 * word + 4] = value.to_bytes(4, "little")
    _survives(bytes(content))


@settings(max_examples=300, deadline=2000)
@given(st.binary(max_size=300))
def test_bytes_behind_the_identifier_are_read_or_refused(content: bytes) -> None:
    _survives(content[:4].ljust(4, b"\x10") + b"TFL3" + content[4:])
