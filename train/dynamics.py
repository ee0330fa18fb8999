"""Train the rates of a chain's reactions on runs of the discrete-event simulator.

One chain runs under many schedules of law and disruptions, each with returns of its own. A small
network learns by what factor every hand-written rate is off; the rest of the schedules it never
sees. There both forecast a day, from every day's true beginning, and a whole run from its first
tick; persistence says that everything stays as it is.
"""

from __future__ import annotations

import hashlib
import io
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

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
from train.imitation import reproducible

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

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
) -> Weights:
    """Fit the network's gains to what every stock is, hour by hour for a day from its beginning.

    The day is integrated in the loss, so that errors which feed back count as what they grow to.
    """
    days = _days(runs)
    with reproducible(seed):
        network = nn.Sequential(
            nn.Linear(FEATURES, settings.hidden),
            nn.ReLU(),
            nn.Linear(settings.hidden, settings.hidden),
            nn.ReLU(),
            nn.Linear(settings.hidden, len(REACTIONS)),
        )
        # A network that says nothing leaves the hand-written rates as they are.
        nn.init.zeros_(network[-1].weight)
        nn.init.zeros_(network[-1].bias)
        steps = settings.epochs * -(-len(days.stocks) // settings.batch)
        optimiser = torch.optim.AdamW(
            network.parameters(), settings.learning_rate, weight_decay=settings.weight_decay
        )
        falling = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
        for epoch in range(settings.epochs):
            for rows in torch.randperm(len(days.stocks)).split(settings.batch):
                loss = _day_loss(chain, network, days, rows)
                optimiser.zero_grad()
                loss.backward()
                nn.utils.clip_grad_norm_(network.parameters(), 1.0)
                optimiser.step()
                falling.step()
            progress(epoch + 1, settings.epochs)
    layers = [layer for layer in network if isinstance(layer, nn.Linear)]
    return Weights(
        tuple((layer.weight.detach().numpy(), layer.bias.detach().numpy()) for layer in layers)
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


def _day_loss(
    chain: Chain, network: nn.Module, days: _Days, rows: torch.Tensor
) -> torch.Tensor:
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
    return np.array(
        [
            integrate(rates, matrix, run.stocks[b], run.schedule, (b, b + horizon))[-1]
            for b in begins
        ]
    )


def errors(
    rates: Rates | None, matrix: Floats, runs: Sequence[Observed], horizon: int
) -> Floats:
    """Root mean square error of every stock, kg, [STOCKS]."""
    missed = [
        forecast(rates, matrix, run, horizon) - run.stocks[horizon::horizon] for run in runs
    ]
    found: Floats = np.sqrt(np.mean(np.concatenate(missed) ** 2, axis=0))
    return found
