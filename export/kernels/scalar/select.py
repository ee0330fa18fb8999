"""The plain C kernel of a layer; there is one for every layer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from export.kernels.layer import FullyConnected
from export.kernels.scalar.convolution import convolution
from export.kernels.scalar.depthwise import depthwise
from export.kernels.scalar.fully_connected import fully_connected

if TYPE_CHECKING:
    from export.kernels.layer import Convolution, KernelCode


def scalar_kernel(layer: FullyConnected | Convolution) -> KernelCode:
    """Code for a layer of any kind, shape and scale."""
    if isinstance(layer, FullyConnected):
        return fully_connected(layer)
    return depthwise(layer) if layer.is_depthwise else convolution(layer)
