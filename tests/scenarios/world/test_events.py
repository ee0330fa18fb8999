"""Two simulators of one world, written apart, agree in what they sum up to."""

from dataclasses import asdict

import numpy as np
import pytest

from scenarios.world.controllers import make_controller
from scenarios.world.event_factories import Factories
from scenarios.world.events import simulate_events, totals
from scenarios.world.generate import make_scenario, scenario_seeds
from scenarios.world.ledger import MassBalanceError
from scenarios.world.simulate import simulate
from tests.scenarios.world.worlds import scenario

pytestmark = pytest.mark.pure

SCENARIOS = [make_scenario(seed, nodes=50, ticks=240) for seed in scenario_seeds(8, 7)]


@pytest.mark.parametrize("name", ["rule", "greedy"])
def test_aggregates_agree(name: str) -> None:
    run = simulate(SCENARIOS, make_controller(name))
    ratios: dict[str, list[float]] = {}
    for number, made in enumerate(SCENARIOS):
        mixed = asdict(totals(run, number))
        single = asdict(simulate_events(made, make_controller(name)))
        for field, value in single.items():
            ratios.setdefault(field, []).append(value / mixed[field])
    mean = {field: float(np.mean(values)) for field, values in ratios.items()}
    for field in ("delivered_kg", "made_kg", "disposed_kg", "energy_mj", "carbon_kg"):
        assert mean[field] == pytest.approx(1.0, abs=0.02), field
    for field in ("recycled_kg", "remanufactured_kg", "virgin_kg"):
        assert mean[field] == pytest.approx(1.0, abs=0.05), field
    worst = max(abs(v - 1) for f in ("delivered_kg", "energy_mj", "carbon_kg") for v in ratios[f])
    assert worst < 0.04


def test_it_is_the_same_on_every_run() -> None:
    rule = make_controller("rule")
    assert simulate_events(scenario(), rule) == simulate_events(scenario(), rule)


def test_mass_that_is_lost_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    make = Factories._make

    def leaky(self, held, factory, *rest):  # type: ignore[no-untyped-def]  # broken on purpose
        make(self, held, factory, *rest)
        held[0] *= 0.99

    monkeypatch.setattr(Factories, "_make", leaky)
    with pytest.raises(MassBalanceError, match="the whole world"):
        simulate_events(scenario(), make_controller("rule"))
