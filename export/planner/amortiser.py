"""A planner's amortiser: the checkpoint inside its checkpoint, compiled beside the denoiser."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import jouleloop
from edge_runtime.planner.amortiser import Amortiser
from edge_runtime.wire.bundle import AMORTISER_ONNX, AMORTISER_TFLITE
from export.frontend.read_source import read_source
from export.interpret import run_rows
from export.passes import lower
from export.render.onnx import render_onnx
from export.render.tflite import render_tflite
from export.specs import tensor_specs
from jouleloop.errors import CheckpointError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from device_profiles import DeviceProfile
    from edge_runtime.planner.network import Network
    from export.graph import QGraph, Rounding

    ShowGraph = Callable[[str, QGraph], None]

FOLDER = "amortiser"  # inside the planner's checkpoint
PART = "guess"  # what its C is named after


@dataclass(frozen=True, eq=False)
class QuantisedAmortiser:
    """An amortiser as the exporter has it.

    Args:
        graph: lowered.
        guess: the same, ready to run here by the interpreter.
    """

    graph: QGraph
    guess: Amortiser

    def files(self, producer: str) -> dict[str, bytes]:
        """Its files in the bundle."""
        return {
            AMORTISER_ONNX: render_onnx(
                self.graph, producer="jouleloop", version=jouleloop.__version__
            ),
            AMORTISER_TFLITE: render_tflite(self.graph, producer=producer),
        }

    def as_record(self) -> dict[str, Any]:
        """What a host needs to run it."""
        before, after = self.guess.specs
        return {"input": before.as_record(), "output": after.as_record()}


def read_amortiser(
    checkpoint: Path,
    network: Network,
    profile: DeviceProfile,
    rounding: Rounding,
    show: ShowGraph,
) -> QuantisedAmortiser:
    """Quantise the amortiser of a planner.

    Args:
        checkpoint: the planner's.
        network: that it plans.
        profile: the device.
        rounding: the requantisation rule.
        show: called with each stage of the compiler and the graph after it.

    Raises:
        CheckpointError: there is none, or it was trained for another network.
    """
    folder = checkpoint / FOLDER
    if not folder.is_dir():
        raise CheckpointError(
            f"{checkpoint} has no amortised projector: there is no {folder.name}/ in it",
            hint="train the planner again, or export with --projector exact",
        )
    source = read_source(folder, rounding)
    graph = lower(source.graph, profile, dump=lambda stage, after: show(f"{PART}-{stage}", after))
    (before,), (after,) = tensor_specs(graph)
    edges = len(network.sources)
    wanted = (edges + 3 * len(network.nodes), edges)
    if (before.size, after.size) != wanted:
        raise CheckpointError(
            f"the amortiser in {folder} takes {before.size} values and gives {after.size}; its "
            f"planner's network needs {wanted[0]} and {wanted[1]}",
            hint="it is of another planner; train the planner again",
        )
    return QuantisedAmortiser(
        graph, Amortiser(network, (before, after), lambda rows: run_rows(graph, rows))
    )
