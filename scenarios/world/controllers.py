"""Controllers to compare with: random, rule, greedy, exact."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from jouleloop.errors import ScenarioError
from scenarios.world.linear_programs import best_dispositions
from scenarios.world.products import Disposition
from scenarios.world.returns import MOST_LIVES
from scenarios.world.view import Action

if TYPE_CHECKING:
    from scenarios.world.arrays import World
    from scenarios.world.graph import Floats, Integers
    from scenarios.world.returns import Items
    from scenarios.world.view import Controller, View

COVER_TICKS = 24.0
CAREFUL_COVER_TICKS = 96.0  # more than an outage of 72 h
RULE_GATES = (0.75, 0.5, 0.15)  # reuse, remanufacture, recycle; below: dispose


def gate(quality: Floats, gates: Floats) -> Integers:
    """Dispositions by quality: the first gate that an item passes.

    Args:
        quality: [k], 0..1.
        gates: least quality to reuse, to remanufacture and to recycle, [3] or [k, 3].

    >>> gate(np.array([0.9, 0.7, 0.3, 0.1]), np.array([0.8, 0.6, 0.2])).tolist()
    [0, 1, 2, 3]
    """
    chosen = np.full(len(quality), Disposition.DISPOSE, np.int64)
    # The last assignment wins, so the first gate is tried last.
    for disposition in (Disposition.RECYCLE, Disposition.REMANUFACTURE, Disposition.REUSE):
        np.copyto(chosen, int(disposition), where=quality >= gates[..., disposition])
    return chosen


class Rule:
    """A plant's checklist: by quality alone, a day of material, everything runs."""

    name = "rule"

    def reset(self, world: World, items: Items) -> None:
        """Nothing to remember."""

    def decide(self, view: View) -> Action:
        """By fixed gates."""
        return _steady(view, gate(view.quality, np.array(RULE_GATES)), COVER_TICKS)


class Greedy:
    """The disposition that is worth most today, whatever comes after; a day of material."""

    name = "greedy"

    def reset(self, world: World, items: Items) -> None:
        """Nothing to remember."""

    def decide(self, view: View) -> Action:
        """The best value of each item."""
        return _steady(view, view.values.argmax(axis=1).astype(np.int64), COVER_TICKS)


class Random:
    """Uniform decisions: the floor that every controller must beat.

    Args:
        seed: of its draws; every scenario has a stream of its own, whatever batch it is in.
    """

    name = "random"

    def __init__(self, seed: int = 0) -> None:
        self._seed = seed
        self._draws: Integers = np.zeros((0, MOST_LIVES + 1), np.int64)
        self._nodes: Floats = np.zeros((0, 2))

    def reset(self, world: World, items: Items) -> None:
        """Draw a disposition for every life of every item, and a temper for every node."""
        counts = np.bincount(items.scenario, minlength=len(world.scenarios))
        draws, nodes = [], []
        for scenario, count in zip(world.scenarios, counts.tolist(), strict=True):
            random = np.random.default_rng([scenario.seed, 2, self._seed])
            draws.append(random.integers(len(Disposition), size=(count, MOST_LIVES + 1)))
            nodes.append(random.random((len(scenario.nodes), 2)))
        self._draws = np.empty((len(items), MOST_LIVES + 1), np.int64)
        self._draws[np.argsort(items.scenario, kind="stable")] = np.concatenate(draws)
        self._nodes = np.concatenate(nodes)

    def decide(self, view: View) -> Action:
        """What was drawn."""
        dispositions = self._draws[view.now, view.state.lives[view.now]]
        activity, cover = self._nodes.T
        return Action(dispositions, 0.5 + 0.5 * activity, 2.0 * COVER_TICKS * cover)


class Exact:
    """Knows every return beforehand and solves the whole run as one linear program.

    A bound, not a plan that anyone could follow. Later lives of an item are decided greedily.
    """

    name = "exact"

    def __init__(self) -> None:
        self._first: Integers = np.zeros(0, np.int64)

    def reset(self, world: World, items: Items) -> None:
        """Solve the program."""
        self._first = best_dispositions(world, items)

    def decide(self, view: View) -> Action:
        """As solved."""
        later = view.values.argmax(axis=1)
        first = view.state.lives[view.now] == 0
        dispositions = np.where(first, self._first[view.now], later)
        return _steady(view, dispositions.astype(np.int64), CAREFUL_COVER_TICKS)


CONTROLLERS = ("random", "rule", "greedy", "exact")


def make_controller(name: str, seed: int = 0) -> Controller:
    """The controller of this name.

    Raises:
        ScenarioError: there is none.
    """
    if name == "random":
        return Random(seed)
    plain: dict[str, type[Rule | Greedy | Exact]] = {"rule": Rule, "greedy": Greedy, "exact": Exact}
    if name not in plain:
        raise ScenarioError(
            f"no controller is called {name!r}", hint=f"they are {', '.join(CONTROLLERS)}"
        )
    return plain[name]()


def _steady(view: View, dispositions: Integers, cover_ticks: float) -> Action:
    nodes = view.world.nodes
    return Action(dispositions, np.ones(nodes), np.full(nodes, cover_ticks))
