"""The libraries' own checkers, seeds, and what is refused."""

from __future__ import annotations

import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from pettingzoo.test import parallel_api_test, parallel_seed_test

from jouleloop.errors import ScenarioError
from scenarios.environments import (
    ENVIRONMENT_ID,
    CircularEnv,
    CircularParallelEnv,
    CircularVectorEnv,
)
from scenarios.world.generate import make_scenario
from scenarios.world.node_action import COLUMNS
from scenarios.world.node_observation import FEATURES

pytestmark = pytest.mark.pure

NODES, TICKS = 12, 30


def single(**options: Any) -> CircularEnv:
    return CircularEnv(**({"nodes": NODES, "ticks": TICKS} | options))


def parallel(**options: Any) -> CircularParallelEnv:
    return CircularParallelEnv(**({"nodes": NODES, "ticks": TICKS} | options))


def test_gymnasium_finds_nothing_to_say() -> None:
    made = gymnasium.make(ENVIRONMENT_ID, nodes=NODES, ticks=TICKS)
    assert isinstance(made.unwrapped, CircularEnv)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(made.unwrapped)
    batch = gymnasium.make_vec(
        ENVIRONMENT_ID, 3, vectorization_mode="vector_entry_point", nodes=NODES, ticks=TICKS
    )
    assert isinstance(batch.unwrapped, CircularVectorEnv)
    assert batch.num_envs == 3


def test_pettingzoo_finds_nothing_to_say(capsys: pytest.CaptureFixture[str]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        parallel_api_test(parallel(), num_cycles=2 * TICKS)
        parallel_seed_test(parallel, num_cycles=TICKS)
    assert "Passed" in capsys.readouterr().out


def test_the_same_seed_gives_the_same_episodes_in_every_process() -> None:
    code = (
        "import hashlib, numpy as np\n"
        "from scenarios.environments import CircularEnv\n"
        f"env = CircularEnv({NODES}, {TICKS})\n"
        "digest = hashlib.sha256()\n"
        "observation, info = env.reset(seed=9)\n"
        "actions = np.random.default_rng(0)\n"
        "for _ in range(25):\n"
        "    digest.update(observation.tobytes())\n"
        "    action = actions.uniform(-1, 1, env.action_space.shape)\n"
        "    observation, reward, *_ = env.step(action)\n"
        "    digest.update(np.float64(reward).tobytes())\n"
        "print(info['scenario'], digest.hexdigest())\n"
    )
    runs = {
        subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout
        for _ in range(2)
    }
    assert len(runs) == 1


def test_a_reset_without_a_seed_goes_on_to_another_scenario() -> None:
    env = single()
    ids = [env.reset(seed=1)[1]["scenario"], env.reset()[1]["scenario"]]
    again = [env.reset(seed=1)[1]["scenario"], env.reset()[1]["scenario"]]
    assert ids == again
    assert ids[0] != ids[1]
    fixed = make_scenario(4, nodes=NODES, ticks=TICKS)
    _, info = env.reset(seed=1, options={"scenario": fixed})
    assert info["scenario"] == fixed.id
    # What was given takes the place of the first; the second is the same as ever.
    assert env.reset()[1]["scenario"] == ids[1]


def test_what_does_not_fit_is_refused() -> None:
    env = single()
    with pytest.raises(ScenarioError, match="no episode has begun"):
        env.step(np.zeros(NODES * 5, np.float32))
    env.reset(seed=0)
    with pytest.raises(ScenarioError, match="nothing has run"):
        env.metrics()
    with pytest.raises(ScenarioError, match=r"shape \(3,\)"):
        env.step(np.zeros(3, np.float32))
    with pytest.raises(ScenarioError, match="not a number"):
        env.step(np.full(NODES * 5, np.nan, np.float32))
    for other, word in (
        (make_scenario(1, nodes=NODES + 1, ticks=TICKS), "nodes"),
        (make_scenario(1, nodes=NODES, ticks=TICKS + 1), "ticks"),
    ):
        with pytest.raises(ScenarioError, match=word):
            env.reset(options={"scenario": other})
    for _ in range(TICKS):
        env.step(np.zeros(NODES * 5, np.float32))
    with pytest.raises(ScenarioError, match="ended at tick"):
        env.step(np.zeros(NODES * 5, np.float32))
    with pytest.raises(ScenarioError, match="0 environments"):
        CircularVectorEnv(0)
    with pytest.raises(ScenarioError, match="2 seeds for 3"):
        CircularVectorEnv(3, NODES, TICKS).reset(seed=[1, 2])
    with pytest.raises(ScenarioError, match="6 nodes"):
        single(nodes=6)
    many = parallel()
    many.reset(seed=0)
    with pytest.raises(ScenarioError, match="does not act"):
        many.step({many.agents[0]: np.zeros(5, np.float32)})


def test_an_agent_is_a_node_and_the_reward_is_shared() -> None:
    env, one = parallel(), single()
    observations, infos = env.reset(seed=5)
    row, info = one.reset(seed=5)
    assert {i["scenario"] for i in infos.values()} == {info["scenario"]}
    assert np.array_equal(np.concatenate([observations[a] for a in env.agents]), row)
    random = np.random.default_rng(2)
    for _ in range(TICKS):
        agents = list(env.agents)
        actions = {a: random.uniform(-1, 1, 5).astype(np.float32) for a in agents}
        observations, rewards, _, truncations, infos = env.step(actions)
        row, reward, _, truncated, info = one.step(np.concatenate([*actions.values()]))
        assert set(rewards.values()) == {reward}
        assert set(truncations.values()) == {truncated}
        assert [infos[a]["violations"] for a in agents] == info["node_violations"].tolist()
        assert {infos[a]["world_violations"] for a in agents} == {info["violations"]}
        assert np.array_equal(env.state(), row)
    assert env.agents == []
    assert env.metrics() == one.metrics()


def test_the_page_names_every_feature_and_action() -> None:
    page = (Path(__file__).parents[3] / "docs" / "environments.md").read_text(encoding="utf-8")
    # Ranges of names are written by their first and last.
    inner = ("is_", "available_")
    named = [name for name in FEATURES if not name.startswith(inner)] + ["is_capped"]
    missing = [name for name in (*named, *COLUMNS) if f"`{name}`" not in page]
    assert not missing
    assert f"{len(FEATURES)} numbers in [0, 1]" in page
    assert "jouleloop[environments]" in page
