"""MAX_POOL_2D: the largest element of a window, of what lies inside the image.

Input and output have one scale and zero point, so nothing is rounded.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from export.ops.operator import Call, Shape, TfliteOperator
from export.ops.pooling import (
    POOL_SIGNATURE,
    emit_pool,
    infer_pool,
    pool_clamps,
    pool_tflite,
    pool_window,
    write_onnx_pool,
)

if TYPE_CHECKING:
    from types import ModuleType

    from numpy.typing import NDArray

    from device_profiles.core import Core
    from export.kernels.layer import KernelCode
    from export.render.onnx import OnnxWriter

NAME = "MAX_POOL_2D"
SIGNATURE = POOL_SIGNATURE


def infer(call: Call) -> tuple[Shape, ...]:
    """[1, h, w, channels] → [1, h', w', channels]."""
    return infer_pool(call)


def macs(call: Call) -> int:
    """None."""
    return 0


def reference(call: Call, *inputs: NDArray[Any] | None) -> tuple[NDArray[Any], ...]:
    """The specification; int8 [rows, 1, height, width, channels]."""
    source = np.asarray(inputs[0])
    images = source.reshape(-1, *call.input(0).shape[1:])
    largest = np.full((len(images), *call.output.shape[1:]), -128, np.int8)
    for _, _, seen in pool_window(call).taps(images, -128):
        np.maximum(largest, seen, out=largest)
    out = np.clip(largest, *pool_clamps(call)).astype(np.int8)
    return (out.reshape(len(source), *call.output.shape),)


def emit_c(call: Call, symbol: str, core: Core) -> KernelCode:
    """Plain loops."""
    take = "value = element > value ? element : value;"
    return emit_pool(call, symbol, core, start=-128, take=take, finish="")


def write_onnx(call: Call, onnx: OnnxWriter) -> None:
    """MaxPool between two transpositions."""
    write_onnx_pool(call, onnx, "MaxPool")


def write_tflite(call: Call, schema: ModuleType) -> TfliteOperator:
    """MAX_POOL_2D."""
    return pool_tflite(call, schema)
