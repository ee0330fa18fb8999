"""The steps of a device's sampler in NumPy: the specification of their arithmetic.

Noise by counter, then K deterministic steps (DDIM) around an int8 denoiser. float32 in a fixed
order, so that a module gives the same bits.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from edge_runtime.planner.network import Network
from edge_runtime.planner.random import gaussians
from jouleloop.errors import CheckpointError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from edge_runtime.planner.network import Plans
    from edge_runtime.wire.tensor import TensorSpec

    Singles = NDArray[np.float32]
    Denoise = Callable[[NDArray[np.int8]], NDArray[np.int8]]  # [n, D + 18] -> [n, D]
    Condition = tuple[float, float] | NDArray[Any]

CONDITION_SIZE, EMBEDDING_SIZE = 2, 16
FAMILY = "planner"


@dataclass(frozen=True, eq=False)
class SamplerTables:
    """Constants of a sampler of K steps over D coordinates.

    Args:
        keep_state: share of the state that a step keeps, float32 [K].
        keep_data: share of the predicted data that it adds, float32 [K].
        embedding: what the denoiser is told of each step, float32 [K, 16].
        mean: of the coordinates, float32 [D].
        std: of the coordinates, float32 [D].
        x0_limit: what predicted data are cut to, standard deviations.
    """

    keep_state: Singles
    keep_data: Singles
    embedding: Singles
    mean: Singles
    std: Singles
    x0_limit: float


@dataclass(frozen=True, eq=False)
class Sampled:
    """Finished samples.

    Args:
        plans: every constraint holds, unless they were not projected.
        residual: the largest |A f + z - s| over the capacity, float32 [n].
        codes: of `jl_project`: 1 where nodes had to be switched on, else 0; or that the plan was
            not projected; int32 [n].
    """

    plans: Plans
    residual: Singles
    codes: NDArray[np.int32]


def network_of(card: Mapping[str, Any]) -> Network:
    """The network of a planner's card.

    Raises:
        CheckpointError: the card has none, or a field is missing or no numbers.
    """
    try:
        record = dict(card[FAMILY]["network"])
        nodes = tuple(map(str, record.pop("nodes")))
        index = {name: np.asarray(record.pop(name), np.int64) for name in ("sources", "targets")}
        numbers = {name: np.asarray(value, np.float64) for name, value in record.items()}
        values: dict[str, Any] = {**index, **numbers}
        return Network(nodes=nodes, **values)
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(
            f"the card's network is not one: {error}", hint="train with `jouleloop train planner`"
        ) from error


def sampler_tables(card: Mapping[str, Any], steps: int) -> SamplerTables:
    """Constants of a card's sampler.

    Raises:
        CheckpointError: the card lacks something, or has no schedule of this many steps.
    """
    card = card.get(FAMILY, {})
    schedules = card.get("schedules", {})
    if str(steps) not in schedules:
        raise CheckpointError(
            f"the checkpoint has no schedule of {steps} steps",
            hint=f"it has {', '.join(schedules) or 'none'}; choose one with --steps",
        )
    try:
        row, normalisation = schedules[str(steps)], card["normalisation"]
        kept, kept_next = (
            np.asarray(row[name], np.float64) for name in ("alpha_bar", "alpha_bar_next")
        )
        keep_state = np.sqrt(1.0 - kept_next) / np.sqrt(1.0 - kept)
        keep_data = np.sqrt(kept_next) - keep_state * np.sqrt(kept)
        mean, std, embedding = (
            np.asarray(values, np.float32)
            for values in (normalisation["mean"], normalisation["std"], row["embedding"])
        )
        limit = float(card["x0_limit"])
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(
            f"the card of the planner lacks {error}", hint="train with `jouleloop train planner`"
        ) from error
    return SamplerTables(
        keep_state.astype(np.float32), keep_data.astype(np.float32), embedding, mean, std, limit
    )


def sample_coordinates(
    tables: SamplerTables,
    specs: tuple[TensorSpec, TensorSpec],
    denoise: Denoise,
    condition: Condition,
    seed: int,
    samples: NDArray[Any],
    watch: Callable[[int], None] | None = None,
    project_each: Callable[[Singles], Singles] | None = None,
) -> Singles:
    """Coordinates in kg and shares after the last step, float32 [n, D].

    Args:
        tables: from `sampler_tables`.
        specs: of the denoiser's input and output.
        denoise: runs it.
        condition: weights of cost and CO2.
        seed: 0..2**64 - 1.
        samples: indices under this seed, [n].
        watch: called with the number of steps done.
        project_each: applied to every x0 but the last, in kg and shares, before the noise is worked
            out again from it.
    """
    before, after = specs
    state = gaussians(seed, samples, len(tables.mean))
    weights = np.broadcast_to(np.asarray(condition, np.float32), (len(samples), CONDITION_SIZE))
    last = len(tables.embedding) - 1
    for step, embedding in enumerate(tables.embedding):
        told = np.tile(embedding, (len(samples), 1))
        row = before.quantize(np.concatenate([state, weights, told], axis=1))
        limit = np.float32(tables.x0_limit)
        data = np.clip(after.dequantize(denoise(row)), -limit, limit)
        if project_each is not None and step != last:
            data = (project_each(data * tables.std + tables.mean) - tables.mean) / tables.std
        state = tables.keep_state[step] * state + tables.keep_data[step] * data
        if watch is not None:
            watch(step + 1)
    return state * tables.std + tables.mean


def mass_residual(network: Network, plans: Plans) -> Singles:
    """The largest |A f + z - s| of each plan over the capacity, in float32, [n]."""
    flows, storage, exchange = (
        np.asarray(values, np.float32) for values in (plans.flows, plans.storage, plans.exchange)
    )
    missing = exchange - storage
    for edge, (source, target) in enumerate(zip(network.sources, network.targets, strict=True)):
        missing[:, target] = missing[:, target] + flows[:, edge]
        missing[:, source] = missing[:, source] - flows[:, edge]
    largest: Singles = np.abs(missing).max(axis=1) / np.float32(network.capacity)
    return largest
