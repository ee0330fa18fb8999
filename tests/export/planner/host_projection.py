"""Compile a network's projection for this machine, with sanitizers, and run plans through it."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from device_profiles.core import CORES
from export.planner.projection import render_projection
from tests.export.host_c import SANITIZERS, WARNINGS

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from edge_runtime.planner.network import Network

# Buffers of exactly the sizes that the header names, on the heap, where ASan sees every overrun.
MAIN = """
#include <stdio.h>
#include <stdlib.h>
#include "jl_projection.h"

int main(void) {
    float *const plan = malloc(JL_PLAN_VALUES * sizeof(float));
    float *const bounds = malloc(JL_PLAN_BOUNDS * sizeof(float));
    void *const scratch = malloc(JL_PROJECTION_SCRATCH_BYTES);
    while (fread(bounds, sizeof(float), JL_PLAN_BOUNDS, stdin) == JL_PLAN_BOUNDS &&
           fread(plan, sizeof(float), JL_PLAN_VALUES, stdin) == JL_PLAN_VALUES) {
        const float *const given = bounds[0] > 1e38f ? 0 : bounds;
#ifdef NEAR
        float *const near = malloc(JL_EDGES * sizeof(float));
        for (int32_t edge = 0; edge < JL_EDGES; edge++) {
            near[edge] = 0.5f * plan[edge];
        }
        const int32_t result = jl_project_near(plan, given, near, scratch);
        free(near);
#else
        const int32_t result = jl_project(plan, given, scratch);
#endif
        fwrite(&result, sizeof(result), 1, stdout);
        fwrite(scratch, sizeof(struct jl_projection_report), 1, stdout);
        fwrite(plan, sizeof(float), JL_PLAN_VALUES, stdout);
    }
    free(plan);
    free(bounds);
    free(scratch);
    return 0;
}
"""
OWN_BOUNDS = np.float32(3e38)


@dataclass(frozen=True, eq=False)
class Answers:
    """What the C answered, one row a plan.

    Args:
        results: int32 [n].
        nodes: int32 [n], of the report.
        excess: float32 [n], of the report.
        plans: float32 [n, D].
    """

    results: NDArray[np.int32]
    nodes: NDArray[np.int32]
    excess: NDArray[np.float32]
    plans: NDArray[np.float32]


def build(network: Network, core: str, folder: Path, *flags: str) -> Path:
    """The program for a network, in the arithmetic of a core; -DNEAR: from half the flows."""
    texts = render_projection(network, CORES[core]) | {"main.c": MAIN}
    for name, text in texts.items():
        (folder / name).write_text(text)
    sources = [name for name in texts if name.endswith(".c")]
    flags = (*WARNINGS, *SANITIZERS, "-ffp-contract=off", "-O1", *flags)
    subprocess.run(["gcc", *flags, "-o", "project", *sources], check=True, cwd=folder)
    return folder / "project"


def run(program: Path, plans: NDArray[Any], bounds: NDArray[Any] | None = None) -> Answers:
    """Plans [n, D] through a program, all with bounds [5, N] or with the network's own."""
    count, values = plans.shape
    if bounds is None:
        nodes = int(
            (program.parent / "jl_projection_sizes.h").read_text().split("JL_NODES ")[1].split()[0]
        )
        bounds = np.full(5 * nodes, OWN_BOUNDS)
    rows = np.concatenate([np.tile(np.ravel(bounds), (count, 1)), plans], axis=1, dtype=np.float32)
    done = subprocess.run([program], input=rows.tobytes(), stdout=subprocess.PIPE, check=True)
    answer = np.frombuffer(done.stdout, np.int32).reshape(count, 3 + values)
    reals = answer.view(np.float32)
    return Answers(answer[:, 0], answer[:, 1], reals[:, 2], reals[:, 3:])
