"""The compiler on a Cortex-M4F: instructions and bytes, beside TFLM with CMSIS-NN and others.

`--rounding double`, either `--optimize` mode, on the emulated mps2-an386; every output of every row
is compared with the interpreter, and with TensorFlow Lite Micro's where its rows are at hand.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks._compiler import Limits, measure_models
from benchmarks._peers import AD, KWS, MLP
from export.optimize import Optimize

if TYPE_CHECKING:
    from hil_tests.result import Measure

DEVICE = "mps2-an386"
KIB = 1024
LIMITS = {
    KWS: Limits(2.5e6, None, 21 * KIB, 10 * KIB, export_s=15),
    AD: Limits(225e3, None, 3 * KIB, 6 * KIB),
    MLP: Limits(6_800, None, int(0.4 * KIB), 4 * KIB),
}
MEMORY_LIMITS = {
    KWS: Limits(4e6, None, 10 * KIB),
    AD: Limits(300e3, None, 2 * KIB),
    MLP: Limits(9_000, None, int(0.3 * KIB)),
}


def main() -> list[Measure]:
    """The figures of every model in both modes."""
    return [
        *measure_models(DEVICE, LIMITS),
        *measure_models(DEVICE, MEMORY_LIMITS, Optimize.MEMORY),
    ]
