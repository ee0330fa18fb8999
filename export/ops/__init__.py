"""The operators: one file each, listed here."""

from export.ops import (
    add,
    average_pool_2d,
    concatenation,
    conv_2d,
    depthwise_conv_2d,
    dequantize,
    fully_connected,
    logistic,
    max_pool_2d,
    mean,
    mul,
    pad,
    quantize,
    relu,
    relu6,
    reshape,
    softmax,
    sub,
    tanh,
)
from export.ops.operator import (
    Call,
    KernelOperator,
    Operand,
    Operator,
    PlainOperator,
    Signature,
    TfliteOperator,
)

PLAIN_OPERATORS: dict[str, PlainOperator] = {
    "ADD": add,
    "AVERAGE_POOL_2D": average_pool_2d,
    "CONCATENATION": concatenation,
    "DEQUANTIZE": dequantize,
    "LOGISTIC": logistic,
    "MAX_POOL_2D": max_pool_2d,
    "MEAN": mean,
    "MUL": mul,
    "PAD": pad,
    "QUANTIZE": quantize,
    "RELU": relu,
    "RELU6": relu6,
    "RESHAPE": reshape,
    "SOFTMAX": softmax,
    "SUB": sub,
    "TANH": tanh,
}

KERNEL_OPERATORS: dict[str, KernelOperator] = {
    "CONV_2D": conv_2d,
    "DEPTHWISE_CONV_2D": depthwise_conv_2d,
    "FULLY_CONNECTED": fully_connected,
}

OPERATORS: dict[str, Operator] = dict(sorted({**PLAIN_OPERATORS, **KERNEL_OPERATORS}.items()))

__all__ = [
    "KERNEL_OPERATORS",
    "OPERATORS",
    "PLAIN_OPERATORS",
    "Call",
    "KernelOperator",
    "Operand",
    "Operator",
    "PlainOperator",
    "Signature",
    "TfliteOperator",
]
