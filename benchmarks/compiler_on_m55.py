"""The compiler on a Cortex-M55 with Helium: instructions and bytes, beside TFLM with CMSIS-NN.

`--rounding double`, default optimisation, on the emulated corstone-300 (mps3-an547); every output
of every row is compared with the interpreter, and with TensorFlow Lite Micro's where its rows are
at hand.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks._compiler import Limits, measure_models
from benchmarks._peers import AD, KWS, MLP

if TYPE_CHECKING:
    from hil_tests.result import Measure

DEVICE = "corstone-300"
KIB = 1024
LIMITS = {
    KWS: Limits(560e3, None, 21 * KIB, 12 * KIB, export_s=15),
    AD: Limits(45e3, None, 4 * KIB, 8 * KIB),
    MLP: Limits(1_600, None, int(0.5 * KIB), 5 * KIB),
}


def main() -> list[Measure]:
    """The figures of every model."""
    return measure_models(DEVICE, LIMITS)
