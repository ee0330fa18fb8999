"""Checkpoints: quantised as they are, and refused with one clear sentence where they are broken."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

import device_profiles
from edge_runtime.wire.tensor import TensorSpec
from export.frontend.checkpoint import read_checkpoint
from export.frontend.litert_agreement import litert_agreement
from export.graph import Rounding
from export.interpret import run
from export.passes import lower
from export.specs import tensor_specs
from export.verify import calls
from jouleloop.errors import CheckpointError, UnsupportedModelError
from tests.export.checkpoints import Policy, write_card, write_checkpoint

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.pure

PROFILE = device_profiles.load("mps2-an386")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_checkpoint(tmp_path_factory.mktemp("checkpoint"), has_residual=True)


@pytest.fixture
def broken(checkpoint: Path, tmp_path: Path) -> Path:
    """A copy to break."""
    for path in checkpoint.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    return tmp_path


def test_the_quantised_graph_does_what_the_network_does(checkpoint: Path) -> None:
    source = read_checkpoint(checkpoint, Rounding.SINGLE)
    graph = lower(source.graph, PROFILE)
    ((given,), (scores,)) = tensor_specs(graph)
    assert isinstance(given, TensorSpec)
    assert (given.name, given.shape) == ("observation", (1, 12))
    assert (scores.name, scores.shape) == ("scores", (1, 4))
    torch.manual_seed(0)
    network = Policy((12, 32, 32, 4), has_residual=True).eval()
    rows = source.rows["observation"]
    with torch.no_grad():
        expected = network(torch.from_numpy(rows)).numpy()
    got = scores.dequantize(run(graph, {"observation": given.quantize(rows)})["scores"])
    # int8 has 256 steps over the range that calibration saw.
    assert np.abs(got - expected).max() < 0.05 * np.ptp(expected)
    assert (got.argmax(axis=1) == expected.argmax(axis=1)).mean() > 0.9


def test_single_agrees_with_litert_for_every_input(checkpoint: Path) -> None:
    graph = lower(read_checkpoint(checkpoint, Rounding.SINGLE).graph, PROFILE)
    layers = [call for call in calls(graph) if call.node.op == "FULLY_CONNECTED"]
    assert len(layers) == 3
    assert all(litert_agreement(call).all() for call in layers)


def test_weights_are_quantised_per_output_channel(checkpoint: Path) -> None:
    graph = read_checkpoint(checkpoint, Rounding.DOUBLE).graph
    axes = {call.input(1).quantization.axis for call in calls(graph) if len(call.inputs) == 3}
    assert axes == {0}
    assert graph.rounding is Rounding.DOUBLE


@pytest.mark.parametrize("name", ["program.pt2", "card.json", "calibration.npz"])
def test_a_missing_file_is_named(broken: Path, name: str) -> None:
    (broken / name).unlink()
    with pytest.raises(CheckpointError, match=f"it has no {name}") as caught:
        read_checkpoint(broken, Rounding.SINGLE)
    assert "jouleloop train policy" in caught.value.hint


def test_a_missing_folder_is_no_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="is not a checkpoint"):
        read_checkpoint(tmp_path / "nowhere", Rounding.SINGLE)


@pytest.mark.parametrize("content", [b"", b"not a zip", b"PK\x03\x04" + bytes(50)])
def test_a_broken_program_is_named(broken: Path, content: bytes) -> None:
    (broken / "program.pt2").write_bytes(content)
    with pytest.raises(CheckpointError, match=r"program\.pt2 is not a torch\.export program"):
        read_checkpoint(broken, Rounding.SINGLE)


def test_a_truncated_program_is_named(broken: Path) -> None:
    content = (broken / "program.pt2").read_bytes()
    (broken / "program.pt2").write_bytes(content[: len(content) // 2])
    with pytest.raises(CheckpointError, match=r"program\.pt2 is not a torch\.export program"):
        read_checkpoint(broken, Rounding.SINGLE)


@pytest.mark.parametrize(
    "content", ["", "{", "[]", "{}", '{"format": 1, "name": ""}', '{"format": "x"}']
)
def test_a_broken_card_is_named(broken: Path, content: str) -> None:
    (broken / "card.json").write_text(content)
    with pytest.raises(CheckpointError, match=r"card\.json is not a card"):
        read_checkpoint(broken, Rounding.SINGLE)


def test_a_card_of_another_format_or_model_is_named(broken: Path) -> None:
    write_card(broken, "observation", (12, 4), format=2)
    with pytest.raises(CheckpointError, match="has format 2; this jouleloop reads format 1"):
        read_checkpoint(broken, Rounding.SINGLE)
    write_card(broken, "observation", (13, 4))
    with pytest.raises(CheckpointError, match=r"names the inputs .*13.*has .*12"):
        read_checkpoint(broken, Rounding.SINGLE)
    card = json.loads((broken / "card.json").read_text())
    write_card(broken, "observation", (12, 4), outputs=card["outputs"] * 2)
    with pytest.raises(CheckpointError, match="names 2 outputs"):
        read_checkpoint(broken, Rounding.SINGLE)


def rows(count: int = 8, width: int = 12) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    return np.zeros((count, width), np.float32)


@pytest.mark.parametrize(
    ("arrays", "pattern"),
    [
        ({}, "has rows for nothing"),
        ({"other": rows()}, "has rows for other; the model's inputs are observation"),
        ({"observation": rows(0)}, "the same number of rows >= 1"),
        ({"observation": np.float32(3)}, "the same number of rows >= 1"),
        ({"observation": rows(width=13)}, r"must be float32 rows of \(12,\)"),
        ({"observation": rows().astype(np.int64)}, "must be float32 rows"),
        ({"observation": rows() + np.float32(np.nan)}, "NaN or infinite, the first in row 0"),
        ({"observation": rows() - np.float32(np.inf)}, "NaN or infinite"),
        ({"observation": np.full((8, 12), 1e300)}, "NaN or infinite"),
    ],
    ids=str,
)
def test_calibration_rows_that_cannot_be_used(
    broken: Path, arrays: dict[str, object], pattern: str
) -> None:
    np.savez(broken / "calibration.npz", **arrays)  # type: ignore[arg-type]  # wrong on purpose
    with pytest.raises(CheckpointError, match=pattern):
        read_checkpoint(broken, Rounding.SINGLE)


def test_a_broken_calibration_file_is_named(broken: Path) -> None:
    for content in (b"", b"nonsense", (broken / "calibration.npz").read_bytes()[:100]):
        (broken / "calibration.npz").write_bytes(content)
        with pytest.raises(CheckpointError, match=r"calibration\.npz is not a readable"):
            read_checkpoint(broken, Rounding.SINGLE)


def test_calibration_that_holds_objects_is_not_unpickled(broken: Path) -> None:
    np.savez(broken / "calibration.npz", observation=np.array([{"a": 1}], object))
    with pytest.raises(CheckpointError, match=r"calibration\.npz is not a readable"):
        read_checkpoint(broken, Rounding.SINGLE)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers_are_named(tmp_path: Path, value: float) -> None:
    network = Policy((12, 8, 4), has_residual=False)
    with torch.no_grad():
        network.linears[1].bias[2] = value
    write_checkpoint(tmp_path, (12, 8, 4), module=network)
    with pytest.raises(CheckpointError, match=r"weight layers\.1\.bias has values that are NaN"):
        read_checkpoint(tmp_path, Rounding.SINGLE)


def test_a_dynamic_batch_is_named(tmp_path: Path) -> None:
    write_checkpoint(tmp_path, dynamic=True)
    with pytest.raises(UnsupportedModelError, match="input observation has the dynamic shape"):
        read_checkpoint(tmp_path, Rounding.SINGLE)


class Oscillator(torch.nn.Module):
    def forward(self, observation: torch.Tensor) -> torch.Tensor:
        return torch.sin(observation)


def test_an_operator_without_code_is_named(tmp_path: Path) -> None:
    write_checkpoint(tmp_path, (12, 12), module=Oscillator())
    with pytest.raises(UnsupportedModelError, match=r"operator Sin \(node .*supported: Add"):
        read_checkpoint(tmp_path, Rounding.SINGLE)


def test_a_layer_that_is_always_zero_exports(tmp_path: Path) -> None:
    """Dead units have a range of nothing, and weights of zero a scale of nothing."""
    network = Policy((12, 8, 4), has_residual=False)
    with torch.no_grad():
        network.linears[0].weight[:] = 0
        network.linears[0].bias[:] = -1
    write_checkpoint(tmp_path, (12, 8, 4), module=network)
    graph = lower(read_checkpoint(tmp_path, Rounding.SINGLE).graph, PROFILE)
    out = run(graph, {"observation": np.zeros((3, 12), np.int8)})["scores"]
    assert np.ptp(out, axis=0).max() == 0
