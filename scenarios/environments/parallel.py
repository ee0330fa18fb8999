"""A circular supply chain where every node is an agent, by PettingZoo's parallel interface."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from gymnasium.utils import seeding
from numpy.typing import NDArray
from pettingzoo import ParallelEnv

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

if TYPE_CHECKING:
    from gymnasium.spaces import Box

    from scenarios.world.metrics import Metrics
    from scenarios.world.schema import Scenario

Row = NDArray[np.float32]


class CircularParallelEnv(ParallelEnv):  # type: ignore[misc] # PettingZoo has no types
    """Every node decides for itself; all share one reward.

    Agents are called by their nodes, as in `use-3`. Each sees its own features and the law, and
    acts with five numbers (`scenarios/world/node_action.py`). A safety layer executes the nearest
    action that the law allows, and the infos count what it changed. Episodes are truncated at
    their last tick, for all agents at once.

    Args:
        nodes: of generated scenarios, >= 7; every reset draws another one from the seed.
        ticks: of generated scenarios.
        scenario: run this one always instead.
        render_mode: None; there is no picture of a tick.

    Raises:
        ScenarioError: an argument out of range.
    """

    metadata: ClassVar[dict[str, Any]] = {
        "name": "jouleloop_circular_supply_chain_v0",
        "render_modes": [],
        "is_parallelizable": True,
    }

    def __init__(
        self,
        nodes: int = NODES,
        ticks: int = TICKS,
        scenario: Scenario | None = None,
        render_mode: None = None,
    ) -> None:
        self.render_mode = render_mode
        self._source = ScenarioSource(nodes, ticks, scenario)
        self.possible_agents = list(self._source.node_names)
        self.agents: list[str] = []
        self.observation_spaces = {agent: observation_space(1) for agent in self.possible_agents}
        self.action_spaces = {agent: action_space(1) for agent in self.possible_agents}
        self.state_space = observation_space(self._source.nodes)
        self._random = seeding.np_random(None)[0]
        self._episode: Episode | None = None

    def observation_space(self, agent: str) -> Box[np.float32]:
        """What an agent sees: float32 [36], 0..1."""
        space: Box[np.float32] = self.observation_spaces[agent]
        return space

    def action_space(self, agent: str) -> Box[np.float32]:
        """How an agent acts: float32 [5], -1..1."""
        space: Box[np.float32] = self.action_spaces[agent]
        return space

    def reset(
        self, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, Row], dict[str, dict[str, Any]]]:
        """Begin an episode.

        Args:
            seed: of the scenarios to come; None: the next one.
            options: `scenario`: the Scenario to run.

        Returns:
            First observations, and the scenario's id for each agent.
        """
        if seed is not None:
            self._random = seeding.np_random(seed)[0]
        scenario = self._source.next(self._random, options)
        self._episode = Episode((scenario,))
        self.agents = list(self.possible_agents)
        return self._observe(), {agent: {"scenario": scenario.id} for agent in self.agents}

    def step(
        self, actions: dict[str, Row]
    ) -> tuple[
        dict[str, Row],
        dict[str, float],
        dict[str, bool],
        dict[str, bool],
        dict[str, dict[str, Any]],
    ]:
        """Run an hour.

        Args:
            actions: float32 [5], -1..1, of every agent.

        Returns:
            Observations, the shared reward, False, whether this was the last hour, and infos:
            `violations`, how many of the agent's wishes about items the law forbade;
            `world_violations`, of all nodes, those about production included.

        Raises:
            ScenarioError: no episode runs, an agent does not act, or an action is no action.
        """
        episode = self._running()
        outcome = episode.act(np.stack([self._row(actions, agent) for agent in self.agents]))
        agents, is_over = list(self.agents), episode.is_over
        reward, shared = float(outcome.reward[0]), int(outcome.violations[0])
        infos: dict[str, dict[str, Any]] = {
            agent: {"violations": int(own), "world_violations": shared}
            for agent, own in zip(agents, outcome.node_violations.tolist(), strict=True)
        }
        observations = self._observe()
        if is_over:
            self.agents = []
        return (
            observations,
            dict.fromkeys(agents, reward),
            dict.fromkeys(agents, False),
            dict.fromkeys(agents, is_over),
            infos,
        )

    def _row(self, actions: dict[str, Row], agent: str) -> NDArray[Any]:
        if agent not in actions:
            raise ScenarioError(f"{agent} does not act", hint="give an action for every agent")
        row: NDArray[Any] = by_node(actions[agent], self.action_space(agent))[0]
        return row

    def state(self) -> Row:
        """What all agents see, float32 [nodes × 36], 0..1."""
        return self._running().observe().reshape(-1)

    def metrics(self) -> Metrics:
        """Every metric of the episode up to now.

        Raises:
            ScenarioError: no step was taken.
        """
        return self._running().metrics()

    def render(self) -> None:
        """Nothing: there is no picture of a tick."""

    def close(self) -> None:
        """Nothing is held open."""

    def _observe(self) -> dict[str, Row]:
        return dict(zip(self.possible_agents, self._running().observe(), strict=True))

    def _running(self) -> Episode:
        if self._episode is None:
            raise ScenarioError("no episode has begun", hint="reset the environment")
        return self._episode
