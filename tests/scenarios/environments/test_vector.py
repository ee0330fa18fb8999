"""A batch in one simulator is as many single environments, resets included."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np
import pytest
from gymnasium.vector import AutoresetMode
from gymnasium.wrappers.vector import RecordEpisodeStatistics

from scenarios.environments import CircularEnv, CircularVectorEnv
from scenarios.world.generate import make_scenario

pytestmark = pytest.mark.pure

NODES, TICKS, COUNT = 12, 20, 4


def test_vector_equals_single_over_an_autoreset() -> None:
    batch = CircularVectorEnv(COUNT, NODES, TICKS)
    singles = [CircularEnv(NODES, TICKS) for _ in range(COUNT)]
    assert batch.metadata["autoreset_mode"] is AutoresetMode.NEXT_STEP
    observations, info = batch.reset(seed=10)
    rows = [env.reset(seed=10 + place) for place, env in enumerate(singles)]
    random = np.random.default_rng(0)
    ids = [info["scenario"].tolist()]
    for step in range(2 * (TICKS + 1)):
        assert batch.observation_space.contains(observations)
        # A sum over more rows may round in another way; nothing else may differ.
        expected = np.stack([row for row, _ in rows])
        assert np.allclose(observations, expected, rtol=1e-6, atol=1e-7)
        actions = random.uniform(-1, 1, batch.action_space.shape or ()).astype(np.float32)
        observations, rewards, terminated, truncated, info = batch.step(actions)
        assert not terminated.any()
        if step % (TICKS + 1) == TICKS:
            # The step after the last takes no account of its actions.
            rows = [env.reset() for env in singles]
            assert not truncated.any()
            assert not rewards.any()
            ids.append(info["scenario"].tolist())
            assert ids[-1] == [own["scenario"] for _, own in rows]
            continue
        steps = [env.step(action) for env, action in zip(singles, actions, strict=True)]
        assert truncated.tolist() == [own[3] for own in steps]
        assert truncated.all() == (step % (TICKS + 1) == TICKS - 1)
        assert np.allclose(rewards, [own[1] for own in steps], rtol=1e-12)
        assert info["violations"].tolist() == [own[4]["violations"] for own in steps]
        assert np.allclose(info["service"], [own[4]["service"] for own in steps], rtol=1e-12)
        rows = [(own[0], own[4]) for own in steps]
    assert len({name for batch_ids in ids for name in batch_ids}) == 3 * COUNT


def test_metrics_of_one_of_many_are_those_of_it_alone() -> None:
    scenarios = [make_scenario(seed, nodes=NODES, ticks=TICKS) for seed in (1, 2)]
    batch = CircularVectorEnv(2, scenarios=scenarios)
    alone = CircularEnv(scenario=scenarios[1])
    batch.reset(seed=0)
    alone.reset(seed=0)
    random = np.random.default_rng(0)
    for _ in range(TICKS):
        actions = random.uniform(-1, 1, batch.action_space.shape or ()).astype(np.float32)
        batch.step(actions)
        alone.step(actions[1])
    together, single = batch.metrics(1), alone.metrics()
    for name, value in asdict(single).items():
        if not isinstance(value, dict):
            assert getattr(together, name) == pytest.approx(value, rel=1e-9)


def test_gymnasium_s_own_statistics_count_episodes_of_the_batch() -> None:
    batch = CircularVectorEnv(COUNT, NODES, TICKS)
    env = RecordEpisodeStatistics(batch)
    env.reset(seed=np.int64(3))  # type: ignore[arg-type] # what loops over arrays hand over
    actions = np.zeros(batch.action_space.shape or (), np.float32)
    episodes = []
    for _ in range(2 * (TICKS + 1)):
        *_, info = env.step(actions)
        if "episode" in info:
            episodes.append(info["episode"]["l"].tolist())
    assert episodes == [[TICKS] * COUNT] * 2


def test_the_reward_tells_good_actions_from_bad_ones() -> None:
    rule = 2.0 * np.array([0.75, 0.5, 0.15, 1.0, 24 / 168]) - 1.0
    idle = np.array([1.0, 1.0, 1.0, -1.0, -1.0])
    mean = {}
    for name, row in (("idle", idle), ("rule", rule)):
        batch = CircularVectorEnv(8, 20, 120)
        batch.reset(seed=100)
        actions = np.tile(row, (8, 20)).astype(np.float32)
        mean[name] = np.mean([batch.step(actions)[1] for _ in range(120)])
    assert mean["idle"] < mean["rule"] - 0.1
