"""What projectors cost on emulated cores: the exact one, and a learned one finished exactly."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

import device_profiles
from device_profiles.energy_model import inference_energy
from edge_runtime.planner.amortiser import candidate_rows, moved_flows
from edge_runtime.planner.network import Plans
from edge_runtime.planner.projection import Effort, Projector
from edge_runtime.planner.residuals import residuals
from edge_runtime.planner.state import join_plans, split_plans
from edge_runtime.wire.image import parse_image
from edge_runtime.wire.module import parse_module
from export.pipeline import ExportOptions, export_model
from export.planner.choice import ProjectorFigures
from export.planner.projection import render_projection
from hil_tests.profile_bundle import profile_bundle
from hil_tests.profiler import CodeMap, attribute
from jouleloop.errors import MissingFigureError
from tests.bare_metal import CORTEX_M3, CORTEX_M4, build, run
from train.verify import simulated_plans

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from device_profiles import DeviceProfile
    from device_profiles.energy_model import Cycles
    from edge_runtime.planner.network import Network
    from edge_runtime.wire.bundle import Bundle
    from jouleloop.energy import Energy

    Floats = NDArray[np.float64]

BOARDS = {"mps2-an386": CORTEX_M4, "mps2-an385": CORTEX_M3}
MAIN = """
#include "jl_projection.h"

int read_file(void *data, int bytes);
int write_file(const void *data, int bytes);
void jl_infer_begin(void);
void jl_infer_end(void);

static struct {
    float plan[JL_PLAN_VALUES];
    float near[JL_EDGES];
} rows[ROWS];
static uint64_t scratch[(JL_PROJECTION_SCRATCH_BYTES + 7) / 8];

int main(void) {
    read_file(rows, sizeof(rows));
    for (int i = 0; i < ROWS; i++) {
        jl_infer_begin();
        const int32_t result = IS_NEAR ? jl_project_near(rows[i].plan, 0, rows[i].near, scratch)
                                       : jl_project(rows[i].plan, 0, scratch);
        jl_infer_end();
        if (result < 0) {
            return 1;
        }
    }
    write_file(rows, sizeof(rows));
    return 0;
}
"""


def noisy_plans(network: Network, count: int, seed: int, noise: float = 0.05) -> Plans:
    """Plans of the network that were disturbed, as a denoiser leaves them.

    Args:
        network: of the plans.
        count: how many.
        seed: of everything.
        noise: of capacity.
    """
    plans = simulated_plans(network, count, seed)
    random = np.random.default_rng(seed)
    size = noise * network.capacity
    moved = [
        part + size * random.normal(size=part.shape)
        for part in (plans.flows, plans.storage, plans.exchange)
    ]
    return Plans(moved[0], moved[1], moved[2], plans.quality, plans.status)


@dataclass(frozen=True, eq=False)
class Cost:
    """What a projection costs a device.

    Args:
        instructions: executed for the mean plan.
        energy: modelled joules of the same, or None where the profile lacks a figure.
        plans: what came out.
    """

    instructions: float
    energy: Energy | None
    plans: Plans


def cost_on_device(
    network: Network, candidate: Plans, device: str, folder: Path, near: Floats | None = None
) -> Cost:
    """Project candidates on an emulated board and count.

    Args:
        network: of the plans.
        candidate: n plans.
        device: id of a board in BOARDS.
        folder: for the program; empty.
        near: flows to finish, kg [n, E]; None for the whole projection.
    """
    profile, board = device_profiles.load(device), BOARDS[device]
    texts = render_projection(network, profile.core) | {"main.c": MAIN}
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")
    count, edges = candidate.flows.shape
    program = build(
        *(folder, board, {name: text for name, text in texts.items() if name.endswith(".c")}),
        *(f"-DROWS={count}", f"-DIS_NEAR={int(near is not None)}", "-fno-unroll-loops"),
        has_compiler_runtime=True,
    )
    flows = np.zeros((count, edges)) if near is None else near
    rows = np.concatenate([join_plans(candidate), flows], axis=1).astype(np.float32)
    ran = run(program, board, rows.tobytes())
    counted = attribute(ran.counts, CodeMap((ran.places,)), profile)
    values = np.frombuffer(ran.output, np.float32).reshape(count, -1)[:, :-edges]
    return Cost(
        counted.instructions,
        _energy(profile, counted.cycles),
        split_plans(network, values.astype(np.float64)),
    )


def _energy(profile: DeviceProfile, cycles: Cycles) -> Energy | None:
    try:
        return inference_energy(profile, cycles)
    except MissingFigureError:
        return None


def guess_on_device(
    network: Network, candidate: Plans, checkpoint: Path, device: str, folder: Path
) -> tuple[Floats, float, Energy | None]:
    """Flows that an INT8 amortiser guesses on an emulated board, its instructions and joules."""
    bundle: Bundle = export_model(checkpoint, device_profiles.load(device), ExportOptions())
    header = parse_module(parse_image(bundle.native).payload)
    given, made = header.inputs[0], header.outputs[0]
    coordinates = join_plans(candidate)
    rows = candidate_rows(network, coordinates) / given.scale + given.zero_point
    ran = profile_bundle(bundle, np.clip(np.rint(rows), -128, 127).astype(np.int8), folder)
    shares = made.scale * (ran.outputs.astype(np.float64) - made.zero_point)
    flows = moved_flows(network, coordinates, shares)
    return flows, ran.profile.instructions, ran.energy


def compare_on_device(
    network: Network, candidate: Plans, checkpoint: Path, device: str, folder: Path
) -> tuple[ProjectorFigures, ProjectorFigures]:
    """Figures of the exact projector and of an amortised one, on the same candidates.

    Args:
        network: of the plans.
        candidate: n plans.
        checkpoint: of the amortiser.
        device: id of a board in BOARDS.
        folder: for programs; empty.
    """
    for name in ("exact", "guess", "finish"):
        (folder / name).mkdir()
    nearest = Projector(network).project(candidate, effort=Effort(2000, 0.0, 1e-9)).plans.flows
    exact = cost_on_device(network, candidate, device, folder / "exact")
    near, instructions, energy = guess_on_device(
        network, candidate, checkpoint, device, folder / "guess"
    )
    finish = cost_on_device(network, candidate, device, folder / "finish", near)

    apart = {
        cost: float(np.sqrt(np.mean((cost.plans.flows - nearest) ** 2)) / network.capacity)
        for cost in (exact, finish)
    }
    worst = {cost: float(residuals(network, cost.plans).largest.max()) for cost in (exact, finish)}
    both = None if finish.energy is None or energy is None else finish.energy + energy
    return (
        ProjectorFigures(exact.instructions, exact.energy, worst[exact], apart[exact]),
        ProjectorFigures(instructions + finish.instructions, both, worst[finish], apart[finish]),
    )
