"""Budgets: what a model may cost, and the refusal, with the numbers, of one that costs more."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from device_profiles.energy_model import sleep_energy
from jouleloop.errors import InputError, MissingFigureError, OverBudgetError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from device_profiles import DeviceProfile
    from export.cost import Cost, FlashCost, LayerCost, RamCost
    from jouleloop.energy import Energy

SECONDS_PER_DAY = 86_400
Rows = tuple[tuple[str, str, str], ...]


@dataclass(frozen=True)
class Battery:
    """How long a battery must last.

    Args:
        joules: usable energy, > 0.
        days: > 0.
        decisions_per_day: > 0.
    """

    joules: float
    days: float
    decisions_per_day: float

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not 0 < value < float("inf"):
                raise InputError(f"a battery's {name} must be above 0 and finite; it is {value}")


@dataclass(frozen=True)
class Budget:
    """What a model may cost; None means no limit but the device's own.

    Args:
        flash_bytes: of the native module.
        ram_bytes: of one inference: arena, stack, input and output.
        joules_per_decision: wake, inference, share of radio.
        battery: derives the joules per decision instead.
    """

    flash_bytes: int | None = None
    ram_bytes: int | None = None
    joules_per_decision: float | None = None
    battery: Battery | None = None

    def __post_init__(self) -> None:
        for name in ("flash_bytes", "ram_bytes", "joules_per_decision"):
            value = getattr(self, name)
            if value is not None and not 0 < value < float("inf"):
                raise InputError(f"the budget {name} must be above 0; it is {value}")
        if self.battery is not None and self.joules_per_decision is not None:
            raise InputError("a budget is joules per decision or a battery, not both")


@dataclass(frozen=True)
class JoulesLimit:
    """Joules per decision, and where they come from."""

    joules: float
    source: str
    sleep_floor: Energy | None = None


def joules_limit(budget: Budget, profile: DeviceProfile) -> JoulesLimit | None:
    """The budget for one decision; of a battery, what is left after the sleep floor.

    Raises:
        OverBudgetError: sleeping alone empties the battery.
        MissingFigureError: the profile has no sleep power.
    """
    if budget.joules_per_decision is not None:
        return JoulesLimit(budget.joules_per_decision, "--budget-joules")
    if budget.battery is None:
        return None
    battery = budget.battery
    floor = sleep_energy(profile, battery.days * SECONDS_PER_DAY)
    if floor.joules >= battery.joules:
        slept, held = format_joules(floor.joules), format_joules(battery.joules)
        raise OverBudgetError(
            f"{profile.id} empties the battery by sleeping alone: {battery.days:g} days of sleep "
            f"take {slept}, the battery holds {held}",
            rows=(("sleep", slept, held),),
            hint=f"fewer days, a larger battery, or another device; {floor.source}",
        )
    decisions = battery.days * battery.decisions_per_day
    source = f"({battery.joules:g} J - {floor.joules:.4g} J of sleep) / {decisions:g} decisions"
    return JoulesLimit((battery.joules - floor.joules) / decisions, source, floor)


def check_memory(cost: Cost, budget: Budget) -> None:
    """Refuse a model that does not fit flash or RAM.

    Raises:
        OverBudgetError: with the parts, then the layers.
        InputError: a budget was given for a device that gets no native module.
    """
    if cost.flash is None or cost.ram is None:
        for name, value in (("flash", budget.flash_bytes), ("ram", budget.ram_bytes)):
            if value is not None:
                raise InputError(
                    f"--budget-{name} limits a native module, and {cost.device} gets none",
                    hint="leave the option out, or export for a microcontroller",
                )
        return
    flash, ram = cost.flash, cost.ram
    if flash.limit_bytes is not None and flash.module_bytes > flash.limit_bytes:
        raise OverBudgetError(
            f"{cost.device}: the module needs {flash.module_bytes:,} B of flash; the limit is "
            f"{flash.limit_bytes:,} B ({flash.limit_source})",
            rows=_flash_rows(flash, cost.layers, flash.limit_bytes),
            hint="a smaller model, or another device",
        )
    if ram.limit_bytes is not None and ram.total_bytes > ram.limit_bytes:
        largest = max(cost.layers, key=lambda layer: layer.arena_bytes or 0, default=None)
        where = "" if largest is None else f"; the peak is at {largest.name} ({largest.op})"
        raise OverBudgetError(
            f"{cost.device}: an inference needs {ram.total_bytes:,} B of RAM; the limit is "
            f"{ram.limit_bytes:,} B ({ram.limit_source}){where}",
            rows=_ram_rows(ram, cost.layers, ram.limit_bytes),
            hint="narrower layers, or another device",
        )


def check_joules(cost: Cost, limit: JoulesLimit | None, profile: DeviceProfile) -> None:
    """Refuse a model whose decision costs more than its budget.

    Raises:
        OverBudgetError: what is known already exceeds the budget; by state, then by layer.
        MissingFigureError: a figure is missing, and what is known fits.
        InputError: the device runs no native module, so that no joules are known.
    """
    if limit is None:
        return
    if cost.energy is None:
        raise InputError(
            f"a joule budget needs an estimate of instructions, and {cost.device} gets no native "
            f"module: {profile.no_native_reason}",
            hint="leave the budget out; `jouleloop run` measures latency there",
        )
    known = cost.energy.known
    if known is not None and known.joules > limit.joules:
        unknown = ", ".join(cost.energy.missing)
        rest = f" (and {unknown} not known)" if unknown else ""
        raise OverBudgetError(
            f"{cost.device}: a decision takes {format_joules(known.joules)}{rest}; the budget is "
            f"{format_joules(limit.joules)}, {limit.source}",
            rows=tuple(_joules_rows(cost, limit)),
            hint="a smaller model, fewer decisions, or another device",
        )
    for figure in cost.energy.missing.values():
        device = profile.silicon() or profile
        raise MissingFigureError(figure, device.path, needed_for="the joule budget")


def format_joules(value: float) -> str:
    """Joules with four digits and a prefix.

    >>> format_joules(1.7e-05)
    '17 µJ'
    """
    for factor, unit in ((1.0, "J"), (1e-3, "mJ"), (1e-6, "µJ")):
        if value >= factor:
            return f"{value / factor:.4g} {unit}"
    return f"{value / 1e-9:.4g} nJ"


def _joules_rows(cost: Cost, limit: JoulesLimit) -> Iterator[tuple[str, str, str]]:
    energy = cost.energy
    if energy is None:
        return
    for state, spent in energy.states.items():
        yield state, format_joules(spent.joules), ""
    for state, figure in energy.missing.items():
        yield state, f"unknown: no {figure}", ""
    if energy.known is not None:
        low, high = energy.known.interval
        interval = (
            f"{format_joules(energy.known.joules)} ({format_joules(low)} to {format_joules(high)})"
        )
        yield "decision", interval, format_joules(limit.joules)
    for layer in cost.layers:
        if layer.joules is not None:
            yield f"  {layer.name} {layer.op}", format_joules(layer.joules), ""


def _flash_rows(flash: FlashCost, layers: tuple[LayerCost, ...], limit: int) -> Rows:
    parts = (
        ("module", f"{flash.module_bytes:,} B", f"{limit:,} B"),
        ("weights", f"{flash.weights_bytes:,} B", ""),
        ("code", f"{flash.code_bytes:,} B", ""),
    )
    return parts + tuple((f"  {x.name} {x.op}", f"{x.weights_bytes:,} B", "") for x in layers)


def _ram_rows(ram: RamCost, layers: tuple[LayerCost, ...], limit: int) -> Rows:
    parts = (
        ("inference", f"{ram.total_bytes:,} B", f"{limit:,} B"),
        ("arena", f"{ram.arena_bytes:,} B", ""),
        ("stack", f"{ram.stack_bytes:,} B", ""),
        ("input and output", f"{ram.input_bytes + ram.output_bytes:,} B", ""),
    )
    return parts + tuple((f"  {x.name} {x.op}", f"{x.arena_bytes or 0:,} B", "") for x in layers)


def budget_record(budget: Budget, limit: JoulesLimit | None) -> dict[str, Any]:
    """The record in `cost.json`."""
    battery = None if budget.battery is None else vars(budget.battery)
    return {
        "flash_bytes": budget.flash_bytes,
        "ram_bytes": budget.ram_bytes,
        "joules_per_decision": None if limit is None else limit.joules,
        "joules_source": None if limit is None else limit.source,
        "sleep_floor": None
        if limit is None or limit.sleep_floor is None
        else limit.sleep_floor.as_record(),
        "battery": battery,
    }
