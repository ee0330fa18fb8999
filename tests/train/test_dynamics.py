"""The network of rates beats what it corrects, on schedules that it never saw, or says so."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from jouleloop.errors import InputError, ScenarioError
from scenarios.world.chain_rates import FEATURES, MOST_GAIN, HandRates, NetworkRates, chain_of
from scenarios.world.dynamics import REACTIONS, STOCKS, stoichiometry
from scenarios.world.generate import make_scenario, with_schedule
from train.dynamics import (
    Settings,
    errors,
    fit_gains,
    observe,
    train_dynamics,
    weights_of,
)
from train.imitation import PolicyNetwork

pytestmark = pytest.mark.train

SMALL = Settings(schedules=24, held_out=6, epochs=6, batch=48)


def test_it_beats_the_hand_written_rates_on_schedules_that_it_never_saw() -> None:
    made = make_scenario(3, nodes=20, ticks=120)
    chain = chain_of(made)
    runs = [observe(with_schedule(made, seed), "rule") for seed in range(30)]
    network = fit_gains(chain, runs[:24], SMALL, 0, lambda done, total: None)
    weights = weights_of(network)
    assert weights.parameters <= 5000
    matrix = stoichiometry(chain.recycling_yield)
    still, hand, learned = (
        errors(rates, matrix, runs[24:], 24)
        for rates in (None, HandRates(chain), NetworkRates(chain, weights))
    )
    assert (hand / still).mean() < 1.0
    assert (learned / still).mean() < (hand / still).mean()


def test_the_same_seed_gives_the_same_network() -> None:
    made = make_scenario(3, nodes=12, ticks=48)
    runs = [observe(made, "rule")]
    few = Settings(epochs=2, batch=2)
    first, second, other = (
        weights_of(fit_gains(chain_of(made), runs, few, seed, lambda done, total: None))
        for seed in (0, 0, 1)
    )
    for (one, _), (same, _), (strange, _) in zip(
        first.layers, second.layers, other.layers, strict=True
    ):
        np.testing.assert_array_equal(one, same)
        assert (one != strange).any()


def test_a_network_that_says_nothing_changes_nothing() -> None:
    import torch

    made = make_scenario(3, nodes=20, ticks=48)
    chain, run = chain_of(made), observe(made, "rule")
    network = PolicyNetwork(FEATURES, 8, len(REACTIONS))
    for parameter in network.parameters():
        torch.nn.init.zeros_(parameter)
    plain = HandRates(chain)(run.stocks[:-1], run.inputs)
    same = NetworkRates(chain, weights_of(network))(run.stocks[:-1], run.inputs)
    np.testing.assert_array_equal(plain, same)
    in_torch = HandRates(chain, torch).corrected(
        torch.from_numpy(run.stocks[:-1]),
        torch.from_numpy(run.inputs),
        torch.ones(len(run.inputs), len(REACTIONS), dtype=torch.float64),
    )
    np.testing.assert_allclose(in_torch.numpy(), plain, rtol=1e-12)
    assert MOST_GAIN > 1


def test_the_command_leaves_a_checkpoint_and_a_plot(tmp_path: Path) -> None:
    folder, plot = tmp_path / "dynamics", tmp_path / "plot.png"
    card = train_dynamics(
        folder,
        make_scenario(3, nodes=12, ticks=48),
        seed=1,
        settings=Settings(schedules=6, held_out=2, epochs=2),
        plot=plot,
    )
    record = json.loads((folder / "card.json").read_text())
    assert record == json.loads(json.dumps(card.as_record()))
    assert set(record["metrics"]["horizons"]) == {"24", "48"}
    for row in record["metrics"]["horizons"].values():
        assert row["persistence"]["share"] == pytest.approx(1.0)
        assert set(row["network"]["rmse_kg"]) == set(STOCKS)
    wins = all(
        row["network"]["share"] < min(row["hand_written"]["share"], row["persistence"]["share"])
        for row in record["metrics"]["horizons"].values()
    )
    assert record["metrics"]["network_wins"] == wins
    assert plot.stat().st_size > 20_000
    with np.load(folder / "calibration.npz") as rows:
        assert rows["features"].shape[1] == FEATURES


def test_what_cannot_be_trained_is_refused_before_the_work(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match="23 ticks"):
        train_dynamics(tmp_path / "a", make_scenario(3, nodes=12, ticks=23))
    with pytest.raises(ScenarioError, match="no controller"):
        train_dynamics(tmp_path / "a", make_scenario(3, nodes=12, ticks=48), controller="oracle")
    with pytest.raises(InputError, match="cannot write a plot"):
        train_dynamics(tmp_path / "a", plot=tmp_path / "plot.txt")
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "letter.txt").write_text("mine")
    with pytest.raises(InputError, match=r"letter\.txt"):
        train_dynamics(tmp_path / "kept")
    assert not (tmp_path / "a").exists()
