"""A controller of a world whose every decision is one inference on a target."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from jouleloop.errors import LinkError
from scenarios.world.controllers import COVER_TICKS
from scenarios.world.observation import seen_now
from scenarios.world.products import Disposition
from scenarios.world.view import Action

if TYPE_CHECKING:
    from edge_runtime.wire.bundle import Bundle
    from hil_tests.observation import Observation
    from hil_tests.target import Reply, Target
    from scenarios.world.arrays import World
    from scenarios.world.graph import Integers
    from scenarios.world.returns import Items
    from scenarios.world.view import View


class DeviceController:
    """The model decides on items; factories run, and hold a day of material, as under the rule.

    Scenario 0 of a batch is decided on the target. The others, its perturbations, are decided by
    the same bundle on this machine, which also repeats every decision of the target.

    Args:
        bundle: the policy.
        observation: what it expects to see.
        target: where it runs.
        twin: the same bundle on this machine.
    """

    name = "model"

    def __init__(
        self, bundle: Bundle, observation: Observation, target: Target, twin: Target
    ) -> None:
        self._spec = bundle.inputs[0]
        self._observation = observation
        self._target, self._twin = target, twin
        self.replies: list[Reply] = []
        self.decisions: list[int] = []
        self.differences = 0

    def reset(self, world: World, items: Items) -> None:
        """Forget the run before."""
        self.replies, self.decisions, self.differences = [], [], 0

    def decide(self, view: View) -> Action:
        """One inference an item."""
        rows = self._spec.quantize(self._observation.observe(seen_now(view)))
        dispositions: Integers = np.empty(len(rows), np.int64)
        for place, (row, scenario) in enumerate(zip(rows, view.scenario.tolist(), strict=True)):
            here = self._scores(self._twin, row)
            reply = self._scores(self._target, row) if scenario == 0 else here
            # The first of equal scores wins, on every target.
            dispositions[place] = int(np.argmax(reply.output))
            if scenario == 0:
                self.replies.append(reply)
                self.decisions.append(int(dispositions[place]))
                self.differences += not np.array_equal(reply.output, here.output)
        nodes = view.world.nodes
        return Action(dispositions, np.ones(nodes), np.full(nodes, COVER_TICKS))

    @staticmethod
    def _scores(target: Target, row: np.ndarray[tuple[int, ...], np.dtype[np.int8]]) -> Reply:
        reply = target.infer(row)
        if reply.output.size != len(Disposition):
            raise LinkError(
                f"{target.description} answered {reply.output.size} scores; "
                f"the policy has {len(Disposition)}"
            )
        return reply
