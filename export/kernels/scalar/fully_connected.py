"""Fully connected layers in plain C."""

from __future__ import annotations

from export.kernels.layer import FullyConnected, KernelCode
from export.kernels.scalar.rows import rows_function, rows_instructions

_STACK_BYTES = 96


def fully_connected(layer: FullyConnected) -> KernelCode:
    """Code for a layer of any shape and scale."""
    outputs, inputs = layer.weights.shape
    rows, note = rows_function(
        layer.name, layer.weights, layer.bias, layer.input_zero_point, layer.requantisation
    )
    call = f"{layer.name}_rows(in + {inputs} * row, out + {outputs} * row);"
    source = (
        f"#include <stdint.h>\n\n{rows}"
        f"/* {layer.name}: fully connected {inputs} -> {outputs} */\n"
        f"void {layer.name}(const int8_t *in, int8_t *out, void *scratch);\n"
        f"void {layer.name}(const int8_t *in, int8_t *out, void *scratch) {{\n"
        "    (void)scratch;\n"
        f"    for (uint32_t row = 0; row < {layer.rows}; row++) {call}\n}}\n"
    )
    return KernelCode(
        symbol=layer.name,
        source=source,
        suffix=".c",
        scratch_bytes=0,
        weights_bytes=outputs * (inputs + 12),
        instructions=layer.rows * rows_instructions(outputs, inputs),
        stack_bytes=_STACK_BYTES,
        note=f"plain C, four rows at a time; {note}",
    )
