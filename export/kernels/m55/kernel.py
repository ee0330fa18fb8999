"""Which emitter a layer takes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from export.kernels.layer import FullyConnected
from export.kernels.m55.convolution import COLUMN_BYTES, convolution, rows_of_vectors
from export.kernels.m55.depthwise import depthwise
from export.kernels.m55.fully_connected import fully_connected

if TYPE_CHECKING:
    from export.kernels.layer import Convolution, KernelCode


def m55_kernel(
    layer: FullyConnected | Convolution, *, column_bytes: int = COLUMN_BYTES
) -> KernelCode:
    """Code for a layer of any shape on the MVE class, exact by either rounding rule.

    Args:
        layer: the layer; its input lies at a multiple of 4 bytes.
        column_bytes: scratch that a convolution's columns may take, one output row at least; less
            scratch costs instructions.
    """
    if isinstance(layer, FullyConnected):
        return fully_connected(layer) if layer.rows == 1 else rows_of_vectors(layer)
    if layer.is_depthwise:
        return depthwise(layer)
    return convolution(layer, column_bytes=column_bytes)
