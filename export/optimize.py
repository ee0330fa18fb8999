"""Speed or memory: which of a layer's kernels is taken.

A layer may have several kernels that compute the same: the fastest, and ones that take less
scratch. `speed` takes the fastest of each. `memory` makes the arena as small as the kernels allow,
and then takes the fastest that fit into it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING

from export.estimate import layer_instructions
from export.plan import plan_layers

if TYPE_CHECKING:
    from collections.abc import Sequence

    from device_profiles.core import Core
    from export.graph import QGraph
    from export.kernels.layer import KernelCode
    from export.plan import Plan


class Optimize(StrEnum):
    """What a module is made for: the fewest instructions, or the smallest arena."""

    SPEED = "speed"
    MEMORY = "memory"


@dataclass(frozen=True, eq=False)
class Choice:
    """A kernel for every layer.

    Args:
        codes: in order of execution.
        plan: their arena.
        instructions: of one inference, estimated.
    """

    codes: tuple[KernelCode, ...]
    plan: Plan
    instructions: float

    @property
    def cost(self) -> tuple[int, float]:
        """What `memory` makes small: the arena, and then the instructions."""
        return self.plan.arena_bytes, self.instructions


def choose_kernels(
    graph: QGraph, kernels: Sequence[Sequence[KernelCode]], core: Core
) -> dict[Optimize, Choice]:
    """The choice of either mode.

    Args:
        graph: lowered.
        kernels: per layer, the fastest first.
        core: what instructions are estimated for.
    """
    fast = _choice(graph, [options[0] for options in kernels], core)
    best = min(
        (fast, _choice(graph, [options[-1] for options in kernels], core)),
        key=lambda choice: choice.cost,
    )
    is_better = any(len(options) > 1 for options in kernels)
    while is_better:
        is_better = False
        for index, options in enumerate(kernels):
            for code in options:
                if code is best.codes[index]:
                    continue
                codes = [*best.codes[:index], code, *best.codes[index + 1 :]]
                other = _choice(graph, codes, core)
                if other.cost < best.cost:
                    best, is_better = other, True
    chosen = {Optimize.SPEED: fast, Optimize.MEMORY: best}
    return {mode: _without_free_layers(graph, choice, core) for mode, choice in chosen.items()}


def _choice(graph: QGraph, codes: Sequence[KernelCode], core: Core) -> Choice:
    scratch = [code.scratch_bytes for code in codes]
    plan = plan_layers(graph, scratch, [code.runs_in_place for code in codes])
    return Choice(tuple(codes), plan, _instructions(codes, core))


def _without_free_layers(graph: QGraph, choice: Choice, core: Core) -> Choice:
    """The same with nothing counted for a RESHAPE whose tensor stays where it is."""
    codes = tuple(
        replace(code, instructions=0, note="nothing moves")
        if node.op == "RESHAPE" and choice.plan.is_shared(node.inputs[0], node.outputs[0])
        else code
        for node, code in zip(graph.nodes, choice.codes, strict=True)
    )
    return Choice(codes, choice.plan, _instructions(codes, core))


def _instructions(codes: Sequence[KernelCode], core: Core) -> float:
    return sum(layer_instructions(code, core).value for code in codes)
