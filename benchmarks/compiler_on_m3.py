"""The compiler on a Cortex-M3: what scalar kernels need, and how much packed arithmetic saves.

`--rounding double`, default optimisation, on the emulated mps2-an385; every output of every row is
compared with the interpreter, and with TensorFlow Lite Micro's where its rows are at hand. The
ratio is of executed instructions to those of the Cortex-M4F for the same model.
"""

from __future__ import annotations

from itertools import filterfalse

from benchmarks._compiler import MODELS, Limits, is_absent, measure, measure_models
from benchmarks._peers import KWS
from benchmarks.compiler_on_m4 import DEVICE as DSP_DEVICE
from hil_tests.result import Measure

DEVICE = "mps2-an385"
LIMITS = {KWS: Limits(instructions_per_mac=3.5, export_s=15)}


def main() -> list[Measure]:
    """The figures of every model, and their ratio to the Cortex-M4F's."""
    return [*measure_models(DEVICE, LIMITS), *map(_ratio, filterfalse(is_absent, MODELS))]


def _ratio(model: str) -> Measure:
    scalar, packed = measure(model, DEVICE), measure(model, DSP_DEVICE)
    return Measure(
        f"{model}: instructions, scalar / DSP",
        scalar.instructions / packed.instructions,
        "",
        "measured",
        "; ".join((*scalar.commands, *packed.commands)),
    )
