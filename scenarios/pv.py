"""Returned photovoltaic modules: scenarios, four dispositions, and what each decision is worth.

Modules by year, lifetimes, yields and energies are PV_ICE's (scenarios/pv_data.py); every other
number is an assumption and stands in scenarios/pv_assumptions.py with its reason.

>>> scenario = make_scenarios(1, seed=0)[0]
>>> decisions = exact_decisions(scenario.returns)
>>> decision_quality(scenario.returns, decisions)
1.0
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import numpy as np

from jouleloop.errors import ScenarioError
from scenarios.pv_assumptions import FIRST_RETURN_YEAR, LAST_RETURN_YEAR
from scenarios.pv_data import MATERIALS
from scenarios.pv_observation import FEATURES, OBSERVATION_SIZE, observe
from scenarios.pv_outcomes import DISPOSITIONS, FATES, Disposition, Outcomes, all_outcomes
from scenarios.pv_returns import ReturnedModules, collected_modules, concatenate, sample_returns

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from scenarios.pv_data import Floats, Integers

__all__ = [
    "DISPOSITIONS",
    "FATES",
    "FEATURES",
    "OBSERVATION_SIZE",
    "Disposition",
    "Outcomes",
    "ReturnedModules",
    "Scenario",
    "circularity",
    "concatenate",
    "decision_quality",
    "exact_decisions",
    "make_scenario",
    "make_scenarios",
    "objectives",
    "observe",
    "outcomes",
    "random_decisions",
    "rule_decisions",
]

FEWEST_RETURNS, MOST_RETURNS = 16, 24


@dataclass(frozen=True, eq=False)
class Scenario:
    """One delivery of returned modules in one year's market.

    Args:
        id: SHA-256 of the canonical JSON of everything below, hexadecimal.
        seed: `make_scenario(seed)` makes it again, alone.
        year: of the return.
        collected_modules: how many the baseline collects that year; the returns are a
            sample of them.
        returns: the modules.
    """

    id: str
    seed: int
    year: int
    collected_modules: float
    returns: ReturnedModules


def make_scenarios(count: int, seed: int) -> tuple[Scenario, ...]:
    """Scenarios with independent seeds; the first k do not depend on how many follow.

    Args:
        count: how many, >= 1.
        seed: >= 0.

    Raises:
        ScenarioError: a count or a seed out of range.
        MissingToolError: PV_ICE, which carries the data, is not installed.
    """
    if count < 1:
        raise ScenarioError(f"{count} scenarios were asked for", hint="ask for at least 1")
    _check_seed(seed)
    children = np.random.SeedSequence(seed).spawn(count)
    # 53 bits survive every reader of JSON.
    return tuple(make_scenario(int(c.generate_state(1, np.uint64)[0] >> 11)) for c in children)


def make_scenario(seed: int) -> Scenario:
    """The scenario with this seed of its own, >= 0; raises as `make_scenarios` does."""
    _check_seed(seed)
    random = np.random.default_rng(seed)
    year = int(random.integers(FIRST_RETURN_YEAR, LAST_RETURN_YEAR, endpoint=True))
    count = int(random.integers(FEWEST_RETURNS, MOST_RETURNS, endpoint=True))
    collected = round(collected_modules(year), 3)
    returns = sample_returns(random, year, count)
    record = {
        "kind": "pv",
        "seed": seed,
        "year": year,
        "collected_modules": collected,
        "returns": {f.name: getattr(returns, f.name).tolist() for f in fields(returns)},
    }
    canonical = json.dumps(record, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return Scenario(hashlib.sha256(canonical.encode()).hexdigest(), seed, year, collected, returns)


def objectives(returns: ReturnedModules) -> Floats:
    """The objective of each disposition for each module, USD, [n, 4]."""
    return np.stack([outcome.objective for outcome in all_outcomes(returns)], axis=1)


def outcomes(returns: ReturnedModules, decisions: Integers) -> Outcomes:
    """What becomes of the modules under these decisions.

    Args:
        returns: n modules.
        decisions: index into DISPOSITIONS, int64 [n].

    Raises:
        ScenarioError: not one disposition per module.
    """
    rows = _check_decisions(returns, decisions)
    every = all_outcomes(returns)
    return Outcomes(
        np.stack([o.mass_kg for o in every], axis=1)[rows, decisions],
        np.stack([o.energy_j for o in every], axis=1)[rows, decisions],
        np.stack([o.value_usd for o in every], axis=1)[rows, decisions],
    )


def exact_decisions(returns: ReturnedModules) -> Integers:
    """The best disposition of each module, by trying all four, int64 [n]; the first of equals."""
    best: Integers = objectives(returns).argmax(axis=1).astype(np.int64)
    return best


def rule_decisions(returns: ReturnedModules) -> Integers:
    """What a plant's checklist says, int64 [n]: by power, visible damage and silver, no prices.

    Sound modules with warranted power are sold; repairable ones are remanufactured; of the rest
    what holds enough silver is recycled.
    """
    damage = np.maximum(returns.glass_damage, np.maximum(returns.cell_damage, returns.seal_damage))
    silver_kg = returns.materials_kg[:, MATERIALS.index("silver")]
    is_sound = ~returns.has_failed & (returns.power_share >= 0.8) & (damage <= 0.2)
    is_repairable = (returns.power_share >= 0.7) & (damage <= 0.6)
    choices = [
        (is_sound, Disposition.REUSE),
        (is_repairable, Disposition.REMANUFACTURE),
        (silver_kg >= 0.006, Disposition.RECYCLE),
    ]
    return np.select(
        [condition for condition, _ in choices],
        [np.int64(disposition) for _, disposition in choices],
        np.int64(Disposition.DISPOSE),
    ).astype(np.int64)


def random_decisions(returns: ReturnedModules, seed: int) -> Integers:
    """Uniform decisions, int64 [n]: the floor that every controller must beat."""
    _check_seed(seed)
    return np.random.default_rng(seed).integers(len(DISPOSITIONS), size=len(returns))


def decision_quality(returns: ReturnedModules, decisions: Integers) -> float:
    """How good decisions are: 1 for the exact ones, 0 for the worst, on the summed objective.

    Raises:
        ScenarioError: no module at all, or not one disposition per module.
    """
    rows = _check_decisions(returns, decisions)
    every = objectives(returns)
    best, worst = every.max(axis=1).sum(), every.min(axis=1).sum()
    if best == worst:
        return 1.0
    return float(np.clip(1.0 - (best - every[rows, decisions].sum()) / (best - worst), 0.0, 1.0))


def circularity(returns: ReturnedModules, decisions: Integers) -> float:
    """Share of the mass that stays in use or is recovered as material, 0..1; raises likewise."""
    mass = outcomes(returns, decisions).mass_kg.sum(axis=0)
    lost = mass[FATES.index("lost")] / mass.sum()
    return float(np.clip(1.0 - lost, 0.0, 1.0))


def _check_seed(seed: int) -> None:
    if seed < 0:
        raise ScenarioError(f"seed {seed} is negative", hint="a seed is 0 or more")


def _check_decisions(returns: ReturnedModules, decisions: Integers) -> NDArray[np.int64]:
    if len(returns) == 0:
        raise ScenarioError("no module came back", hint="decide on at least one")
    if decisions.shape != (len(returns),):
        raise ScenarioError(
            f"{len(returns)} modules came back, the decisions have shape {decisions.shape}",
            hint="give one disposition per module",
        )
    wrong = (decisions < 0) | (decisions >= len(DISPOSITIONS))
    if wrong.any():
        raise ScenarioError(
            f"{decisions[wrong][0]} is no disposition",
            hint=f"they are 0..{len(DISPOSITIONS) - 1}: {', '.join(DISPOSITIONS)}",
        )
    return np.arange(len(returns))
