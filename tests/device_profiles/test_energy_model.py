from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

import device_profiles
from device_profiles import DeviceProfile, Figure
from device_profiles.energy_model import (
    DecisionEnergy,
    decision_energy,
    estimate_cycles,
    inference_energy,
    radio_energy,
    sleep_energy,
    state_energy,
)
from jouleloop.energy import Kind
from jouleloop.errors import MissingFigureError

pytestmark = pytest.mark.pure


def profile(**figures: Figure) -> DeviceProfile:
    """An nRF52840 with round figures: 10 mW (8 to 20) at 64 MHz, 4 µs wake (2 to 8)."""
    round_figures = {
        "clock_hz": Figure(64e6, "clock sheet"),
        "power.active_w": Figure(10e-3, "power sheet", 8e-3, 20e-3),
        "power.wake_s": Figure(4e-6, "wake sheet", 2e-6, 8e-6, confidence="low"),
        "power.sleep_w": Figure(5e-6, "sleep sheet", high=6e-6),
        "radio.joules_per_message": Figure(30e-6, "message sheet", 15e-6, 60e-6),
        "radio.joules_per_byte": Figure(0.1e-6, "byte sheet"),
        "radio.message_bytes": Figure(31, "radio standard"),
    }
    given_figures = {key.replace("__", "."): figure for key, figure in figures.items()}
    return replace(device_profiles.load("nrf52840"), figures=round_figures | given_figures)


def without(key: str) -> DeviceProfile:
    whole = profile()
    return replace(whole, figures={k: v for k, v in whole.figures.items() if k != key})


def test_cycles_are_one_and_a_half_per_instruction_and_say_so() -> None:
    cycles = estimate_cycles(1000)
    assert (cycles.value, cycles.low, cycles.high) == (1500, 1000, 2000)
    assert "x 1.5 (1.0-2.0)" in cycles.source


def test_a_decision_is_what_a_pencil_says() -> None:
    energy = decision_energy(profile(), instructions=64_000, payload_bytes=40)
    wake, inference, radio = (energy.states[s] for s in ("wake", "inference", "radio"))
    # 10 mW x 4 us; 8 mW x 2 us; 20 mW x 8 us
    assert wake.joules == pytest.approx(40e-9)
    assert wake.interval == pytest.approx((16e-9, 160e-9))
    # 64 000 instructions are 96 000 (64 000 to 128 000) cycles: 1.5 ms (1 to 2 ms) at 64 MHz
    assert inference.joules == pytest.approx(15e-6)
    assert inference.interval == pytest.approx((8e-6, 40e-6))
    # 40 bytes are two messages of 31: 60 uJ (30 to 120), and 4 uJ for the bytes
    assert radio.joules == pytest.approx(64e-6)
    assert radio.interval == pytest.approx((34e-6, 124e-6))
    assert energy.missing == {}
    assert energy.total is not None
    assert energy.total == energy.known
    assert energy.total.joules == pytest.approx(79.04e-6)
    assert energy.total.interval == pytest.approx((42.016e-6, 164.16e-6))
    assert energy.total.kind is Kind.MODELLED


def test_a_source_names_board_silicon_figures_and_the_assumption() -> None:
    total = decision_energy(
        device_profiles.load("mps2-an386"), instructions=1e4, payload_bytes=0
    ).total
    assert total is not None
    assert "mps2-an386 (stands for nucleo-l4r5zi)" in total.source
    assert "MLPerf Tiny v1.0 and v1.2, ST NUCLEO-L4R5ZI, energy/results.txt" in total.source
    assert "cycles assumed as executed instructions x 1.5 (1.0-2.0)" in total.source
    assert "power.wake_s of nucleo-l4r5zi" in total.source
    assert "confidence low" in total.source
    assert total.source.count("power.active_w") == 1, "equal parts are named once"


def test_an_emulated_board_costs_what_its_silicon_costs_at_the_silicons_clock() -> None:
    board = decision_energy(device_profiles.load("mps2-an386"), instructions=80e3, payload_bytes=9)
    silicon = decision_energy(
        device_profiles.load("nucleo-l4r5zi"), instructions=80e3, payload_bytes=9
    )
    assert board.total is not None
    assert silicon.total is not None
    assert board.total.joules == silicon.total.joules
    # 42.9 mW x 120 000 cycles / 120 MHz, not / 25 MHz
    assert board.states["inference"].joules == pytest.approx(42.9e-6)


@pytest.mark.parametrize("board", ["corstone-300", "mps2-an385"])
def test_a_board_that_stands_for_nothing_has_no_joules(board: str) -> None:
    energy = decision_energy(device_profiles.load(board), instructions=1e6, payload_bytes=100)
    assert energy.missing == {"wake": "power.active_w", "inference": "power.active_w"}
    assert energy.total is None
    assert energy.as_record()["total"] is None
    with pytest.raises(MissingFigureError, match=rf"{board}\.toml has no figure power\.sleep_w"):
        sleep_energy(device_profiles.load(board), 1.0)


def test_without_a_radio_its_share_is_zero_by_construction() -> None:
    energy = decision_energy(replace(profile(), radio="none"), instructions=1, payload_bytes=10**6)
    assert energy.states["radio"].joules == 0
    assert energy.states["radio"].source == "nrf52840 has no radio"


@pytest.mark.parametrize(
    ("key", "missing"),
    [
        ("power.wake_s", {"wake": "power.wake_s"}),
        ("radio.joules_per_message", {"radio": "radio.joules_per_message"}),
        ("radio.joules_per_byte", {"radio": "radio.joules_per_byte"}),
        ("power.active_w", {"wake": "power.active_w", "inference": "power.active_w"}),
        ("clock_hz", {"inference": "clock_hz"}),
    ],
)
def test_a_missing_figure_makes_its_state_missing_never_zero(
    key: str, missing: dict[str, str]
) -> None:
    energy = decision_energy(without(key), instructions=64_000, payload_bytes=31)
    assert energy.missing == missing
    assert set(energy.states) == {"wake", "inference", "radio"} - set(missing)
    assert (energy.total is None) == ("inference" in missing)
    assert energy.known is not None
    assert energy.known.joules == pytest.approx(sum(e.joules for e in energy.states.values()))


def test_nothing_known_is_nothing() -> None:
    energy = decision_energy(device_profiles.load("esp32-s3"), instructions=1e6, payload_bytes=100)
    assert energy.known is None
    assert energy.missing == {
        "wake": "power.wake_s",
        "inference": "cycles_per_instruction",
        "radio": "radio.joules_per_message",
    }
    assert energy == DecisionEnergy({}, energy.missing)


@pytest.mark.parametrize(("payload", "messages"), [(0, 0), (1, 1), (31, 1), (32, 2), (310, 10)])
def test_a_payload_is_split_into_messages(payload: int, messages: int) -> None:
    assert radio_energy(profile(), payload).joules == pytest.approx(
        messages * 30e-6 + payload * 0.1e-6
    )


def test_without_a_largest_message_a_payload_is_one() -> None:
    one = without("radio.message_bytes")
    assert radio_energy(one, 5000).joules == pytest.approx(30e-6 + 5000 * 0.1e-6)
    assert radio_energy(one, 0).joules == 0


def test_a_range_of_clocks_widens_the_interval_the_other_way_round() -> None:
    wide = profile(clock_hz=Figure(64e6, "sheet", 32e6, 128e6))
    energy = inference_energy(wide, estimate_cycles(64_000))
    assert energy.joules == pytest.approx(15e-6)
    assert energy.interval == pytest.approx((4e-6, 80e-6))


def test_time_in_a_state() -> None:
    day = sleep_energy(profile(), 86_400)
    assert day.joules == pytest.approx(0.432)
    assert day.interval == pytest.approx((0.432, 0.5184))
    assert "sleep sheet" in day.source
    pi = device_profiles.load("raspberry-pi-zero-2w")
    assert state_energy(pi, "active", 0.002).joules == pytest.approx(3.5e-3)
    with pytest.raises(MissingFigureError, match=r"raspberry-pi-zero-2w\.toml.*power\.sleep_w"):
        sleep_energy(pi, 1)


@pytest.mark.parametrize("wrong", [-1.0, math.nan, math.inf])
def test_impossible_amounts_are_bugs(wrong: float) -> None:
    with pytest.raises(ValueError, match="instructions"):
        estimate_cycles(wrong)
    with pytest.raises(ValueError, match="seconds"):
        sleep_energy(profile(), wrong)
    with pytest.raises(ValueError, match="bytes"):
        radio_energy(profile(), -1)
    with pytest.raises(ValueError, match="state"):
        state_energy(profile(), "dreaming", 1)


@given(
    st.sampled_from(sorted(device_profiles.load_all())),
    st.floats(0, 1e12),
    st.integers(0, 10**7),
)
def test_every_device_gives_ordered_intervals_or_a_reason(
    device: str, instructions: float, payload_bytes: int
) -> None:
    energy = decision_energy(
        device_profiles.load(device), instructions=instructions, payload_bytes=payload_bytes
    )
    assert set(energy.states) | set(energy.missing) == {"wake", "inference", "radio"}
    assert not set(energy.states) & set(energy.missing)
    for state in energy.states.values():
        low, high = state.interval
        assert 0 <= low <= state.joules <= high < math.inf


@given(st.floats(1, 1e9), st.floats(1.001, 100))
def test_more_instructions_cost_more(instructions: float, factor: float) -> None:
    board = device_profiles.load("nrf52840")
    less = inference_energy(board, estimate_cycles(instructions))
    more = inference_energy(board, estimate_cycles(instructions * factor))
    assert more.joules == pytest.approx(less.joules * factor)
