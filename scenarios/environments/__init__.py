"""Circular supply chains to learn in: Gymnasium for one agent and for a batch, PettingZoo for many.

    spaces.py    what an action and an observation look like; which scenario comes next
    single.py    CircularEnv: one agent acts for all nodes of one scenario
    vector.py    CircularVectorEnv: the same for many scenarios, side by side in one simulator
    parallel.py  CircularParallelEnv: every node is an agent

Importing this registers `jouleloop/CircularSupplyChain-v0` with Gymnasium. These files alone
import the two libraries; what they wrap is `scenarios/world/episode.py`.
"""

from jouleloop.programs import require_package

for _package in ("gymnasium", "pettingzoo"):
    require_package(_package)

# Behind the check, so that who lacks one of them is told what to install.
import gymnasium  # noqa: E402

from scenarios.environments.parallel import CircularParallelEnv  # noqa: E402 - likewise
from scenarios.environments.single import CircularEnv  # noqa: E402 - likewise
from scenarios.environments.vector import CircularVectorEnv  # noqa: E402 - likewise

__all__ = ["ENVIRONMENT_ID", "CircularEnv", "CircularParallelEnv", "CircularVectorEnv"]

ENVIRONMENT_ID = "jouleloop/CircularSupplyChain-v0"
gymnasium.register(
    ENVIRONMENT_ID,
    entry_point="scenarios.environments.single:CircularEnv",
    vector_entry_point="scenarios.environments.vector:CircularVectorEnv",
)
