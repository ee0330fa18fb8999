"""A small network in the place of the projection's iterations: it moves flows in one pass.

What it guesses keeps no constraint by itself; every plan is finished exactly all the same, by
settling and completion (`Projector.project(near=...)`, `jl_project_near` on a device). So it can
only save work or lose nearness, and both are measured.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

import jouleloop
from edge_runtime.planner.amortiser import FAMILY, candidate_rows, moved_flows
from edge_runtime.planner.network import Plans
from edge_runtime.planner.projection import Effort, Projector
from edge_runtime.planner.residuals import residuals
from edge_runtime.planner.state import join_plans
from jouleloop.errors import PlanError
from train.checkpoint import PRODUCER, Card, new_checkpoint, write_checkpoint
from train.threads import one_thread

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from edge_runtime.planner.network import Network

    Floats = NDArray[np.float64]
    Rows = NDArray[np.float32]

INPUT, OUTPUT = "candidate", "flow_change"
HIDDEN, STEPS, BATCH, LEARNING_RATE = 32, 1500, 128, 2e-3
HELD_OUT, FEWEST = 0.2, 50
CALIBRATION_ROWS = 512
NEAREST = Effort(2000, 0.0, 1e-9)


class Amortiser(nn.Module):
    """By how much to move flows, in shares of the largest, given what `candidate_rows` makes.

    At first it moves none.

    Args:
        edges: of the network.
        nodes: of the network.
    """

    def __init__(self, edges: int, nodes: int) -> None:
        super().__init__()
        inputs = edges + 3 * nodes
        self.first = nn.Linear(inputs, HIDDEN)
        self.second = nn.Linear(HIDDEN, HIDDEN)
        self.last = nn.Linear(HIDDEN, edges)
        self.skip = nn.Linear(inputs, edges)
        for layer in (self.last, self.skip):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, candidate: Tensor) -> Tensor:
        """[n, E + 3 N] to [n, E]."""
        hidden = torch.relu(self.second(torch.relu(self.first(candidate))))
        shares: Tensor = self.last(hidden) + self.skip(candidate)
        return shares


@dataclass(frozen=True)
class Nearness:
    """How good a first guess of flows is; means over plans, in units of capacity.

    Args:
        violation: largest net inflow of the guess that its node can neither store nor exchange.
        distance_before: root mean square distance of its flows from the nearest plan's.
        distance_after: the same once it was finished exactly.
        paths: that settled it.
        feasible_after: share of finished plans within 1e-5 of capacity; 1.
    """

    violation: float
    distance_before: float
    distance_after: float
    paths: float
    feasible_after: float


def train_amortiser(
    network: Network,
    candidate: Plans,
    out: Path,
    *,
    seed: int = 0,
    steps: int = STEPS,
    progress: Callable[[int, int], None] | None = None,
) -> Card:
    """Train on exact projections of candidates and write a checkpoint that `export` reads.

    Args:
        network: with at least one edge.
        candidate: plans as they come to the projector, at least 50; a fifth of them is held out.
        out: folder for the checkpoint.
        seed: of weights and order, >= 0.
        steps: of the training, >= 1.
        progress: called with (steps done, steps in all).

    Returns:
        The card; its metrics compare the network's guess with the iterations' on held-out plans.

    Raises:
        PlanError: too few candidates, or of another network.
        NetworkError: no plan keeps the network's constraints.
    """
    if len(candidate.flows) < FEWEST:
        raise PlanError(
            f"{len(candidate.flows)} candidates are too few to learn from",
            hint=f"give at least {FEWEST}",
        )
    exact = Projector(network).project(candidate, effort=NEAREST).plans
    kept = round(len(candidate.flows) * (1.0 - HELD_OUT))
    coordinates = join_plans(candidate)
    rows = candidate_rows(network, coordinates)
    most = np.where(network.flow_max > 0.0, network.flow_max, 1.0)
    still = moved_flows(network, coordinates, np.zeros_like(exact.flows))
    with new_checkpoint(out) as folder, one_thread():
        shares = ((exact.flows - still) / most)[:kept].astype(np.float32)
        model = _fit(rows[:kept], shares, seed, steps, progress)
        held_out = Plans(*(part[kept:] for part in vars(candidate).values()))
        card = Card(
            name=FAMILY,
            family=FAMILY,
            inputs=({"name": INPUT, "shape": [1, rows.shape[1]], "unit": "1"},),
            outputs=({"name": OUTPUT, "shape": [1, len(network.sources)], "unit": "1"},),
            metrics=_metrics(network, model, held_out, exact.flows[kept:]),
            seed=seed,
            data_sha256=hashlib.sha256(rows.tobytes()).hexdigest(),
            producer=f"{PRODUCER}{jouleloop.__version__}",
        )
        calibration = {INPUT: _calibration(rows[:kept])}
        write_checkpoint(folder, model, (torch.zeros(1, rows.shape[1]),), card, calibration)
    return card


def _fit(
    rows: Rows,
    shares: Rows,
    seed: int,
    steps: int,
    progress: Callable[[int, int], None] | None,
) -> Amortiser:
    edges = shares.shape[1]
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = Amortiser(edges, (rows.shape[1] - edges) // 3)
    # Plans are moved little: in units of that, so that one learning rate suits every network.
    unit = float(shares.std()) or 1.0
    inputs, targets = torch.from_numpy(rows), torch.from_numpy(shares / np.float32(unit))
    optimiser = torch.optim.AdamW(model.parameters(), LEARNING_RATE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    order = torch.Generator().manual_seed(seed)
    for step in range(steps):
        chosen = torch.randint(len(inputs), (BATCH,), generator=order)
        loss = torch.mean((model(inputs[chosen]) - targets[chosen]) ** 2)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]  # torch has no types there
        optimiser.step()
        schedule.step()
        if progress is not None and step % 50 == 49:
            progress(step + 1, steps)
    with torch.no_grad():
        for layer in (model.last, model.skip):
            layer.weight.mul_(unit)
            layer.bias.mul_(unit)
    return model.eval()


def _calibration(rows: Rows) -> Rows:
    """Rows from everywhere, and for each input those of its smallest and its largest value."""
    everywhere = np.linspace(0, len(rows) - 1, CALIBRATION_ROWS).astype(np.int64)
    kept: Rows = rows[np.concatenate([everywhere, rows.argmin(axis=0), rows.argmax(axis=0)])]
    return kept


def _metrics(
    network: Network, model: Amortiser, candidate: Plans, nearest: Floats
) -> dict[str, Any]:
    coordinates = join_plans(candidate)
    with torch.no_grad():
        rows = torch.from_numpy(candidate_rows(network, coordinates))
        shares = model(rows).double().numpy()
    iterated = Projector(network).project(candidate).plans.flows
    guesses = {
        "amortised": moved_flows(network, coordinates, shares),
        "candidate": candidate.flows,
        "iterations": iterated,
    }
    return {
        name: vars(nearness(network, candidate, flows, nearest)) for name, flows in guesses.items()
    }


def nearness(network: Network, candidate: Plans, guess: Floats, nearest: Floats) -> Nearness:
    """How good a guess of flows is.

    Args:
        network: of the plans.
        candidate: n plans.
        guess: flows, kg [n, E].
        nearest: flows of the nearest plans, kg [n, E].
    """
    done = Projector(network).project(candidate, near=guess)
    after = residuals(network, done.plans).largest
    net = guess @ network.incidence.T
    most = network.storage_max - network.exchange_min
    least = network.storage_min - network.exchange_max
    unbalanced = np.maximum(np.maximum(net - most, least - net), 0.0).max(axis=1)

    def distance(flows: Floats) -> float:
        return float(np.sqrt(np.mean((flows - nearest) ** 2)) / network.capacity)

    return Nearness(
        float(unbalanced.mean() / network.capacity),
        distance(guess),
        distance(done.plans.flows),
        float(done.paths.mean()),
        float((after <= 1e-5).mean()),
    )
