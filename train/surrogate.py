"""A network in the place of the discrete-event simulator: totals of a run, from the scenario alone.

It sees what a scenario says of itself (capacities, energies, distances, demand, returns) and never
an event. Its error is measured on scenarios that it never saw, beside the best guess that ignores
the scenario, and may be large where a total hangs on single items.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from jouleloop.errors import ScenarioError
from scenarios.world.controllers import make_controller
from scenarios.world.events import Totals, simulate_events
from scenarios.world.generate import make_scenarios
from scenarios.world.products import MASS_KG, PRODUCT_INDEX
from scenarios.world.schema import KINDS, STAGES
from train.threads import one_thread

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from scenarios.world.schema import Scenario

    Floats = NDArray[np.float64]

TOTALS = tuple(field.name for field in fields(Totals))
CONTROLLER = "rule"
HIDDEN, STEPS, LEARNING_RATE, DECAY = 64, 800, 5e-3, 1e-2
HELD_OUT, FEWEST = 0.25, 20


@dataclass(frozen=True, eq=False)
class Surrogate:
    """Totals of a scenario under the rule, without simulating.

    Args:
        network: standardised features to standardised logarithms of totals.
        mean: of features, then of logarithms.
        std: of the same.
    """

    network: nn.Module
    mean: tuple[Floats, Floats]
    std: tuple[Floats, Floats]

    def totals(self, scenarios: Sequence[Scenario]) -> Floats:
        """Totals in the order of TOTALS, [n, 8]; kg, MJ and kg CO2e."""
        rows = (scenario_features(scenarios) - self.mean[0]) / self.std[0]
        with torch.no_grad():
            logs = self.network(torch.from_numpy(rows).float()).double().numpy()
        totals: Floats = np.expm1(np.maximum(logs * self.std[1] + self.mean[1], 0.0))
        return totals


@dataclass(frozen=True)
class SurrogateError:
    """Error of one total on held-out scenarios.

    Args:
        relative: sum of absolute errors over the sum of the simulator's totals.
        relative_of_mean: the same of the geometric mean of the training scenarios.
        correlation: of logarithms.
    """

    relative: float
    relative_of_mean: float
    correlation: float


def scenario_features(scenarios: Sequence[Scenario]) -> Floats:
    """What scenarios say of themselves, [n, features]."""
    return np.stack([_features(scenario) for scenario in scenarios])


def _features(scenario: Scenario) -> Floats:
    kinds = {node.id: node.kind for node in scenario.nodes}
    values: list[float] = []
    for kind in KINDS:
        nodes = [node for node in scenario.nodes if node.kind == kind]
        capacity = np.array([node.capacity_kg for node in nodes])
        weight = capacity / max(float(capacity.sum()), 1e-12)
        values += [
            float(np.log1p(capacity.sum())),
            float(weight @ np.array([node.energy_mj_per_kg for node in nodes])),
            float(weight @ np.array([node.carbon_kg_per_kg for node in nodes])),
        ]
    for stage in STAGES:
        hauls = [
            e.distance_km for e in scenario.edges if (kinds[e.source], kinds[e.target]) == stage
        ]
        values.append(float(np.log1p(np.mean(hauls))) if hauls else 0.0)
    products = scenario.returns.products
    mass = sum(p.share * float(MASS_KG[PRODUCT_INDEX[p.unu_key]]) for p in products)
    demand = sum(node.demand_kg for node in scenario.nodes)
    values += [float(np.log1p(demand)), float(np.log(mass)), scenario.returns.ratio]
    return np.array([*values, scenario.returns.age_correlation])


def train_surrogate(
    count: int = 240,
    *,
    nodes: int = 20,
    ticks: int = 120,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[Surrogate, dict[str, SurrogateError]]:
    """Simulate scenarios event by event, learn three quarters of them, and measure on the rest.

    Args:
        count: of scenarios, at least 20; without law and misfortunes.
        nodes: of each.
        ticks: of each.
        seed: of scenarios and weights, >= 0.
        progress: called with (scenarios simulated, scenarios in all).

    Returns:
        The surrogate, and its error by total.

    Raises:
        ScenarioError: too few scenarios.
    """
    if count < FEWEST:
        raise ScenarioError(
            f"{count} scenarios are too few to learn from", hint=f"ask for at least {FEWEST}"
        )
    drawn = make_scenarios(count, seed=seed, nodes=nodes, ticks=ticks)
    bare = {"policies": (), "disruptions": ()}
    scenarios = [scenario.model_copy(update=bare) for scenario in drawn]
    rows = []
    for done, scenario in enumerate(scenarios, start=1):
        totals = simulate_events(scenario, make_controller(CONTROLLER))
        rows.append([getattr(totals, name) for name in TOTALS])
        if progress is not None:
            progress(done, count)
    simulated = np.array(rows)
    kept = round(count * (1.0 - HELD_OUT))
    with one_thread():
        surrogate = _fit(scenario_features(scenarios[:kept]), np.log1p(simulated[:kept]), seed)
        found = surrogate.totals(scenarios[kept:])
    mean = np.expm1(np.log1p(simulated[:kept]).mean(axis=0))
    return surrogate, _errors(found, simulated[kept:], mean)


def _fit(features: Floats, logs: Floats, seed: int) -> Surrogate:
    mean, std = (features.mean(0), logs.mean(0)), (_spread(features), _spread(logs))
    inputs = torch.from_numpy((features - mean[0]) / std[0]).float()
    targets = torch.from_numpy((logs - mean[1]) / std[1]).float()
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = nn.Sequential(
            nn.Linear(inputs.shape[1], HIDDEN), nn.SiLU(), nn.Linear(HIDDEN, targets.shape[1])
        )
    optimiser = torch.optim.AdamW(network.parameters(), LEARNING_RATE, weight_decay=DECAY)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, STEPS)
    noise = torch.Generator().manual_seed(seed)
    for _ in range(STEPS):
        # A little noise keeps few scenarios from being learned by heart.
        jitter = 0.1 * torch.randn(inputs.shape, generator=noise)
        loss = torch.mean((network(inputs + jitter) - targets) ** 2)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]  # torch has no types there
        optimiser.step()
        schedule.step()
    return Surrogate(network.eval(), mean, std)


def _spread(values: Floats) -> Floats:
    std = values.std(axis=0)
    spread: Floats = np.where(std > 1e-9, std, 1.0)
    return spread


def _errors(found: Floats, simulated: Floats, mean: Floats) -> dict[str, SurrogateError]:
    size = np.maximum(simulated.sum(axis=0), 1e-12)
    relative = np.abs(found - simulated).sum(axis=0) / size
    of_mean = np.abs(mean - simulated).sum(axis=0) / size
    errors = {}
    for index, name in enumerate(TOTALS):
        pair = np.log1p(found[:, index]), np.log1p(simulated[:, index])
        spread = min(part.std() for part in pair)
        correlation = float(np.corrcoef(*pair)[0, 1]) if spread > 0.0 else 0.0
        errors[name] = SurrogateError(float(relative[index]), float(of_mean[index]), correlation)
    return errors
