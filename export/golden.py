"""Golden rows: inputs and the exact outputs that a device must give for them."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from edge_runtime.wire.module import SelfTest
from export.interpret import run
from export.specs import tensor_specs

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from edge_runtime.wire.module import Ceiling
    from export.graph import QGraph

ROWS_PER_KIND = 16
SEED = 20_260_101
# What a module carries of them is flash; a few rows tell a wrong module from a right one.
SELF_TEST_BYTES = 512
SELF_TEST_ROWS = 4


@dataclass(frozen=True, eq=False)
class Golden:
    """Rows as a module takes them: int8 [rows, bytes], the tensors of a row one behind the other.

    Args:
        inputs: typical rows, uniform ones, and extreme ones (each element −128 or 127, which
            drives outputs into saturation); the constants −128, 127 and the zero point first.
        outputs: exact, by the interpreter.
    """

    inputs: NDArray[np.int8]
    outputs: NDArray[np.int8]

    def as_npz(self) -> bytes:
        """The file `golden.npz`: `inputs` and `outputs`."""
        buffer = io.BytesIO()
        np.savez(buffer, inputs=self.inputs, outputs=self.outputs)
        return buffer.getvalue()

    def self_test(self, ceilings: tuple[Ceiling, ...]) -> SelfTest:
        """A few rows of each kind for the module itself, at most 512 bytes unless one is longer."""
        row_bytes = self.inputs.shape[1] + self.outputs.shape[1]
        count = max(1, min(SELF_TEST_ROWS, SELF_TEST_BYTES // row_bytes, len(self.inputs)))
        # Spread over the kinds, which stand one behind the other; the last row is an extreme one.
        chosen = np.linspace(len(self.inputs) - 1, 0, count).round().astype(int)
        return SelfTest(
            count, self.inputs[chosen].tobytes(), self.outputs[chosen].tobytes(), ceilings
        )


def make_golden(graph: QGraph, typical: Mapping[str, NDArray[Any]]) -> Golden:
    """Golden rows of a lowered graph; the same graph and rows give the same.

    Args:
        graph: lowered.
        typical: real inputs, float32 [n, *shape[1:]] by name; may be empty.
    """
    rng = np.random.default_rng(SEED)
    inputs = {
        spec.name: np.concatenate(
            [
                _constants(spec.size, spec.zero_point),
                *_typical(typical.get(spec.name), spec),
                rng.integers(-128, 128, (ROWS_PER_KIND, spec.size)).astype(np.int8),
                np.where(rng.integers(0, 2, (ROWS_PER_KIND, spec.size)) == 1, 127, -128),
            ]
        ).astype(np.int8)
        for spec in tensor_specs(graph)[0]
    }
    shaped = {
        name: rows.reshape(len(rows), *graph.tensors[name].shape) for name, rows in inputs.items()
    }
    outputs = run(graph, shaped)
    return Golden(
        np.concatenate([inputs[name] for name in graph.inputs], axis=1),
        np.concatenate([outputs[n].reshape(len(outputs[n]), -1) for n in graph.outputs], axis=1),
    )


def _constants(size: int, zero_point: int) -> NDArray[np.int8]:
    return np.repeat(np.array([[-128], [127], [zero_point]], np.int8), size, axis=1)


def _typical(rows: NDArray[Any] | None, spec: Any) -> list[NDArray[np.int8]]:
    if rows is None:
        return []
    chosen = np.linspace(0, len(rows) - 1, min(ROWS_PER_KIND, len(rows))).round().astype(int)
    return [spec.quantize(rows[chosen].reshape(len(chosen), -1))]
