"""Train the rates of a chain's reactions on runs of the discrete-event simulator.

One chain runs under many schedules of law and disruptions, each with returns of its own. A small
network learns by what factor every hand-written rate is off; the rest of the schedules it never
sees. There both forecast a day, from every day's true beginning, and a whole run from its first
tick; persistence says that everything stays as it is.
"""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass
from functools import partial
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from jouleloop.errors import ScenarioError
from scenarios.world.chain_rates import (
    FEATURES,
    MOST_GAIN,
    HandRates,
    NetworkRates,
    Weights,
    chain_of,
    features,
    schedule_of,
)
from scenarios.world.controllers import make_controller
from scenarios.world.dynamics import REACTIONS, STOCKS, integrate, stoichiometry
from scenarios.world.events import trace_events
from scenarios.world.generate import make_scenario, with_schedule
from train.checkpoint import Card, new_checkpoint, require_replaceable, write_checkpoint
from train.dynamics_plot import plot_forecast, require_plot
from train.imitation import PolicyNetwork, reproducible

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from scenarios.world.chain_rates import Chain
    from scenarios.world.dynamics import Rates, Schedule
    from scenarios.world.graph import Floats
    from scenarios.world.schema import Scenario

    Progress = Callable[[int, int], None]

HORIZON_TICKS = 24


@dataclass(frozen=True)
class Settings:
    """How the rates are trained.

    Args:
        schedules: that the network learns from.
        held_out: that it never sees.
        hidden: width of the two hidden layers.
        epochs: passes over all ticks.
        batch: days per step of the optimiser.
        learning_rate: of Adam at the start; falls to zero along a cosine.
        weight_decay: towards a gain of one.
    """

    schedules: int = 96
    held_out: int = 24
    hidden: int = 32
    epochs: int = 16
    batch: int = 96
    learning_rate: float = 3e-3
    weight_decay: float = 1e-4


@dataclass(frozen=True, eq=False)
class Observed:
    """One run of the discrete-event simulator.

    Args:
        schedule: of its law and disruptions.
        stocks: kg, [t + 1, STOCKS].
        extents: kg per tick, [t, REACTIONS].
        inputs: at the beginning of every tick, [t, d].
    """

    schedule: Schedule
    stocks: Floats
    extents: Floats
    inputs: Floats


def observe(scenario: Scenario, controller: str) -> Observed:
    """Run a scenario and keep what its mass did."""
    schedule = schedule_of(scenario, ramps=False)
    seen = trace_events(scenario, make_controller(controller))
    inputs = np.array([schedule.at(schedule.piece(tick), tick) for tick in range(scenario.ticks)])
    return Observed(schedule, seen.stocks, seen.extents, inputs)


def fit_gains(
    chain: Chain, runs: Sequence[Observed], settings: Settings, seed: int, progress: Progress
) -> PolicyNetwork:
    """Fit the network's gains to what every stock is, hour by hour for a day from its beginning.

    The day is integrated in the loss, so that errors which feed back count as what they grow to.
    """
    days = _days(runs)
    with reproducible(seed):
        network = PolicyNetwork(FEATURES, settings.hidden, len(REACTIONS))
        # A network that says nothing leaves the hand-written rates as they are.
        for parameter in network.layers[-1].parameters():
            nn.init.zeros_(parameter)
        steps = settings.epochs * -(-len(days.stocks) // settings.batch)
        optimiser = torch.optim.AdamW(
            network.parameters(), settings.learning_rate, weight_decay=settings.weight_decay
        )
        falling = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
        for epoch in range(settings.epochs):
            for rows in torch.split(torch.randperm(len(days.stocks)), settings.batch):
                loss = _day_loss(chain, network, days, rows)
                optimiser.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
                nn.utils.clip_grad_norm_(network.parameters(), 1.0)
                optimiser.step()
                falling.step()
            progress(epoch + 1, settings.epochs)
    return network.eval()


def weights_of(network: PolicyNetwork) -> Weights:
    """What NumPy needs of a network."""
    linear = [layer for layer in network.layers if isinstance(layer, nn.Linear)]
    return Weights(
        tuple(
            (layer.weight.detach().double().numpy(), layer.bias.detach().double().numpy())
            for layer in linear
        )
    )


@dataclass(frozen=True, eq=False)
class _Days:
    """Runs cut into days: stocks [days, ticks + 1, STOCKS], inputs [days, ticks, d], float64.

    `usual` is the root mean square of what a day changes in each stock, kg.
    """

    stocks: torch.Tensor
    inputs: torch.Tensor
    usual: torch.Tensor


def _days(runs: Sequence[Observed]) -> _Days:
    stocks, inputs = [], []
    for run in runs:
        for begin in range(0, len(run.inputs) - HORIZON_TICKS + 1, HORIZON_TICKS // 2):
            stocks.append(run.stocks[begin : begin + HORIZON_TICKS + 1])
            inputs.append(run.inputs[begin : begin + HORIZON_TICKS])
    every = np.array(stocks)
    usual = np.sqrt(((every[:, -1] - every[:, 0]) ** 2).mean(axis=0))
    tensors = (every, np.array(inputs), np.maximum(usual, 1e-9))
    return _Days(*(torch.from_numpy(values) for values in tensors))


def _day_loss(chain: Chain, network: nn.Module, days: _Days, rows: torch.Tensor) -> torch.Tensor:
    """Mean square error over a day in steps of a tick, in units of a day's usual change."""
    hand = HandRates(chain, torch)
    matrix = torch.from_numpy(stoichiometry(chain.recycling_yield).T.copy())
    truth, inputs = days.stocks[rows], days.inputs[rows]
    held = truth[:, 0]
    loss = torch.zeros(())
    for tick in range(HORIZON_TICKS):
        now = inputs[:, tick]
        # The network works in float32; stocks of a million kilograms do not.
        seen = features(chain, held.clip(0.0), now, torch).float()
        gains = MOST_GAIN ** network(seen).tanh().double()
        held = held + hand.corrected(held.clip(0.0), now, gains) @ matrix
        loss = loss + (((held - truth[:, tick + 1]) / days.usual) ** 2).mean()
    return loss / HORIZON_TICKS


def forecast(rates: Rates | None, matrix: Floats, run: Observed, horizon: int) -> Floats:
    """Stocks `horizon` ticks after each beginning, [ends, STOCKS]; without rates, they stay."""
    begins = range(0, len(run.stocks) - horizon, horizon)
    if rates is None:
        return run.stocks[list(begins)]
    ends = [
        integrate(rates, matrix, run.stocks[begin], run.schedule, (begin, begin + horizon))[-1]
        for begin in begins
    ]
    return np.array(ends)


def errors(rates: Rates | None, matrix: Floats, runs: Sequence[Observed], horizon: int) -> Floats:
    """Root mean square error of every stock, kg, [STOCKS]."""
    missed = [forecast(rates, matrix, run, horizon) - run.stocks[horizon::horizon] for run in runs]
    found: Floats = np.sqrt(np.mean(np.concatenate(missed) ** 2, axis=0))
    return found


def compare(
    chain: Chain, network: PolicyNetwork, runs: Sequence[Observed], progress: Progress
) -> dict[str, Any]:
    """Errors of persistence, hand-written rates and network on schedules that it never saw.

    `share` is a stock's error next to persistence's, in the mean over the stocks.
    """
    matrix = stoichiometry(chain.recycling_yield)
    ways: dict[str, Rates | None] = {
        "persistence": None,
        "hand_written": HandRates(chain),
        "network": NetworkRates(chain, weights_of(network)),
    }
    horizons = sorted({HORIZON_TICKS, len(runs[0].inputs)})
    rows: dict[str, Any] = {}
    for number, horizon in enumerate(horizons):
        still = np.maximum(errors(None, matrix, runs, horizon), 1e-9)
        found = {name: errors(rates, matrix, runs, horizon) for name, rates in ways.items()}
        rows[str(horizon)] = {
            name: {
                "share": float((missed / still).mean()),
                "rmse_kg": dict(zip(STOCKS, missed.tolist(), strict=True)),
            }
            for name, missed in found.items()
        }
        progress(number + 1, len(horizons))
    wins = all(
        row["network"]["share"] < min(row["hand_written"]["share"], row["persistence"]["share"])
        for row in rows.values()
    )
    return {"held_out_schedules": len(runs), "network_wins": wins, "horizons": rows}


def train_dynamics(
    out: Path,
    scenario: Scenario | None = None,
    *,
    controller: str = "rule",
    seed: int = 0,
    settings: Settings | None = None,
    plot: Path | None = None,
    progress: Callable[[str, int, int], None] | None = None,
) -> Card:
    """Observe, fit, compare, and write a checkpoint.

    Args:
        out: folder for the checkpoint.
        scenario: the chain; one of 50 nodes of this seed when left out.
        controller: who decides in every run: `rule` or `greedy`.
        seed: of schedules, returns, weights and order.
        settings: how.
        plot: file for a picture of one held-out run, or None.
        progress: called with (part, done, in all).

    Raises:
        InputError: `out` holds something else.
        ScenarioError: a run that is shorter than a day, or a controller that nobody knows.
    """
    require_replaceable(out)
    if plot is not None:
        require_plot(plot)
    settings = settings or Settings()
    made = scenario or make_scenario(seed)
    if made.ticks < HORIZON_TICKS:
        raise ScenarioError(
            f"the scenario's run is {made.ticks} ticks long",
            hint=f"dynamics are learned by days: take one of {HORIZON_TICKS} ticks or more",
        )
    show = progress or (lambda part, done, total: None)
    chain = chain_of(made, controller)
    count = settings.schedules + settings.held_out
    seeds = np.random.SeedSequence(seed).generate_state(count + 1).tolist()
    runs = []
    for number in range(count):
        runs.append(observe(with_schedule(made, seeds[number]), controller))
        show("runs", number + 1, count)
    seen, unseen = runs[: settings.schedules], runs[settings.schedules :]
    network = fit_gains(chain, seen, settings, seeds[-1], partial(show, "epochs"))
    card = Card(
        name="dynamics",
        family="dynamics",
        inputs=({"name": "features", "shape": [1, FEATURES], "unit": "1"},),
        outputs=({"name": "gains", "shape": [1, len(REACTIONS)], "labels": list(REACTIONS)},),
        metrics=compare(chain, network, unseen, partial(show, "held out")),
        seed=seed,
        data_sha256=_digest(runs),
        producer=f"jouleloop {version('jouleloop')}",
        details={
            "scenario": made.id,
            "controller": controller,
            "parameters": weights_of(network).parameters,
            "settings": asdict(settings),
        },
    )
    if plot is not None:
        plot_forecast(chain, weights_of(network), unseen[0], plot)
    rows = np.concatenate([features(chain, run.stocks[:-1], run.inputs) for run in seen[:4]])
    with new_checkpoint(out) as folder:
        example = (torch.zeros(1, FEATURES),)
        write_checkpoint(folder, network, example, card, {"features": rows.astype(np.float32)})
    return card


def _digest(runs: Sequence[Observed]) -> str:
    digest = hashlib.sha256()
    for run in runs:
        for rows in (run.stocks, run.inputs):
            digest.update(rows.tobytes())
    return digest.hexdigest()
