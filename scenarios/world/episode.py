"""A run of a batch, an action at a time: what learning environments are made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from jouleloop.errors import ScenarioError
from scenarios.world.arrays import build_world
from scenarios.world.metrics import measure
from scenarios.world.node_action import to_action
from scenarios.world.node_observation import observe_nodes
from scenarios.world.products import Disposition
from scenarios.world.returns import sample_items
from scenarios.world.reward import reward_parts
from scenarios.world.simulate import Recorder
from scenarios.world.state import initial_state
from scenarios.world.step import close_tick, open_tick

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from scenarios.world.graph import Floats
    from scenarios.world.metrics import Metrics
    from scenarios.world.schema import Scenario
    from scenarios.world.state import Flows


@dataclass(frozen=True, eq=False)
class Outcome:
    """What a tick gave.

    Args:
        parts: of the reward, [b, 3], as reward.py says.
        violations: wishes that the law forbade, and executed as the nearest that it allows, [b].
        node_violations: those of them about items, by the use node that they come from, [n].
    """

    parts: Floats
    violations: Floats
    node_violations: Floats

    @property
    def reward(self) -> Floats:
        """Shared by all nodes of a scenario, -1..1, [b]."""
        mean: Floats = self.parts.mean(axis=1)
        return mean


class Episode:
    """Scenarios of one length side by side; each goes as it would alone.

    Args:
        scenarios: at least one.

    Raises:
        ScenarioError: no scenario, or runs of different length.
    """

    def __init__(self, scenarios: Sequence[Scenario]) -> None:
        self.world = build_world(scenarios)
        self.items = sample_items(self.world)
        self._state = initial_state(self.world, self.items)
        self._recorder = Recorder(self.world, self.items)
        self._opening = open_tick(self.world, self.items, self._state)

    @property
    def tick(self) -> int:
        """The tick that is to be decided on."""
        return self._state.tick

    @property
    def is_over(self) -> bool:
        """Whether the run has reached its last tick."""
        return self.tick >= self.world.ticks

    def observe(self) -> NDArray[np.float32]:
        """What every node sees, float32 [n, features]; after the end what it saw last."""
        return observe_nodes(self._opening.view)

    def act(self, values: NDArray[np.floating]) -> Outcome:
        """Run a tick.

        Args:
            values: [n, 5], -1..1, as node_action.py says.

        Raises:
            ScenarioError: the episode is over, or the values have another shape or are no numbers.
            MassBalanceError: the mass of a node does not close.
        """
        if self.is_over:
            raise ScenarioError(
                f"the episode ended at tick {self.world.ticks}", hint="reset the environment"
            )
        flows = close_tick(self._opening, to_action(self._opening.view, values))
        self._recorder.add(flows)
        if not self.is_over:
            self._opening = open_tick(self.world, self.items, self._state)
        parts = reward_parts(self.world, self.items, flows)
        return Outcome(parts, flows.violations, self._by_node(flows))

    def _by_node(self, flows: Flows) -> Floats:
        # The law changes a wish about an item in one way alone: what was to be disposed of is not.
        forbidden = (flows.wished == Disposition.DISPOSE) & (flows.executed != Disposition.DISPOSE)
        nodes = self.items.node[flows.items[forbidden]]
        return np.bincount(nodes, minlength=self.world.nodes).astype(np.float64)

    def metrics(self, number: int = 0) -> Metrics:
        """The metrics of a scenario up to now; at least one tick must have run.

        Raises:
            ScenarioError: nothing has run yet.
            MissingToolError: SciPy, which solves the bound, is not installed.
        """
        if self.tick == 0:
            raise ScenarioError("nothing has run yet", hint="take a step first")
        return measure(self._recorder.run(self._state), number)
