"""A planner's bundle on a Linux node: its sampler, run by a backend and NumPy."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from edge_runtime.node.backends import open_backend
from edge_runtime.planner.amortiser import Amortiser
from edge_runtime.planner.arithmetic import FixedArithmetic, FloatArithmetic
from edge_runtime.planner.drawing import ProjectionMode, Sampler
from edge_runtime.planner.objectives import OBJECTIVES
from edge_runtime.planner.planner import Planner
from edge_runtime.planner.projection import Projector
from edge_runtime.planner.sampler import FAMILY, network_of, sampler_tables
from edge_runtime.wire.bundle import AMORTISER_ONNX, AMORTISER_TFLITE, ONNX, PLANNER, TFLITE
from edge_runtime.wire.tensor import TensorSpec
from jouleloop.errors import BundleError

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from edge_runtime.planner.network import Network, Plans
    from edge_runtime.wire.bundle import Bundle

    Floats = NDArray[np.float64]


def open_sampler(bundle: Bundle, backend: str = "litert") -> Sampler:
    """The sampler of a bundle, with the bits of its native module where LiteRT runs it.

    Args:
        bundle: of a planner.
        backend: what runs the int8 graphs, one of `edge_runtime.node.backends.BACKENDS`.

    Raises:
        BundleError: no planner's bundle, or broken.
        MissingToolError: the backend's package is not installed.
    """
    record = sampler_record(bundle)
    network = network_of(bundle.card)
    is_fixed = record["arithmetic"] == "fixed"
    return Sampler(
        sampler_tables(bundle.card, int(record["steps"])),
        (bundle.inputs[0], bundle.outputs[0]),
        _rows(bundle, backend),
        Projector(network, FixedArithmetic() if is_fixed else FloatArithmetic(np.float32)),
        ProjectionMode(record.get("projection", ProjectionMode.END)),
        _amortiser(bundle, record, network, backend),
    )


def sampler_record(bundle: Bundle) -> dict[str, Any]:
    """What `planner.json` says of a bundle's sampler.

    Raises:
        BundleError: no planner's bundle.
    """
    if bundle.family != FAMILY or PLANNER not in bundle.files:
        raise BundleError(
            f"{bundle.name} is of the family {bundle.family or 'unknown'}, not a planner",
            hint="train one with `jouleloop train planner`, then export it",
        )
    record: dict[str, Any] = json.loads(bundle.file(PLANNER))
    return record


def planner_of_bundle(bundle: Bundle) -> Planner:
    """A planner that draws as the bundle's device does.

    Raises:
        BundleError: no planner's bundle, or one whose plans are not projected.
        MissingToolError: LiteRT is not installed.
    """
    sampler = open_sampler(bundle)
    if sampler.projection is ProjectionMode.NONE:
        raise BundleError(
            f"{bundle.name} was exported with --projection none: its plans keep no constraint",
            hint="export it with --projection end",
        )
    network, card = sampler.projector.network, bundle.card[FAMILY]
    try:
        served = np.array([network.nodes.index(name) for name in card["served"]], np.int64)
        offsets = {
            level: np.array([row[name] for name in OBJECTIVES])
            for level, row in card["intervals"].items()
        }
    except (KeyError, TypeError, ValueError) as error:
        raise BundleError(
            f"the card of {bundle.name} does not say what the planner is for: {error}",
            hint="train it again with `jouleloop train planner`",
        ) from error

    def draw(conditions: Floats, seed: int) -> Plans:
        return sampler.draw(conditions, seed, np.arange(len(conditions))).plans

    return Planner(network, served, offsets, draw)


def _amortiser(
    bundle: Bundle, record: dict[str, Any], network: Network, backend: str
) -> Amortiser | None:
    if "amortiser" not in record:
        return None
    given, made = (TensorSpec.from_record(record["amortiser"][end]) for end in ("input", "output"))
    model = replace(
        bundle,
        name=f"the amortiser of {bundle.name}",
        inputs=(given,),
        outputs=(made,),
        files={ONNX: bundle.file(AMORTISER_ONNX), TFLITE: bundle.file(AMORTISER_TFLITE)},
    )
    return Amortiser(network, (given, made), _rows(model, backend))


def _rows(bundle: Bundle, backend: str) -> Callable[[NDArray[np.int8]], NDArray[np.int8]]:
    """Runs a bundle's model row by row, int8 [n, inputs] -> [n, outputs]."""
    model = open_backend(bundle, backend)
    return lambda rows: np.stack([model.infer(row) for row in rows])
