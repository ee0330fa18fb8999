"""Budgets: derived, kept, and refused with the numbers by state and by layer."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

import device_profiles
from device_profiles.energy_model import DecisionEnergy
from export.budget import (
    Battery,
    Budget,
    budget_record,
    check_joules,
    check_memory,
    format_joules,
    joules_limit,
)
from export.cost import Cost, FlashCost, LayerCost, Mode, RamCost, estimate_energy
from export.estimate import Count
from export.optimize import Optimize
from jouleloop.energy import Energy, Kind
from jouleloop.errors import InputError, MissingFigureError, OverBudgetError

if TYPE_CHECKING:
    from collections.abc import Mapping

pytestmark = pytest.mark.pure

BOARD = device_profiles.load("mps2-an386")


def joules(value: float) -> Energy:
    return Energy(value, Kind.MODELLED, "a test", value / 2, value * 2)


def cost(
    states: Mapping[str, float] | None = None,
    missing: Mapping[str, str] | None = None,
    *,
    flash_limit: int | None = 10_000,
    ram_limit: int | None = 10_000,
) -> Cost:
    given = {"wake": 1e-6, "inference": 8e-6, "radio": 0.0} if states is None else states
    energy = DecisionEnergy({k: joules(v) for k, v in given.items()}, dict(missing or {}))
    layers = (
        LayerCost("fc1", "FULLY_CONNECTED", 100, 500, 900, 64, 64, 6e-6),
        LayerCost("fc2", "FULLY_CONNECTED", 50, 250, 450, 4, 68, 2e-6),
    )
    return Cost(
        "mps2-an386",
        "nucleo-l4r5zi",
        FlashCost(2000, 600, 50, 1400, flash_limit, "a test"),
        RamCost(128, 112, False, 64, 12, 4, ram_limit, "a test"),
        layers,
        Count(750.0, 700.0, 800.0, "a test"),
        energy,
        Optimize.SPEED,
        {Optimize.SPEED: Mode(128, 750)},
    )


def test_without_a_budget_nothing_is_refused() -> None:
    assert joules_limit(Budget(), BOARD) is None
    check_joules(cost(), None, BOARD)
    check_memory(cost(flash_limit=None, ram_limit=None), Budget())


def test_a_battery_leaves_what_sleep_does_not_take() -> None:
    battery = Battery(joules=1000.0, days=30.0, decisions_per_day=24.0)
    limit = joules_limit(Budget(battery=battery), BOARD)
    assert limit is not None
    assert limit.sleep_floor is not None
    silicon = device_profiles.load("nucleo-l4r5zi")
    floor = silicon.figure("power.sleep_w").value * 30 * 86_400
    assert limit.sleep_floor.joules == pytest.approx(floor)
    assert limit.joules == pytest.approx((1000.0 - floor) / (30 * 24))
    record = budget_record(Budget(battery=battery), limit)
    assert record["joules_per_decision"] == limit.joules
    assert record["battery"]["days"] == 30.0
    assert record["sleep_floor"]["kind"] == "modelled"


def test_a_battery_that_sleep_empties_is_its_own_error() -> None:
    battery = Battery(joules=1.0, days=3650.0, decisions_per_day=1.0)
    with pytest.raises(OverBudgetError, match="empties the battery by sleeping alone") as caught:
        joules_limit(Budget(battery=battery), BOARD)
    assert caught.value.rows[0][0] == "sleep"
    assert "power.sleep_w" in caught.value.hint


def test_a_battery_needs_a_sleep_power() -> None:
    board = device_profiles.load("corstone-300")
    with pytest.raises(MissingFigureError, match=r"power\.sleep_w"):
        joules_limit(Budget(battery=Battery(1.0, 1.0, 1.0)), board)


@pytest.mark.parametrize("numbers", [(0, 1, 1), (1, -1, 1), (1, 1, 0), (float("nan"), 1, 1)])
def test_a_battery_of_nothing_is_refused(numbers: tuple[float, float, float]) -> None:
    with pytest.raises(InputError, match="must be above 0"):
        Battery(*numbers)


def test_a_budget_of_nothing_or_of_two_kinds_is_refused() -> None:
    with pytest.raises(InputError, match="joules_per_decision must be above 0"):
        Budget(joules_per_decision=0.0)
    with pytest.raises(InputError, match="flash_bytes must be above 0"):
        Budget(flash_bytes=-1)
    with pytest.raises(InputError, match="not both"):
        Budget(joules_per_decision=1.0, battery=Battery(1.0, 1.0, 1.0))


def test_too_many_joules_are_refused_by_state_then_by_layer() -> None:
    limit = joules_limit(Budget(joules_per_decision=5e-6), BOARD)
    with pytest.raises(
        OverBudgetError, match="a decision takes 9 µJ; the budget is 5 µJ"
    ) as caught:
        check_joules(cost(), limit, BOARD)
    names = [row[0].strip() for row in caught.value.rows]
    assert names == [
        "wake",
        "inference",
        "radio",
        "decision",
        "fc1 FULLY_CONNECTED",
        "fc2 FULLY_CONNECTED",
    ]
    assert caught.value.rows[3] == ("decision", "9 µJ (4.5 µJ to 18 µJ)", "5 µJ")


def test_what_fits_exactly_is_kept() -> None:
    check_joules(cost(), joules_limit(Budget(joules_per_decision=9e-6), BOARD), BOARD)


def test_a_missing_figure_is_an_error_unless_the_known_part_is_too_much() -> None:
    partial = cost({"inference": 8e-6}, {"wake": "power.wake_s"})
    with pytest.raises(MissingFigureError, match=r"power\.wake_s, which the joule budget needs"):
        check_joules(partial, joules_limit(Budget(joules_per_decision=1.0), BOARD), BOARD)
    with pytest.raises(OverBudgetError, match=r"8 µJ \(and wake not known\)") as caught:
        check_joules(partial, joules_limit(Budget(joules_per_decision=1e-6), BOARD), BOARD)
    assert ("wake", "unknown: no power.wake_s", "") in caught.value.rows


def test_nothing_known_is_an_error_that_names_the_figure() -> None:
    board = device_profiles.load("corstone-300")
    unknown = cost({}, {"inference": "power.active_w"})
    with pytest.raises(MissingFigureError, match=r"corstone-300\.toml has no figure"):
        check_joules(unknown, joules_limit(Budget(joules_per_decision=1.0), board), board)


def test_memory_is_refused_by_part_then_by_layer() -> None:
    with pytest.raises(
        OverBudgetError, match="needs 2,000 B of flash; the limit is 1,999 B"
    ) as flash:
        check_memory(cost(flash_limit=1999), Budget())
    assert flash.value.rows[0] == ("module", "2,000 B", "1,999 B")
    assert [row[1] for row in flash.value.rows[3:]] == ["900 B", "450 B"]
    with pytest.raises(OverBudgetError, match="needs 208 B of RAM; the limit is 207 B") as ram:
        check_memory(cost(ram_limit=207), Budget())
    assert "the peak is at fc2 (FULLY_CONNECTED)" in ram.value.message
    check_memory(cost(flash_limit=2000, ram_limit=208), Budget())


def test_a_budget_for_a_device_without_a_module_says_why_not() -> None:
    board = device_profiles.load("raspberry-pi-5")
    portable = replace(cost(), device=board.id, flash=None, ram=None, energy=None)
    check_memory(portable, Budget())
    with pytest.raises(InputError, match="--budget-flash limits a native module"):
        check_memory(portable, Budget(flash_bytes=1))
    with pytest.raises(InputError, match="--budget-ram limits a native module"):
        check_memory(portable, Budget(ram_bytes=1))
    with pytest.raises(InputError, match="a joule budget needs an estimate of instructions"):
        check_joules(portable, joules_limit(Budget(joules_per_decision=1.0), board), board)


def test_the_doubt_about_instructions_is_in_the_joules() -> None:
    sure = estimate_energy(BOARD, Count(1e4, 1e4, 1e4, "counted"), 4)
    doubtful = estimate_energy(BOARD, Count(1e4, 5e3, 3e4, "guessed"), 4)
    (low, high), (lower, higher) = (e.states["inference"].interval for e in (sure, doubtful))
    assert doubtful.states["inference"].joules == sure.states["inference"].joules
    assert lower == pytest.approx(low / 2)
    assert higher == pytest.approx(high * 3)
    assert "guessed" in doubtful.states["inference"].source


@pytest.mark.parametrize(
    ("value", "text"),
    [(2.5, "2.5 J"), (0.0125, "12.5 mJ"), (3.14159e-6, "3.142 µJ"), (0.0, "0 nJ")],
)
def test_joules_for_people(value: float, text: str) -> None:
    assert format_joules(value) == text
