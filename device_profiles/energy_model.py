"""Modelled joules: power of a state times the time in it, from a profile's sourced figures.

A decision is three states: wake (from sleep to the code), inference, and radio. Every result is a
`jouleloop.energy.Energy` of kind modelled whose source names each figure, and whose interval comes
from the figures' ranges and the cycle estimate. A figure that the profile lacks makes its state
missing; nothing is guessed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import TYPE_CHECKING, Any

from jouleloop.energy import Energy, Kind
from jouleloop.errors import MissingFigureError

if TYPE_CHECKING:
    from collections.abc import Callable

    from device_profiles.profile import DeviceProfile, Figure

# Cycles per executed instruction on a Cortex-M: until a profiler weighs instruction classes, this
# is an assumption. One per cycle is the floor of a single-issue core (a Cortex-M7 can go below it);
# 2 leaves room for loads, taken branches and flash wait states.
CYCLES_PER_INSTRUCTION = 1.5
CYCLES_PER_INSTRUCTION_LOW = 1.0
CYCLES_PER_INSTRUCTION_HIGH = 2.0

POWER_STATES = ("active", "idle", "sleep", "off")


@dataclass(frozen=True)
class Cycles:
    """A number of core cycles with its interval.

    Args:
        value: best estimate, >= 0.
        low: lower end.
        high: upper end.
        source: how it was estimated.
    """

    value: float
    low: float
    high: float
    source: str


@dataclass(frozen=True)
class DecisionEnergy:
    """What one decision costs, state by state.

    Args:
        states: state -> its energy; `wake`, `inference`, `radio`, those that are known.
        missing: state -> key of the figure that the profile lacks.
    """

    states: dict[str, Energy]
    missing: dict[str, str]

    @property
    def known(self) -> Energy | None:
        """Sum of the states that are known; None when none is."""
        return reduce(add, self.states.values()) if self.states else None

    @property
    def total(self) -> Energy | None:
        """Sum of the states that are known; None when the inference itself is missing."""
        return self.known if "inference" in self.states else None

    def as_record(self) -> dict[str, Any]:
        """The record for JSON: states, missing, total."""
        return {
            "states": {state: energy.as_record() for state, energy in self.states.items()},
            "missing": dict(self.missing),
            "total": None if self.total is None else self.total.as_record(),
        }


def estimate_cycles(instructions: float) -> Cycles:
    """Cycles of so many executed instructions on a Cortex-M.

    Args:
        instructions: executed, >= 0; the mean over several inferences may be fractional.

    >>> estimate_cycles(1000).value, estimate_cycles(1000).high
    (1500.0, 2000.0)
    """
    if not 0 <= instructions < math.inf:
        raise ValueError(f"not a number of instructions: {instructions}")
    low, high = CYCLES_PER_INSTRUCTION_LOW, CYCLES_PER_INSTRUCTION_HIGH
    return Cycles(
        instructions * CYCLES_PER_INSTRUCTION,
        instructions * low,
        instructions * high,
        f"cycles assumed as executed instructions x {CYCLES_PER_INSTRUCTION} ({low}-{high})",
    )


def decision_energy(
    profile: DeviceProfile, *, instructions: float, payload_bytes: int
) -> DecisionEnergy:
    """Model one decision: wake up, infer, send the result.

    Args:
        profile: the board; one without silicon is modelled as the silicon that it stands for.
        instructions: executed by the inference, >= 0.
        payload_bytes: sent by radio for this decision, >= 0; a board without a radio sends for
            nothing, by construction.
    """
    steps: dict[str, Callable[[], Energy]] = {
        "wake": lambda: wake_energy(profile),
        "inference": lambda: inference_energy(profile, estimate_cycles(instructions)),
        "radio": lambda: radio_energy(profile, payload_bytes),
    }
    states: dict[str, Energy] = {}
    missing: dict[str, str] = {}
    for state, step in steps.items():
        try:
            states[state] = step()
        except MissingFigureError as error:
            missing[state] = error.figure
    return DecisionEnergy(states, missing)


def wake_energy(profile: DeviceProfile) -> Energy:
    """From the wake event to the code: active power times wake time.

    Raises:
        MissingFigureError: the profile lacks one of the two.
    """
    device = _silicon(profile)
    power = device.figure("power.active_w", needed_for="the energy of a wake-up")
    seconds = device.figure("power.wake_s", needed_for="the energy of a wake-up")
    (low_w, high_w), (low_s, high_s) = power.interval, seconds.interval
    source = _source(profile, {"power.active_w": power, "power.wake_s": seconds})
    return Energy(
        power.value * seconds.value, Kind.MODELLED, source, low_w * low_s, high_w * high_s
    )


def inference_energy(profile: DeviceProfile, cycles: Cycles) -> Energy:
    """Active power times cycles over the clock.

    Raises:
        MissingFigureError: the profile lacks a power, or its core is no Cortex-M, so that cycles
            cannot be told from instructions.
    """
    device = _silicon(profile)
    purpose = "the energy of an inference"
    power = device.figure("power.active_w", needed_for=purpose)
    clock = device.figure("clock_hz", needed_for=purpose)
    if device.core.kernel_class is None:
        raise MissingFigureError("cycles_per_instruction", device.path, needed_for=purpose)
    (low_w, high_w), (slow_hz, fast_hz) = power.interval, clock.interval
    source = _source(profile, {"power.active_w": power, "clock_hz": clock})
    return Energy(
        power.value * cycles.value / clock.value,
        Kind.MODELLED,
        f"{source}; {cycles.source}",
        low_w * cycles.low / fast_hz,
        high_w * cycles.high / slow_hz,
    )


def picojoules_per_tick(profile: DeviceProfile) -> int:
    """Modelled energy of one tick of an emulated board's clock in a model's code, pJ.

    Cycles are assumed as 1.5 per executed instruction (`estimate_cycles`). 0 where the profile has
    no emulator, or lacks a figure: then a board checks no joules.
    """
    if profile.emulator is None:
        return 0
    cycles = estimate_cycles(profile.emulator.instructions_per_tick)
    try:
        return round(inference_energy(profile, cycles).joules * 1e12)
    except MissingFigureError:
        return 0


def radio_energy(profile: DeviceProfile, payload_bytes: int) -> Energy:
    """Messages times their fixed cost, plus bytes times theirs; zero without a radio.

    Raises:
        MissingFigureError: the board has a radio and the profile lacks a cost of it.
    """
    if payload_bytes < 0:
        raise ValueError(f"not a number of bytes: {payload_bytes}")
    device = _silicon(profile)
    if device.radio == "none":
        return Energy(0.0, Kind.MODELLED, f"{device.id} has no radio")
    purpose = f"the energy of {device.radio}"
    keys = ("radio.joules_per_message", "radio.joules_per_byte")
    fixed, each = (device.figure(key, needed_for=purpose) for key in keys)
    figures = dict(zip(keys, (fixed, each), strict=True))
    messages = min(payload_bytes, 1)
    if device.has("radio.message_bytes"):
        figures["radio.message_bytes"] = device.figures["radio.message_bytes"]
        messages = math.ceil(payload_bytes / figures["radio.message_bytes"].value)
    (low_j, high_j), (low_each_j, high_each_j) = fixed.interval, each.interval
    return Energy(
        fixed.value * messages + each.value * payload_bytes,
        Kind.MODELLED,
        _source(profile, figures),
        low_j * messages + low_each_j * payload_bytes,
        high_j * messages + high_each_j * payload_bytes,
    )


def sleep_energy(profile: DeviceProfile, seconds: float) -> Energy:
    """Sleep with the RAM kept; see `state_energy`."""
    return state_energy(profile, "sleep", seconds)


def state_energy(profile: DeviceProfile, state: str, seconds: float) -> Energy:
    """Power of a state times the time in it.

    Args:
        profile: the board.
        state: one of `POWER_STATES`.
        seconds: in that state, >= 0.

    Raises:
        MissingFigureError: the profile lacks the state's power.
    """
    if state not in POWER_STATES or not 0 <= seconds < math.inf:
        raise ValueError(f"not a state and its seconds: {state!r}, {seconds}")
    key = f"power.{state}_w"
    power = _silicon(profile).figure(key, needed_for=f"the energy of the state {state}")
    low_w, high_w = power.interval
    source = _source(profile, {key: power})
    return Energy(power.value * seconds, Kind.MODELLED, source, low_w * seconds, high_w * seconds)


def _silicon(profile: DeviceProfile) -> DeviceProfile:
    # A board that stands for nothing has no figures of its own either, so its error names its file.
    return profile.silicon() or profile


def _source(profile: DeviceProfile, figures: dict[str, Figure]) -> str:
    """Who was modelled as what, then each figure's source; `Energy` merges equal parts in sums."""
    device = _silicon(profile)
    whom = f"{profile.id} (stands for {device.id})" if device is not profile else profile.id
    parts = [f"modelled for {whom}"]
    for key, figure in figures.items():
        doubt = "" if figure.confidence == "high" else f", confidence {figure.confidence}"
        parts.append(f"{key} of {device.id}: {figure.source.replace('; ', ', ')}{doubt}")
    return "; ".join(parts)
