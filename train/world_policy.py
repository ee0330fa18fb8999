"""The policy of circular supply chains: what to do with a returned item, whatever product it is.

It learns from the best value of each item on its day, as the greedy controller sees it, which is
within a hundredth of the exact bound of the benchmark's worlds.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import numpy as np

import jouleloop
from jouleloop.errors import ScenarioError
from jouleloop.programs import require_package
from scenarios.world.arrays import build_world
from scenarios.world.controllers import RULE_GATES, gate
from scenarios.world.folder import check_files
from scenarios.world.generate import make_scenarios
from scenarios.world.graph import DISASSEMBLY_YIELD, RECYCLING_YIELD, REMANUFACTURING_YIELD
from scenarios.world.linear_programs import first_values
from scenarios.world.observation import FEATURES, OBSERVATION_SIZE, observe, seen_at_return
from scenarios.world.products import BILL_KG, MASS_KG, Disposition
from scenarios.world.returns import sample_items
from train.checkpoint import PRODUCER, Card, new_checkpoint, write_checkpoint
from train.policy import (
    FAMILY,
    HELD_OUT_STREAM,
    INPUT,
    NAME,
    TRAINING_STREAM,
    calibration_rows,
    input_record,
    output_record,
    stream_seed,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from scenarios.world.schema import Scenario

GENERATED = "generated"
TRAINING_WORLDS, TRAINING_NODES = 150, 20
HELD_OUT_WORLDS = 30
REGRET_SCALE_USD = 20.0


def train_world_policy(
    out: Path,
    worlds: Path | None = None,
    *,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Card:
    """Train a policy on worlds and write its checkpoint.

    Args:
        out: folder for the checkpoint; an older checkpoint there is replaced.
        worlds: a scenario file or folder to learn from; None: 150 generated worlds of 20 nodes.
        seed: of generated worlds, weights and order, >= 0. The held-out worlds are always the same.
        progress: called with (epochs done, epochs in all).

    Returns:
        The checkpoint's card; its metrics compare random, rule, exact and policy.

    Raises:
        MissingToolError: torch or SciPy is not installed.
        ScenarioError: a negative seed, or `worlds` are no scenarios or have no returns.
        InputError: `out` cannot be used.
    """
    require_package("torch")
    if seed < 0:
        raise ScenarioError(f"seed {seed} is negative", hint="a seed is 0 or more")
    training_seed = stream_seed(TRAINING_STREAM, seed)
    with new_checkpoint(out) as folder:
        import torch

        from train.imitation import Fit, decide, fit_policy

        if worlds is None:
            made = make_scenarios(TRAINING_WORLDS, seed=training_seed, nodes=TRAINING_NODES)
            scenarios: Sequence[Scenario] = tuple(made)
        else:
            scenarios = check_files(worlds)
        rows, objectives, _ = _returns(scenarios)
        if not len(rows):
            raise ScenarioError(f"nothing comes back in {worlds}", hint="take larger worlds")
        fit = Fit(regret_scale=REGRET_SCALE_USD)
        network = fit_policy(rows, objectives, fit, training_seed, progress)
        card = Card(
            name=NAME,
            family=FAMILY,
            inputs=(input_record(FEATURES),),
            outputs=(output_record(),),
            metrics=compare(lambda seen: decide(network, seen)),
            seed=seed,
            data_sha256=hashlib.sha256("".join(s.id for s in scenarios).encode()).hexdigest(),
            producer=f"{PRODUCER}{jouleloop.__version__}",
        )
        example = torch.zeros(1, OBSERVATION_SIZE)
        write_checkpoint(folder, network, (example,), card, {INPUT: calibration_rows(rows)})
    return card


def _returns(
    scenarios: Sequence[Scenario],
) -> tuple[NDArray[np.float32], NDArray[np.float64], NDArray[np.int64]]:
    """Observations [k, 16], objectives [k, 4] in USD and products [k] of all first returns."""
    rows, objectives, products = [], [], []
    for scenario in scenarios:
        world = build_world((scenario,))
        items = sample_items(world)
        rows.append(observe(seen_at_return(world, items)))
        values = first_values(world, items, np.arange(len(items)))
        # What the law forbids is worth less than the worst that it allows.
        worst = np.where(np.isfinite(values), values, np.inf).min(axis=1, keepdims=True)
        objectives.append(np.where(np.isfinite(values), values, worst - 1.0))
        products.append(items.product)
    return np.concatenate(rows), np.concatenate(objectives), np.concatenate(products)


def compare(decide: Callable[[NDArray[np.float32]], NDArray[np.int64]]) -> dict[str, Any]:
    """A policy beside random, rule and exact decisions on returns that it never saw.

    Args:
        decide: the policy: a disposition for each row of observations.

    Returns:
        held_out_seed, held_out_scenarios, held_out_returns, and per controller: decision_quality
        (0 worst to 1 exact), mean_regret_usd (per item), agreement (share of exact decisions) and
        circularity (share of mass kept or recovered). Exact is the best of every item by itself:
        no plant's capacity binds.
    """
    held_out_seed = stream_seed(HELD_OUT_STREAM, 1)
    scenarios = tuple(make_scenarios(HELD_OUT_WORLDS, seed=held_out_seed, nodes=TRAINING_NODES))
    rows, values, product = _returns(scenarios)
    quality = 0.5 * (rows[:, 0].astype(np.float64) + 1.0)
    exact = values.argmax(axis=1)
    random = np.random.default_rng(held_out_seed)
    controllers = {
        "random": random.integers(len(Disposition), size=len(rows)),
        "rule": gate(quality, np.array(RULE_GATES)),
        "policy": decide(rows),
        "exact": exact,
    }
    best, worst = values.max(axis=1), values.min(axis=1)
    record: dict[str, Any] = {
        "held_out_seed": held_out_seed,
        "held_out_scenarios": len(scenarios),
        "held_out_returns": len(rows),
    }
    for name, chosen in controllers.items():
        got = values[np.arange(len(rows)), chosen]
        record[name] = {
            "decision_quality": float((got - worst).sum() / (best - worst).sum()),
            "mean_regret_usd": float((best - got).mean()),
            "agreement": float((chosen == exact).mean()),
            "circularity": _kept_share(product, chosen),
        }
    return record


def _kept_share(product: NDArray[np.int64], chosen: NDArray[np.int64]) -> float:
    """Share of the mass that a disposition keeps in use or recovers, yields included."""
    mass = MASS_KG[product]
    recycled = (BILL_KG[product] @ RECYCLING_YIELD) * DISASSEMBLY_YIELD
    remade = mass * DISASSEMBLY_YIELD * REMANUFACTURING_YIELD
    kept = np.stack([mass, remade, recycled, np.zeros(len(mass))], axis=1)
    return float(kept[np.arange(len(mass)), chosen].sum() / mass.sum())
