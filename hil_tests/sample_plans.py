"""Draw plans from an exported planner, on this machine or on an emulated board."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np

import device_profiles
from device_profiles.energy_model import decision_energy
from edge_runtime.node.planner import open_sampler, sampler_record
from edge_runtime.planner.network import Plans
from edge_runtime.planner.objectives import co2_kg, cost_usd
from edge_runtime.planner.projection import Projector
from edge_runtime.planner.random import SEED_BITS
from edge_runtime.planner.request import REFUSALS, pack_request, unpack_response
from edge_runtime.planner.residuals import residuals
from edge_runtime.planner.sampler import Sampled, network_of
from edge_runtime.planner.samples import sample_arrays
from edge_runtime.wire.image import parse_image
from edge_runtime.wire.module import parse_module
from export.pipeline import ExportOptions, export_model
from hil_tests.qemu import board_for, open_qemu
from jouleloop.errors import InputError, MissingFigureError, PlanError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from edge_runtime.planner.network import Network
    from edge_runtime.wire.bundle import Bundle
    from jouleloop.energy import Energy

    Progress = Callable[[int, int], None]

FEASIBLE = 1e-5  # of capacity
BOARD = "mps2-an386"


@dataclass(frozen=True)
class Request:
    """What to draw.

    Args:
        count: how many plans.
        condition: weights of cost and CO2, 0..1.
        seed: 0..2**64 - 1; plan i of a seed is the same however many are drawn.
    """

    count: int
    condition: tuple[float, float]
    seed: int

    def check(self) -> None:
        """Check that such plans can be drawn.

        Raises:
            InputError: a weight, count or seed out of range.
        """
        if not all(0.0 <= weight <= 1.0 for weight in self.condition):
            raise InputError(
                f"the weights {self.condition[0]:g},{self.condition[1]:g} are not within 0 to 1",
                hint="the first weighs cost, the second CO2, such as --condition 0.2,0.8",
            )
        if not 1 <= self.count <= 2**32:
            raise InputError(f"{self.count} plans were asked for", hint="ask for at least 1")
        if not 0 <= self.seed < 2**SEED_BITS:
            raise InputError(f"the seed {self.seed} is not within 0 to 2^{SEED_BITS} - 1")


@dataclass(frozen=True, eq=False)
class Drawn:
    """Plans, and what they took.

    Args:
        network: that they are of.
        request: that they answer.
        sampled: in the order of their indices.
        instructions: of each plan, int64 [n]; None where the target cannot count them.
        arena_bytes: of the module that drew them; None without one.
        energy: of one plan; None where that is not known.
        target: what drew them, for people.
    """

    network: Network
    request: Request
    sampled: Sampled
    instructions: NDArray[np.int64] | None
    arena_bytes: int | None
    energy: Energy | None
    target: str

    def as_record(self) -> dict[str, Any]:
        """The record for JSON."""
        plans, network = self.sampled.plans, self.network
        left = residuals(network, plans).largest
        counts = self.instructions
        return {
            "count": self.request.count,
            "condition": list(self.request.condition),
            "seed": self.request.seed,
            "target": self.target,
            "feasible": float((left <= FEASIBLE).mean()),
            "max_residual": float(left.max()),
            "max_mass_residual": float(self.sampled.residual.max()),
            "instructions_per_sample": None if counts is None else float(counts.mean()),
            "arena_bytes": self.arena_bytes,
            "energy_per_sample": None if self.energy is None else self.energy.as_record(),
            "mean_cost_usd": float(cost_usd(network, plans).mean()),
            "mean_co2_kg": float(co2_kg(network, plans).mean()),
        }


def draw_locally(bundle: Bundle, request: Request, progress: Progress | None = None) -> Drawn:
    """Draw plans on this machine: LiteRT runs the denoiser, NumPy the rest.

    Raises:
        InputError: a request out of range.
        BundleError: no planner's bundle.
        MissingToolError: LiteRT is not installed.
    """
    request.check()
    sampler = open_sampler(bundle)
    steps = len(sampler.tables.keep_state)
    sampled = sampler.draw(
        request.condition,
        request.seed,
        np.arange(request.count),
        watch=None if progress is None else lambda step: progress(step, steps),
    )
    network = sampler.projector.network
    return Drawn(network, request, sampled, None, None, None, "LiteRT and NumPy on this machine")


def draw_on_qemu(bundle: Bundle, request: Request, progress: Progress | None = None) -> Drawn:
    """Draw plans on an emulated board: its firmware runs the whole sampler.

    Raises:
        InputError: a request out of range, or no such board.
        BundleError: no planner's bundle, or without a native module.
        LinkError: the board did not answer, or refused.
    """
    request.check()
    sampler_record(bundle)
    network = network_of(bundle.card)
    header = parse_module(parse_image(bundle.native).payload)
    bounds = Projector(network).own_bounds
    plans, left, codes, counts = [], [], [], []
    with open_qemu(bundle, board_for(bundle, None)) as target:
        for sample in range(request.count):
            asked = pack_request(request.condition, request.seed, sample, bounds)
            reply = target.infer(np.frombuffer(asked, np.int8))
            plan, residual, code = unpack_response(network, reply.output.tobytes())
            if code < 0:
                raise PlanError(
                    f"the board found no plan for sample {sample}: "
                    f"{REFUSALS.get(code, f'code {code}')}",
                    hint="are the network's bounds those that it was exported with?",
                )
            plans.append(plan)
            left.append(residual)
            codes.append(code)
            counts.append(reply.instructions or 0)
            if progress is not None:
                progress(sample + 1, request.count)
        description = target.description
    sampled = Sampled(_stack(plans), np.array(left, np.float32), np.array(codes, np.int32))
    instructions = np.array(counts, np.int64)
    energy = _energy(bundle, float(instructions.mean()))
    return Drawn(network, request, sampled, instructions, header.arena_bytes, energy, description)


def figures_on_board(checkpoint: Path, *, device: str = BOARD, count: int = 20) -> dict[str, Any]:
    """Export a planner's checkpoint for an emulated board and draw plans there, for a report.

    Args:
        checkpoint: of `jouleloop train planner`.
        device: profile of an emulated board.
        count: how many plans, their conditions spread from cost to CO2.

    Returns:
        `device`, `count`, `feasible` (share), `max_residual` (of capacity) and
        `instructions_per_sample`.

    Raises:
        JouleloopError: whatever export or board have to say.
    """
    bundle = export_model(checkpoint, device_profiles.load(device), ExportOptions())
    halves = ((0.2, 0.8), (0.8, 0.2))
    drawn = [draw_on_qemu(bundle, Request(count // 2, half, 1)).as_record() for half in halves]
    return {
        "device": device,
        "count": 2 * (count // 2),
        "feasible": float(np.mean([record["feasible"] for record in drawn])),
        "max_residual": max(record["max_residual"] for record in drawn),
        "instructions_per_sample": float(
            np.mean([record["instructions_per_sample"] for record in drawn])
        ),
    }


def write_drawn(path: Path, drawn: Drawn) -> None:
    """Write plans, their network and what they answer, as .npz under exactly this name.

    Raises:
        PlanError: the file cannot be written.
    """
    arrays = sample_arrays(drawn.network, drawn.sampled.plans) | {
        "condition": np.array(drawn.request.condition),
        "seed": np.array(drawn.request.seed, np.uint64),
        "residual": drawn.sampled.residual,
    }
    try:
        with path.open("wb") as stream:
            np.savez(stream, allow_pickle=False, **arrays)
    except OSError as error:
        raise PlanError(f"cannot write samples to {path}: {error.strerror}") from error


def _stack(plans: list[Plans]) -> Plans:
    names = [field.name for field in fields(Plans)]
    return Plans(*(np.concatenate([getattr(plan, name) for plan in plans]) for name in names))


def _energy(bundle: Bundle, instructions: float) -> Energy | None:
    try:
        device = device_profiles.load(bundle.device_id)
        return decision_energy(device, instructions=instructions, payload_bytes=0).states.get(
            "inference"
        )
    except MissingFigureError:
        return None
