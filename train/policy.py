"""The policy: what to do with a returned module, learned from the exact optimum.

It sees sixteen numbers and never the outcomes; the exact optimum tries all four dispositions on the
full model of the world. How far it falls short on returns that it never saw is in its card.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import numpy as np

import jouleloop
from jouleloop.errors import ScenarioError
from jouleloop.programs import require_package
from scenarios import pv
from scenarios.feature import NORMALISATION
from train.checkpoint import PRODUCER, Card, new_checkpoint, write_checkpoint

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from scenarios.feature import Feature

NAME = FAMILY = "policy"
INPUT, OUTPUT = "observation", "scores"
TRAINING_SCENARIOS = 2000
HELD_OUT_SCENARIOS = 150
CALIBRATION_ROWS = 1024
# Seeds of the streams below are hashed, so none is one that a person gives to a benchmark.
TRAINING_STREAM, HELD_OUT_STREAM = 1, 2


def train_policy(
    out: Path, *, seed: int = 0, progress: Callable[[int, int], None] | None = None
) -> Card:
    """Train a policy and write its checkpoint.

    Args:
        out: folder for the checkpoint; an older checkpoint there is replaced.
        seed: of training data, weights and order, >= 0. The held-out returns are always the same.
        progress: called with (epochs done, epochs in all).

    Returns:
        The checkpoint's card; its metrics compare random, rule, exact and policy.

    Raises:
        MissingToolError: torch or PV_ICE is not installed.
        InputError: a negative seed, or `out` cannot be used.
    """
    require_package("torch")
    if seed < 0:
        raise ScenarioError(f"seed {seed} is negative", hint="a seed is 0 or more")
    with new_checkpoint(out) as folder:
        import torch

        from train.imitation import Fit, decide, fit_policy

        training_seed = stream_seed(TRAINING_STREAM, seed)
        training = pv.make_scenarios(TRAINING_SCENARIOS, training_seed)
        returns = pv.concatenate([scenario.returns for scenario in training])
        rows = pv.observe(returns)
        network = fit_policy(rows, pv.objectives(returns), Fit(), training_seed, progress)
        card = Card(
            name=NAME,
            family=FAMILY,
            inputs=(input_record(pv.FEATURES),),
            outputs=(output_record(),),
            metrics=compare(lambda seen: decide(network, pv.observe(seen))),
            seed=seed,
            data_sha256=_data_sha256(training),
            producer=f"{PRODUCER}{jouleloop.__version__}",
        )
        example = torch.zeros(1, pv.OBSERVATION_SIZE)
        calibration = {INPUT: calibration_rows(rows)}
        write_checkpoint(folder, network, (example,), card, calibration)
    return card


def compare(decide: Callable[[pv.ReturnedModules], NDArray[np.int64]]) -> dict[str, Any]:
    """A policy beside random, rule and exact decisions on returns that it never saw.

    Args:
        decide: the policy: one disposition per returned module.

    Returns:
        held_out_seed, held_out_scenarios, held_out_returns, and per controller: decision_quality
        (0 worst to 1 exact), mean_regret_usd (per module), agreement (share of exact decisions) and
        circularity (share of mass kept or recovered).
    """
    held_out_seed = stream_seed(HELD_OUT_STREAM, 0)
    scenarios = pv.make_scenarios(HELD_OUT_SCENARIOS, held_out_seed)
    returns = pv.concatenate([scenario.returns for scenario in scenarios])
    objectives, exact = pv.objectives(returns), pv.exact_decisions(returns)
    controllers = {
        "random": pv.random_decisions(returns, held_out_seed),
        "rule": pv.rule_decisions(returns),
        "policy": decide(returns),
        "exact": exact,
    }
    got = {name: objectives[np.arange(len(returns)), d] for name, d in controllers.items()}
    return {
        "held_out_seed": held_out_seed,
        "held_out_scenarios": len(scenarios),
        "held_out_returns": len(returns),
    } | {
        name: {
            "decision_quality": pv.decision_quality(returns, decisions),
            "mean_regret_usd": float((objectives.max(axis=1) - got[name]).mean()),
            "agreement": float((decisions == exact).mean()),
            "circularity": pv.circularity(returns, decisions),
        }
        for name, decisions in controllers.items()
    }


def calibration_rows(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Rows from everywhere, and for each feature those of its smallest and its largest value."""
    # At even distances, since the rows of one scenario lie together and share a market.
    everywhere = np.linspace(0, len(rows) - 1, CALIBRATION_ROWS).astype(np.int64)
    chosen = np.concatenate([everywhere, rows.argmin(axis=0), rows.argmax(axis=0)])
    kept: NDArray[np.float32] = rows[chosen]
    return kept


def input_record(features: Sequence[Feature[Any]]) -> dict[str, Any]:
    """The model's input in its card: what a benchmark holds an observation against."""
    return {
        "name": INPUT,
        "shape": [1, len(features)],
        "unit": "1",
        "normalisation": NORMALISATION,
        "features": [feature.as_record() for feature in features],
    }


def output_record() -> dict[str, Any]:
    """The model's output in its card."""
    labels = list(pv.DISPOSITIONS)
    return {"name": OUTPUT, "shape": [1, len(labels)], "unit": "1", "labels": labels}


def stream_seed(stream: int, seed: int) -> int:
    """A seed of a stream, hashed, so that it is none that a person gives to a benchmark."""
    return int(np.random.SeedSequence([stream, seed]).generate_state(1, np.uint64)[0] >> 11)


def _data_sha256(scenarios: Sequence[pv.Scenario]) -> str:
    """Hash of the scenarios' ids, each of which is the hash of its content."""
    return hashlib.sha256("".join(scenario.id for scenario in scenarios).encode()).hexdigest()
