"""Kernels alone on an emulated Cortex-M55: what they put out, and what they execute."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tests.bare_metal import CORTEX_M55, build, run

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from export.kernels.layer import KernelCode

GUARD_BYTES = 64
GUARD = 0xA5


@dataclass(frozen=True)
class Case:
    """A kernel and its rows.

    Args:
        code: the kernel.
        rows: int8 [n, input size].
        outputs: size of its output.
        in_place: let the output replace the input.
    """

    code: KernelCode
    rows: NDArray[np.int8]
    outputs: int
    in_place: bool = False


@dataclass(frozen=True)
class Outcome:
    """What a kernel did.

    Args:
        outputs: int8 [n, outputs].
        instructions: of each call, with the call itself.
    """

    outputs: NDArray[np.int8]
    instructions: list[int]


_MAIN = """
#include <stdint.h>
void *memcpy(void *to, const void *from, unsigned n);
void *memset(void *to, int value, unsigned n);
int read_file(void *data, int bytes);
int write_file(void *data, int bytes);
void jl_infer_begin(void);
void jl_infer_end(void);
typedef void kernel(const int8_t *in, int8_t *out, void *scratch);
%(prototypes)s
typedef struct { kernel *run; uint32_t rows, inputs, outputs, scratch, in_place; } test;
static const test tests[] = {
%(tests)s};
enum { GUARD = %(guard)d };
static int8_t input[%(input)d], results[%(results)d];
static _Alignas(16) int8_t in[%(largest_in)d + 2 * GUARD], out[%(largest_out)d + 2 * GUARD];
static _Alignas(16) int8_t scratch[%(largest_scratch)d + 2 * GUARD];

/* 0 when the guards around `bytes` bytes are whole. */
static int broken(const int8_t *area, uint32_t bytes)
{
    for (uint32_t k = 0; k < GUARD; k++)
        if (area[k] != (int8_t)0xA5 || area[GUARD + bytes + k] != (int8_t)0xA5) return 1;
    return 0;
}

int main(void)
{
    if (read_file(input, sizeof input)) return 2;
    const int8_t *row = input;
    int8_t *result = results;
    for (uint32_t k = 0; k < sizeof tests / sizeof tests[0]; k++) {
        const test *t = &tests[k];
        for (uint32_t n = 0; n < t->rows; n++) {
            uint32_t bytes = t->in_place && t->outputs > t->inputs ? t->outputs : t->inputs;
            memset(in, 0xA5, sizeof in);
            memset(out, 0xA5, sizeof out);
            memset(scratch, 0xA5, sizeof scratch);
            memcpy(in + GUARD, row, t->inputs);
            int8_t *to = t->in_place ? in : out;
            jl_infer_begin();
            t->run(in + GUARD, to + GUARD, scratch + GUARD);
            jl_infer_end();
            if (broken(in, bytes)) return 10;
            if (broken(to, t->outputs > bytes || !t->in_place ? t->outputs : bytes)) return 11;
            if (broken(scratch, t->scratch)) return 12;
            if (!t->in_place)
                for (uint32_t i = 0; i < t->inputs; i++)
                    if (in[GUARD + i] != row[i]) return 13;
            memcpy(result, to + GUARD, t->outputs);
            row += t->inputs;
            result += t->outputs;
        }
    }
    return write_file(results, sizeof results) ? 3 : 0;
}
"""


def run_cases(folder: Path, cases: Sequence[Case]) -> list[Outcome]:
    """Compile all kernels into one program and run every row; their guards must stay whole."""
    sources: dict[str, str] = {}
    for case in cases:
        sources[f"{case.code.symbol}{case.code.suffix}"] = case.code.source
        for routine in case.code.routines:
            name = f"{routine.symbol}{routine.suffix}"
            assert sources.setdefault(name, routine.source) == routine.source, name
    rows = [row for case in cases for row in case.rows]
    sources["main.c"] = _MAIN % {
        "prototypes": "\n".join(f"kernel {case.code.symbol};" for case in cases),
        "tests": "".join(
            f"    {{{case.code.symbol}, {len(case.rows)}, {case.rows.shape[1]}, {case.outputs}, "
            f"{case.code.scratch_bytes}, {int(case.in_place)}}},\n"
            for case in cases
        ),
        "guard": GUARD_BYTES,
        "input": sum(row.size for row in rows),
        "results": sum(len(case.rows) * case.outputs for case in cases),
        "largest_in": max(max(case.rows.shape[1], case.outputs) for case in cases),
        "largest_out": max(case.outputs for case in cases),
        "largest_scratch": max(case.code.scratch_bytes for case in cases) + 16,
    }
    elf = build(folder, CORTEX_M55, sources, "-Wconversion")
    done = run(elf, CORTEX_M55, b"".join(row.tobytes() for row in rows))
    results = np.frombuffer(done.output, np.int8)
    outcomes, at, window = [], 0, 0
    for case in cases:
        size = len(case.rows) * case.outputs
        outcomes.append(
            Outcome(
                results[at : at + size].reshape(len(case.rows), case.outputs),
                list(done.counts.windows[window : window + len(case.rows)]),
            )
        )
        at, window = at + size, window + len(case.rows)
    return outcomes
