"""What a profile's parts must say together, as a checklist."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from device_profiles.figures import FIGURES
from jouleloop.errors import ProfileError

if TYPE_CHECKING:
    from device_profiles.profile import DeviceProfile

ADDRESS_SPACE = 2**32
POWER_BY_DEPTH = ("power.active_w", "power.idle_w", "power.sleep_w", "power.off_w")


def validate(profile: DeviceProfile) -> None:
    """Check a profile.

    Raises:
        ProfileError: names the file, the key, the limit and the actual value.
    """
    _the_id_is_the_name_of_the_file(profile)
    _a_clock_is_stated(profile)
    _figures_are_known_and_in_their_range(profile)
    _a_deeper_state_draws_no_more(profile)
    _memories_are_in_order_and_apart(profile)
    _native_code_or_the_reason_why_not(profile)
    _no_radio_costs_nothing(profile)
    _a_board_without_silicon_has_no_power_of_its_own(profile)
    _a_stand_in_is_silicon_with_the_same_core(profile)


def _demand(fact: bool, profile: DeviceProfile, sentence: str) -> None:
    if not fact:
        raise ProfileError(f"{profile.path.name}: {sentence}", hint=f"mend {profile.path}")


def _the_id_is_the_name_of_the_file(profile: DeviceProfile) -> None:
    stem = profile.path.stem
    _demand(profile.id == stem, profile, f"id must be the file's stem, {stem}; it is {profile.id}")


def _a_clock_is_stated(profile: DeviceProfile) -> None:
    _demand(profile.has("clock_hz"), profile, "the key figures.clock_hz is missing")
    _demand(profile.figures["clock_hz"].interval[0] > 0, profile, "clock_hz must be above 0")


def _figures_are_known_and_in_their_range(profile: DeviceProfile) -> None:
    for key, figure in profile.figures.items():
        known = ", ".join(FIGURES)
        _demand(key in FIGURES, profile, f"the figure {key} is none of {known}")
        low, high = figure.interval
        _demand(
            low <= figure.value <= high,
            profile,
            f"{key} must lie in its range [{low:g}, {high:g}]; it is {figure.value:g}",
        )


def _a_deeper_state_draws_no_more(profile: DeviceProfile) -> None:
    states = [key for key in POWER_BY_DEPTH if profile.has(key)]
    for key, deeper in pairwise(states):
        watts, deeper_watts = profile.figures[key].value, profile.figures[deeper].value
        _demand(
            deeper_watts <= watts,
            profile,
            f"{deeper} must be at most {key}, {watts:g} W; it is {deeper_watts:g} W",
        )


def _memories_are_in_order_and_apart(profile: DeviceProfile) -> None:
    names = [memory.name for memory in profile.memories]
    _demand(len(set(names)) == len(names), profile, f"memory names must differ: {names}")
    placed = [(m.base, m.base + m.bytes, m.name) for m in profile.memories if m.base is not None]
    for base, end, name in placed:
        _demand(
            end <= ADDRESS_SPACE,
            profile,
            f"memory {name} at {base:#x} must end within 32 bits; it ends at {end:#x}",
        )
    for (base, end, name), (next_base, _, next_name) in pairwise(placed):
        order = f"{name} [{base:#x}, {end:#x}), {next_name} from {next_base:#x}"
        _demand(base < next_base, profile, f"memories must be in the order of addresses: {order}")
        _demand(end <= next_base, profile, f"memories must not overlap: {order}")
    for memory in profile.memories:
        _demand(
            memory.firmware_bytes <= (memory.bytes if memory.kind == "ram" else 0),
            profile,
            f"of {memory.name} firmware keeps {memory.firmware_bytes} bytes: more than there is, "
            "or no RAM",
        )
        for unit in (memory.erase_bytes or 1, memory.write_bytes or 1):
            _demand(
                memory.bytes % unit == 0,
                profile,
                f"memory {memory.name} of {memory.bytes} bytes must be a multiple of {unit}",
            )


def _native_code_or_the_reason_why_not(profile: DeviceProfile) -> None:
    is_native = profile.kind == "mcu"
    _demand(
        is_native == (profile.core.kernel_class is not None),
        profile,
        f"kind mcu means a core with kernels; kind is {profile.kind}, core {profile.core.name}",
    )
    _demand(
        is_native != bool(profile.no_native_reason),
        profile,
        "no_native_reason must be given for linux and other, and for no mcu",
    )


def _no_radio_costs_nothing(profile: DeviceProfile) -> None:
    costs = [key for key in profile.figures if key.startswith("radio.")]
    _demand(
        profile.radio != "none" or not costs,
        profile,
        f"radio is none, so it can have no {', '.join(costs)}",
    )


def _a_board_without_silicon_has_no_power_of_its_own(profile: DeviceProfile) -> None:
    if profile.has_silicon:
        return
    own = [key for key in profile.figures if key.split(".")[0] in ("power", "radio", "boot")]
    _demand(not own, profile, f"has_silicon is false, so it can have no {', '.join(own)}")
    _demand(
        profile.emulator is not None, profile, "has_silicon is false, so it needs an [emulator]"
    )


def _a_stand_in_is_silicon_with_the_same_core(profile: DeviceProfile) -> None:
    if profile.stands_for is None:
        return
    _demand(not profile.has_silicon, profile, "only a board without silicon can have stands_for")
    silicon = profile.stand_in
    if silicon is None or silicon.id != profile.stands_for:
        found = "no profile" if silicon is None else silicon.id
        raise ProfileError(
            f"{profile.path.name}: stands_for names {profile.stands_for}; found {found}",
            hint=f"mend {profile.path}",
        )
    _demand(
        silicon.has_silicon,
        profile,
        f"stands_for must name silicon; {silicon.id} is none itself",
    )
    _demand(
        silicon.core == profile.core,
        profile,
        f"stands_for must name the same core, {profile.core.name}; {silicon.id} is a "
        f"{silicon.core.name}",
    )
