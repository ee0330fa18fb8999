"""What a model costs on a device: flash, RAM, instructions and joules, whole and by layer."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from device_profiles.energy_model import DecisionEnergy, decision_energy
from export.estimate import Count, layer_instructions
from export.ops import OPERATORS
from export.verify import calls

if TYPE_CHECKING:
    from collections.abc import Mapping

    from device_profiles import Core, DeviceProfile
    from export.budget import Budget
    from export.graph import QGraph
    from export.link import Module
    from export.optimize import Optimize
    from export.render.c import Layer, Program
    from jouleloop.energy import Energy


@dataclass(frozen=True)
class FlashCost:
    """Flash of the native module; the limit is the device's flash or the budget.

    `weights_bytes` are int8 weights, int32 biases, multipliers and shifts per channel, `code_bytes`
    every other byte. The ELF file's section `.weights` also holds `packing_bytes` of the code.
    """

    module_bytes: int
    code_bytes: int
    packing_bytes: int
    weights_bytes: int
    limit_bytes: int | None
    limit_source: str


@dataclass(frozen=True)
class RamCost:
    """RAM of one inference: the arena, the stack, and the caller's buffers for input and output.

    `arena_lower_bound_bytes` is what the fullest layer holds; `arena_is_smallest` says that no plan
    of the same buffers is smaller than `arena_bytes`.
    """

    arena_bytes: int
    arena_lower_bound_bytes: int
    arena_is_smallest: bool
    stack_bytes: int
    input_bytes: int
    output_bytes: int
    limit_bytes: int | None
    limit_source: str

    @property
    def total_bytes(self) -> int:
        """Everything writable."""
        return self.arena_bytes + self.stack_bytes + self.input_bytes + self.output_bytes


@dataclass(frozen=True)
class LayerCost:
    """One layer; `instructions` and `joules` are None where there is no native code or no power.

    `arena_bytes`: bytes of the arena in use while it runs. `symbol`: its function in the module.
    """

    name: str
    op: str
    macs: int
    instructions: int | None
    weights_bytes: int
    output_bytes: int
    arena_bytes: int | None
    joules: float | None
    symbol: str | None = None


@dataclass(frozen=True)
class Mode:
    """What one mode of `--optimize` would take; instructions are estimated."""

    arena_bytes: int
    instructions: int


@dataclass(frozen=True)
class Cost:
    """The cost of a model on a device.

    Args:
        device: profile id.
        energy_device: the silicon whose power the joules use; None when there are no joules.
        flash: None without a native module.
        ram: likewise.
        layers: in order of execution.
        instructions: of one inference; None without a native module.
        energy: of one decision; None without a native module.
        optimize: the mode that the module was made for; None without one.
        modes: what each mode would take.
    """

    device: str
    energy_device: str | None
    flash: FlashCost | None
    ram: RamCost | None
    layers: tuple[LayerCost, ...]
    instructions: Count | None
    energy: DecisionEnergy | None
    optimize: Optimize | None
    modes: Mapping[Optimize, Mode]

    def as_record(self) -> dict[str, Any]:
        """The record for `cost.json`, without the budget."""
        ram = None if self.ram is None else asdict(self.ram) | {"total_bytes": self.ram.total_bytes}
        return {
            "device": self.device,
            "energy_device": self.energy_device,
            "flash": None if self.flash is None else asdict(self.flash),
            "ram": ram,
            "layers": [asdict(layer) for layer in self.layers],
            "instructions": None if self.instructions is None else asdict(self.instructions),
            "energy": None if self.energy is None else self.energy.as_record(),
            "optimize": None if self.optimize is None else str(self.optimize),
            "modes": {str(mode): asdict(cost) for mode, cost in self.modes.items()},
        }


def count_instructions(program: Program, core: Core) -> Count:
    """Instructions of one inference, summed over the layers."""
    counts = [layer_instructions(layer.code, core) for layer in program.layers]
    value, low, high = (sum(getattr(c, end) for c in counts) for end in ("value", "low", "high"))
    source = f"estimated from the layers' shapes and counts on QEMU ({low:.4g} to {high:.4g})"
    return Count(value, low, high, source)


def estimate_energy(
    profile: DeviceProfile, instructions: Count, payload_bytes: int
) -> DecisionEnergy:
    """Energy of a decision; the interval holds the doubt about the instructions too."""
    best, low, high = (
        decision_energy(profile, instructions=count, payload_bytes=payload_bytes)
        for count in (instructions.value, instructions.low, instructions.high)
    )
    if "inference" not in best.states:
        return best
    inference = replace(
        best.states["inference"],
        source=f"{best.states['inference'].source}; instructions {instructions.source}",
        low_joules=low.states["inference"].interval[0],
        high_joules=high.states["inference"].interval[1],
    )
    return DecisionEnergy({**best.states, "inference": inference}, best.missing)


def native_cost(
    profile: DeviceProfile,
    program: Program,
    module: Module,
    instructions: Count,
    energy: DecisionEnergy,
    budget: Budget,
) -> Cost:
    """The cost of a model that was linked for a microcontroller."""
    graph, silicon = program.graph, profile.silicon()
    flash = FlashCost(
        len(module.content),
        module.code_bytes,
        module.packing_bytes,
        module.weights_bytes,
        *_limit(budget.flash_bytes, "--budget-flash", profile.flash_bytes, profile),
    )
    ram = RamCost(
        program.plan.arena_bytes,
        program.plan.lower_bound_bytes,
        program.plan.is_smallest,
        module.stack_bytes,
        sum(graph.tensors[name].size for name in graph.inputs),
        sum(graph.tensors[name].size for name in graph.outputs),
        *_limit(budget.ram_bytes, "--budget-ram", profile.model_ram_bytes, profile),
    )
    inference = energy.states.get("inference")
    layers = layer_costs(program, inference, instructions, profile.core)
    energy_device = silicon.id if silicon is not None and inference is not None else None
    modes = {
        mode: Mode(choice.plan.arena_bytes, round(choice.instructions))
        for mode, choice in program.choices.items()
    }
    return Cost(
        profile.id,
        energy_device,
        flash,
        ram,
        layers,
        instructions,
        energy,
        program.optimize,
        modes,
    )


def layer_costs(
    program: Program, inference: Energy | None, total: Count, core: Core
) -> tuple[LayerCost, ...]:
    """The layers of a program, each run once.

    Args:
        program: the graph.
        inference: energy of the whole inference that they are part of; None where not known.
        total: instructions of the same.
        core: of the device.
    """
    return tuple(
        _layer_cost(layer, arena, inference, total, core)
        for layer, arena in zip(program.layers, program.plan.layer_bytes, strict=True)
    )


def portable_cost(profile: DeviceProfile, graph: QGraph) -> Cost:
    """The cost of a model for a device without native modules: what is known without code."""
    layers = tuple(
        LayerCost(
            call.node.name,
            call.node.op,
            OPERATORS[call.node.op].macs(call),
            None,
            sum(tensor.data.nbytes for tensor in call.inputs if tensor and tensor.data is not None),
            sum(tensor.size for tensor in call.outputs),
            None,
            None,
        )
        for call in calls(graph)
    )
    return Cost(profile.id, None, None, None, layers, None, None, None, {})


def _limit(
    budget: int | None, option: str, device: int | None, profile: DeviceProfile
) -> tuple[int | None, str]:
    """The lower of the budget and what the device has, and which one that is."""
    if budget is not None and (device is None or budget < device):
        return budget, option
    return device, profile.path.name


def _layer_cost(
    layer: Layer, arena_bytes: int, inference: Energy | None, total: Count, core: Core
) -> LayerCost:
    count = layer_instructions(layer.code, core).value
    share = count / total.value if total.value else 0.0
    return LayerCost(
        layer.call.node.name,
        layer.call.node.op,
        OPERATORS[layer.call.node.op].macs(layer.call),
        round(count),
        layer.code.weights_bytes,
        sum(tensor.size for tensor in layer.call.outputs),
        arena_bytes,
        None if inference is None else inference.joules * share,
        layer.code.symbol,
    )
