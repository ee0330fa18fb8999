"""The kernel of every layer of a model, for a class of cores."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from device_profiles.core import KernelClass
from export.kernels.layer import KernelCode
from export.kernels.m4.select import m4_kernels
from export.kernels.m55.convolution import COLUMN_BYTES
from export.kernels.m55.kernel import m55_kernel
from export.kernels.scalar.select import scalar_kernel

if TYPE_CHECKING:
    from collections.abc import Sequence

    from export.kernels.layer import Convolution, FullyConnected


def select_kernels(
    layers: Sequence[FullyConnected | Convolution],
    kernel_class: KernelClass,
    *,
    saves_scratch: bool = False,
) -> tuple[KernelCode, ...]:
    """Code for each layer; plain C where the class's own scheme refuses, as the note says.

    Args:
        layers: of one model, names unique.
        kernel_class: of the core.
        saves_scratch: less scratch for more instructions, in layers where a class has both.
    """
    if kernel_class is KernelClass.SCALAR:
        return tuple(scalar_kernel(layer) for layer in layers)
    if kernel_class is KernelClass.MVE:
        column_bytes = 0 if saves_scratch else COLUMN_BYTES
        return tuple(m55_kernel(layer, column_bytes=column_bytes) for layer in layers)
    return tuple(
        code if isinstance(code, KernelCode) else _plain(layer, code)
        for layer, code in zip(layers, m4_kernels(layers, saves_scratch=saves_scratch), strict=True)
    )


def _plain(layer: FullyConnected | Convolution, reason: str) -> KernelCode:
    code = scalar_kernel(layer)
    return replace(code, note=f"{code.note}; because {reason}")
