"""What an action and an observation look like, and which scenario an episode gets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import gymnasium
import numpy as np
from gymnasium.spaces import Box

from jouleloop.errors import ScenarioError
from scenarios.world.generate import make_scenario
from scenarios.world.node_action import ACTION_COUNT
from scenarios.world.node_observation import FEATURE_COUNT

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from scenarios.world.schema import Scenario

NODES, TICKS = 20, 240


def observation_space(*shape: int) -> Box[np.float32]:
    """Features of nodes, 0..1; the last axis is FEATURES, as often as there are nodes in it."""
    return Box(0.0, 1.0, (*shape[:-1], shape[-1] * FEATURE_COUNT), np.float32)


def action_space(*shape: int) -> Box[np.float32]:
    """Actions of nodes, -1..1; the last axis is COLUMNS, as often as there are nodes in it."""
    return Box(-1.0, 1.0, (*shape[:-1], shape[-1] * ACTION_COUNT), np.float32)


def by_node(action: NDArray[Any], space: gymnasium.Space[Any]) -> NDArray[Any]:
    """An action as rows of nodes, [n, ACTION_COUNT].

    Raises:
        ScenarioError: it has another shape than the space.
    """
    values = np.asarray(action)
    if values.shape != space.shape:
        raise ScenarioError(
            f"the action has shape {values.shape}, not {space.shape}",
            hint="sample the environment's action space to see one",
        )
    return values.reshape(-1, ACTION_COUNT)


class ScenarioSource:
    """Scenarios of one number of nodes: always the same one, or a new one for every episode.

    Args:
        nodes: of generated scenarios.
        ticks: of generated scenarios.
        scenario: the one to use always, or None.
    """

    def __init__(self, nodes: int, ticks: int, scenario: Scenario | None) -> None:
        self._nodes, self._ticks, self._scenario = nodes, ticks, scenario
        # Kinds and names of nodes hang on their number alone; and a wrong number is told at once.
        example = make_scenario(0, nodes=nodes, ticks=ticks) if scenario is None else scenario
        self.node_names = tuple(node.id for node in example.nodes)
        self.ticks = example.ticks

    @property
    def nodes(self) -> int:
        """Of every scenario."""
        return len(self.node_names)

    def next(self, random: np.random.Generator, options: Mapping[str, Any] | None) -> Scenario:
        """The scenario of the next episode.

        Args:
            random: where its seed comes from; one number is drawn.
            options: of a reset; `scenario` in it is taken instead.

        Raises:
            ScenarioError: a scenario with other nodes or of another length.
        """
        # Drawn in any case: a fixed scenario does not shift the ones after it.
        seed = int(random.integers(2**53))
        given = (options or {}).get("scenario", self._scenario)
        if given is None:
            return make_scenario(seed, nodes=self._nodes, ticks=self._ticks)
        return self._checked(given)

    def _checked(self, scenario: Scenario) -> Scenario:
        if tuple(node.id for node in scenario.nodes) != self.node_names:
            raise ScenarioError(
                f"scenario {scenario.id[:12]} has {len(scenario.nodes)} nodes, and not the "
                f"{self.nodes} of this environment",
                hint="make an environment of its own: scenario=...",
            )
        if scenario.ticks != self.ticks:
            raise ScenarioError(
                f"scenario {scenario.id[:12]} has {scenario.ticks} ticks; this environment "
                f"{self.ticks}",
                hint="make an environment of its own: scenario=...",
            )
        return scenario
