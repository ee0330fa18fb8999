"""AVERAGE_POOL_2D: the mean of a window, of what lies inside the image, ties away from zero.

Input and output have one scale and zero point. TensorFlow Lite Micro and LiteRT agree, so both
rules are the same.
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

NAME = "AVERAGE_POOL_2D"
SIGNATURE = POOL_SIGNATURE


def infer(call: Call) -> tuple[Shape, ...]:
    """[1, h, w, channels] → [1, h', w', channels]."""
    return infer_pool(call)


def macs(call: Call) -> int:
    """None."""
    return 0


def reference(call: Call, *inputs: NDArray[Any] | None) -> tuple[NDArray[Any], ...]:
    """The specification; int8 [rows, 1, height, width, channels]."""
    source, window = np.asarray(inputs[0]), pool_window(call)
    images = source.reshape(-1, *call.input(0).shape[1:]).astype(np.int32)
    total = sum(seen for _, _, seen in window.taps(images, 0))
    count = window.counts((images.shape[1], images.shape[2]))[:, :, None]
    magnitude = (np.abs(total) + count // 2) // count
    mean = np.where(total > 0, magnitude, -magnitude)
    out = np.clip(mean, *pool_clamps(call)).astype(np.int8)
    return (out.reshape(len(source), *call.output.shape),)


def emit_c(call: Call, symbol: str, core: Core) -> KernelCode:
    """Plain loops; the division rounds ties away from zero."""
    mean = """\
const int32_t count = (bottom - top) * (right - left);
value = (value > 0 ? value + count / 2 : value - count / 2) / count;
"""
    return emit_pool(call, symbol, core, start=0, take="value += element;", finish=mean)


def write_onnx(call: Call, onnx: OnnxWriter) -> None:
    """AveragePool between two transpositions."""
    write_onnx_pool(call, onnx, "AveragePool", count_include_pad=0)


def write_tflite(call: Call, schema: ModuleType) -> TfliteOperator:
    """AVERAGE_POOL_2D."""
    return pool_tflite(call, schema)
