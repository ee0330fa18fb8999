"""A planner with a random denoiser; its whole module compiled for this machine, with sanitizers."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np

import device_profiles
from device_profiles.core import CORES
from edge_runtime.planner.network import Network
from edge_runtime.planner.request import pack_request, unpack_response
from edge_runtime.planner.sampler import sample_coordinates
from edge_runtime.planner.state import state_size
from export.interpret import run as interpret
from export.passes import lower
from export.planner.pipeline import planner_files, read_planner
from export.render.c import render_c
from tests.export.host_c import SANITIZERS, WARNINGS
from tests.export.random_graphs import GraphBuilder

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from edge_runtime.planner.network import Plans
    from export.graph import QGraph
    from export.planner.pipeline import Planner

STEPS, HIDDEN = 4, 24
# Buffers of exactly the sizes that the module declares, where ASan sees every overrun.
MAIN = """
#include <stdio.h>
#include <stdlib.h>
#include "jl_sampler.h"

int main(void) {
    void *const arena = aligned_alloc(16, JL_SAMPLER_ARENA_BYTES);
    int8_t *const in = malloc(sizeof(struct jl_sampler_request));
    int8_t *const out = malloc(sizeof(struct jl_sampler_response));
    while (fread(in, sizeof(struct jl_sampler_request), 1, stdin) == 1) {
        if (jl_infer(arena, in, out) != 0) {
            return 1;
        }
        fwrite(out, sizeof(struct jl_sampler_response), 1, stdout);
    }
    free(arena);
    free(in);
    free(out);
    return 0;
}
"""


@dataclass(frozen=True)
class Scales:
    """What makes a sampler extreme.

    Args:
        input: of the denoiser's int8 input; 3 / 128 of it and the noise saturates.
        mean: of every coordinate, kg.
        std: of every coordinate, kg.
    """

    input: float = 0.04
    mean: float = 1.0
    std: float = 3.0


@dataclass(frozen=True, eq=False)
class HostSampler:
    """A compiled module and what it mirrors.

    Args:
        planner: its tables, network and projector.
        graph: its denoiser.
        program: reads requests, writes responses.
    """

    planner: Planner
    graph: QGraph
    program: Path

    def run(self, requests: Sequence[bytes]) -> list[tuple[Plans, float, int]]:
        """Plan, residual and status of each request."""
        given = b"".join(requests)
        done = subprocess.run([self.program], input=given, stdout=subprocess.PIPE, check=True)
        size = len(done.stdout) // len(requests)
        rows = [done.stdout[at : at + size] for at in range(0, len(done.stdout), size)]
        return [unpack_response(self.planner.network, row) for row in rows]

    def request(
        self,
        condition: tuple[float, float],
        sample: int,
        bounds: NDArray[Any] | None = None,
        seed: int = 7,
    ) -> bytes:
        """One sample's request; bounds are the network's own without any."""
        own = self.planner.projector.own_bounds
        return pack_request(condition, seed, sample, own if bounds is None else bounds)

    def coordinates(
        self, condition: tuple[float, float], samples: Sequence[int], seed: int = 7
    ) -> NDArray[np.float32]:
        """What the specification projects, [n, D]."""
        (name,), (result,) = self.graph.inputs, self.graph.outputs

        def denoise(rows: NDArray[np.int8]) -> NDArray[np.int8]:
            return np.asarray(interpret(self.graph, {name: rows})[result], np.int8)

        drawn: NDArray[np.float32] = sample_coordinates(
            self.planner.tables, self.planner.specs, denoise, condition, seed, np.array(samples)
        )
        return drawn


def build_sampler(
    network: Network, core: str, folder: Path, scales: Scales = Scales()
) -> HostSampler:
    """The module of a planner for a network, in the arithmetic of a core.

    The denoiser's kernels are the plain ones, which this machine has too.
    """
    size = state_size(network)
    builder = GraphBuilder(np.random.default_rng(size))
    state = builder.input(1, size + 18, scale=scales.input, zero_point=3)
    hidden = builder.fully_connected(state, HIDDEN, activation="RELU")
    out = builder.fully_connected(hidden, size, zero_point=-1)
    graph = lower(builder.graph(out), device_profiles.load("mps2-an385"))
    planner = read_planner(_card(network, scales), graph, CORES[core], STEPS)
    plain = render_c(graph, CORES["cortex-m3"], producer="a test", model_sha256="0" * 64)
    texts = planner_files(planner, plain, CORES[core]) | {"main.c": MAIN}
    for name, text in texts.items():
        (folder / name).write_text(text)
    sources = sorted(name for name in texts if name.endswith(".c"))
    flags = (*WARNINGS, *SANITIZERS, "-fsanitize=float-cast-overflow", "-ffp-contract=off", "-O1")
    subprocess.run(["gcc", *flags, "-o", "sampler", *sources], check=True, cwd=folder)
    return HostSampler(planner, graph, folder / "sampler")


def _card(network: Network, scales: Scales) -> dict[str, Any]:
    size, kept = state_size(network), np.linspace(1e-3, 1.0, STEPS + 1)
    values = {field.name: getattr(network, field.name) for field in fields(Network)}
    embedding = np.sin(np.arange(16 * STEPS)).reshape(STEPS, 16)
    return {
        "planner": {
            "network": {k: v if k == "nodes" else v.tolist() for k, v in values.items()},
            "normalisation": {"mean": [scales.mean] * size, "std": [scales.std] * size},
            "schedules": {
                str(STEPS): {
                    "alpha_bar": kept[:-1].tolist(),
                    "alpha_bar_next": kept[1:].tolist(),
                    "embedding": embedding.tolist(),
                }
            },
            "steps": STEPS,
            "x0_limit": 8.0,
        }
    }
