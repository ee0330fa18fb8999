"""A circular supply chain for one agent, by Gymnasium's interface."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import gymnasium
import numpy as np
from numpy.typing import NDArray

from jouleloop.errors import ScenarioError
from scenarios.environments.spaces import (
    NODES,
    TICKS,
    ScenarioSource,
    action_space,
    by_node,
    observation_space,
)
from scenarios.world.episode import Episode
from scenarios.world.reward import PARTS

if TYPE_CHECKING:
    from scenarios.world.metrics import Metrics
    from scenarios.world.schema import Scenario


class CircularEnv(gymnasium.Env[NDArray[np.float32], NDArray[np.float32]]):
    """One agent acts for all nodes of one scenario, an hour at a time.

    Observation: float32 [nodes × 36], 0..1, node by node (`node_observation.FEATURES`).
    Action: float32 [nodes × 5], -1..1, node by node (`node_action.COLUMNS`).
    Reward: -1..1 (`reward.py`). An episode is never terminated; it is truncated at its last tick.

    Args:
        nodes: of generated scenarios, >= 7; every reset draws another one from the seed.
        ticks: of generated scenarios.
        scenario: run this one always instead.
        render_mode: None; there is no picture of a tick.

    Raises:
        ScenarioError: an argument out of range.
    """

    metadata = {"render_modes": []}  # noqa: RUF012 - Gymnasium declares it so

    def __init__(
        self,
        nodes: int = NODES,
        ticks: int = TICKS,
        scenario: Scenario | None = None,
        render_mode: None = None,
    ) -> None:
        self.render_mode = render_mode
        self._source = ScenarioSource(nodes, ticks, scenario)
        self.observation_space = observation_space(self._source.nodes)
        self.action_space = action_space(self._source.nodes)
        self._episode: Episode | None = None

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Begin an episode.

        Args:
            seed: of the scenarios to come; None: the next one.
            options: `scenario`: the Scenario to run.

        Returns:
            The first observation, and the scenario's id.
        """
        super().reset(seed=seed)
        scenario = self._source.next(self.np_random, options)
        self._episode = Episode((scenario,))
        return self._episode.observe().reshape(-1), {"scenario": scenario.id}

    def step(
        self, action: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], float, bool, bool, dict[str, Any]]:
        """Run an hour.

        Returns:
            Observation, reward, False, whether this was the last hour, and in the info
            `violations`, how many wishes the law forbade, `node_violations`, those about items,
            float64 [nodes], and each part of the reward.

        Raises:
            ScenarioError: no episode runs, or the action has another shape or is no number.
        """
        episode = self._running()
        outcome = episode.act(by_node(action, self.action_space))
        info = {
            "violations": int(outcome.violations[0]),
            "node_violations": outcome.node_violations,
            **dict(zip(PARTS, outcome.parts[0].tolist(), strict=True)),
        }
        reward = float(outcome.reward[0])
        return episode.observe().reshape(-1), reward, False, episode.is_over, info

    def metrics(self) -> Metrics:
        """Every metric of the episode up to now, as `jouleloop scenarios run` prints them.

        Raises:
            ScenarioError: no step was taken.
        """
        return self._running().metrics()

    def _running(self) -> Episode:
        if self._episode is None:
            raise ScenarioError("no episode has begun", hint="reset the environment")
        return self._episode
