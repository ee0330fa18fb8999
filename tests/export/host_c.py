"""Compile a graph's generated C for this machine, with sanitizers, and run rows through it."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING, Any

import numpy as np

from device_profiles.core import CORES
from export.render.c import ENTRY, render_c

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from export.graph import QGraph

WARNINGS = ("-std=c11", "-Wall", "-Wextra", "-Wconversion", "-Werror")
SANITIZERS = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all")

# Buffers of exactly the sizes that the entry names, on the heap, where ASan sees every overrun.
MAIN = f"""
#include <stdio.h>
#include <stdlib.h>

int main(void) {{
    void *const arena = aligned_alloc(16, JL_ARENA_BYTES + 16);
    int8_t *const in = malloc(JL_INPUT_BYTES);
    int8_t *const out = malloc(JL_OUTPUT_BYTES);
    while (fread(in, 1, JL_INPUT_BYTES, stdin) == JL_INPUT_BYTES) {{
        if ({ENTRY}(arena, in, out) != 0) {{
            return 1;
        }}
        fwrite(out, 1, JL_OUTPUT_BYTES, stdout);
    }}
    free(arena);
    free(in);
    free(out);
    return 0;
}}
"""


def run_c(
    graph: QGraph, rows: Mapping[str, NDArray[Any]], folder: Path
) -> dict[str, NDArray[np.int8]]:
    """Rows through the plain C of a graph.

    Args:
        graph: lowered.
        rows: int8 [n, *shape] by input name.
        folder: for the program; empty.

    Returns:
        int8 [n, *shape] by output name.
    """
    program = render_c(graph, CORES["cortex-m3"], producer="a test", model_sha256="0" * 64)
    for name, text in program.files.items():
        (folder / name).write_text(text + MAIN if name == "model.c" else text)
    sources, binary = sorted(program.files), folder / "model"
    command = ["gcc", *WARNINGS, *SANITIZERS, "-O1", "-o", binary.name, *sources]
    subprocess.run(command, check=True, cwd=folder)
    count = len(next(iter(rows.values())))
    flat = [np.ascontiguousarray(rows[name]).reshape(count, -1) for name in graph.inputs]
    given = np.concatenate(flat, axis=1).tobytes()
    answer = subprocess.run([str(binary)], input=given, stdout=subprocess.PIPE, check=True).stdout
    written = np.frombuffer(answer, np.int8).reshape(count, -1)
    sizes = [graph.tensors[name].size for name in graph.outputs]
    parts = np.split(written, np.cumsum(sizes)[:-1], axis=1)
    return {
        name: part.reshape(count, *graph.tensors[name].shape)
        for name, part in zip(graph.outputs, parts, strict=True)
    }
