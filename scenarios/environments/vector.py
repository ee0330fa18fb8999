"""Many circular supply chains side by side in one simulator, by Gymnasium's vector interface."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from gymnasium.utils import seeding
from gymnasium.vector import AutoresetMode, VectorEnv
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
    from collections.abc import Sequence

    from scenarios.world.metrics import Metrics
    from scenarios.world.schema import Scenario

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


class CircularVectorEnv(VectorEnv[NDArray[np.float32], NDArray[np.float32], NDArray[Any]]):
    """`num_envs` scenarios, each as a `CircularEnv` would run it: same seed, same numbers.

    All have one length, so all end at once. The mode of autoreset is NEXT_STEP: the step after the
    last one takes no account of its actions, begins the next episodes, and returns their first
    observations with a reward of 0.

    Args:
        num_envs: how many, >= 1.
        nodes: of generated scenarios, >= 7; every reset draws others from the seeds.
        ticks: of generated scenarios.
        scenarios: run these always instead, one for each, equal in their nodes and length.

    Raises:
        ScenarioError: an argument out of range, or scenarios that do not go together.
    """

    metadata = {  # noqa: RUF012 - Gymnasium declares it so
        "render_modes": [],
        "autoreset_mode": AutoresetMode.NEXT_STEP,
    }

    def __init__(
        self,
        num_envs: int = 1,
        nodes: int = NODES,
        ticks: int = TICKS,
        scenarios: Sequence[Scenario] | None = None,
    ) -> None:
        if num_envs < 1:
            raise ScenarioError(f"{num_envs} environments were asked for", hint="ask for 1 or more")
        if scenarios is not None and len(scenarios) != num_envs:
            raise ScenarioError(
                f"{len(scenarios)} scenarios for {num_envs} environments", hint="give one for each"
            )
        self.num_envs = num_envs
        first = None if scenarios is None else scenarios[0]
        self._source = ScenarioSource(nodes, ticks, first)
        self._fixed = scenarios
        nodes = self._source.nodes
        self.single_observation_space = observation_space(nodes)
        self.single_action_space = action_space(nodes)
        self.observation_space = observation_space(num_envs, nodes)
        self._actions = self.action_space = action_space(num_envs, nodes)
        self._random = [seeding.np_random(None)[0] for _ in range(num_envs)]
        self._episode: Episode | None = None

    def reset(
        self,
        *,
        seed: int | Sequence[int | None] | None = None,
        options: dict[str, Any] | None = None,
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Begin episodes.

        Args:
            seed: environment i gets seed + i; or a seed for each; None: the next scenarios.
            options: `scenarios`: a Scenario for each.

        Returns:
            First observations, float32 [num_envs, nodes × 36], and the scenarios' ids.

        Raises:
            ScenarioError: as many seeds or scenarios as environments are wanted.
        """
        if isinstance(seed, int | np.integer):
            super().reset(seed=int(seed))
            seed = [int(seed) + place for place in range(self.num_envs)]
        if seed is not None:
            seeds = [*seed]
            self._check_count("seeds", seeds)
            for place, own in enumerate(seeds):
                if own is not None:
                    self._random[place] = seeding.np_random(own)[0]
        given = (options or {}).get("scenarios", self._fixed)
        if given is not None:
            self._check_count("scenarios", given)
        scenarios = [
            self._source.next(random, None if given is None else {"scenario": given[place]})
            for place, random in enumerate(self._random)
        ]
        self._episode = Episode(scenarios)
        return self._observe(), {"scenario": np.array([s.id for s in scenarios])}

    def _check_count(self, what: str, given: Sequence[Any]) -> None:
        if len(given) != self.num_envs:
            raise ScenarioError(
                f"{len(given)} {what} for {self.num_envs} environments", hint="give one for each"
            )

    def step(
        self, actions: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], Floats, Flags, Flags, dict[str, Any]]:
        """Run an hour of all, or begin the next episodes when the last ones have ended.

        Args:
            actions: float32 [num_envs, nodes × 5].

        Returns:
            Observations, rewards, terminations, truncations, [num_envs] each, and the info of
            `CircularEnv` as arrays.

        Raises:
            ScenarioError: nothing was reset, or the actions have another shape or are no numbers.
        """
        episode = self._running()
        rows = by_node(actions, self._actions)
        if episode.is_over:
            observations, info = self.reset()
            none = np.zeros(self.num_envs, bool)
            return observations, np.zeros(self.num_envs), none, none.copy(), info
        outcome = episode.act(rows)
        truncated = np.full(self.num_envs, episode.is_over)
        info = {
            "violations": outcome.violations.astype(np.int64),
            "node_violations": outcome.node_violations.reshape(self.num_envs, -1),
            **dict(zip(PARTS, outcome.parts.T, strict=True)),
        }
        terminated = np.zeros(self.num_envs, bool)
        return self._observe(), outcome.reward, terminated, truncated, info

    def metrics(self, number: int) -> Metrics:
        """Every metric of one environment's episode up to now.

        Raises:
            ScenarioError: no step was taken.
        """
        return self._running().metrics(number)

    def _observe(self) -> NDArray[np.float32]:
        return self._running().observe().reshape(self.num_envs, -1)

    def _running(self) -> Episode:
        if self._episode is None:
            raise ScenarioError("no episode has begun", hint="reset the environment")
        return self._episode
