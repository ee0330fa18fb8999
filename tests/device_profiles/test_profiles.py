from __future__ import annotations

import math
from itertools import pairwise
from pathlib import Path

import pytest

import device_profiles
from device_profiles import CORES, FIGURES, DeviceProfile, Isa, KernelClass
from jouleloop.errors import MissingFigureError, UnknownDeviceError

pytestmark = pytest.mark.pure

PROFILES = device_profiles.load_all()

PROMISED = {
    "nucleo-l4r5zi": "cortex-m4f",
    "stm32f405": "cortex-m4f",
    "stm32h743": "cortex-m7",
    "nucleo-u575zi-q": "cortex-m33",
    "nrf52840": "cortex-m4f",
    "rp2040": "cortex-m0plus",
    "rp2350": "cortex-m33",
    "esp32-s3": "xtensa-lx7",
    "microbit-v1": "cortex-m0",
    "mps2-an385": "cortex-m3",
    "mps2-an386": "cortex-m4f",
    "mps2-an505": "cortex-m33",
    "corstone-300": "cortex-m55",
    "raspberry-pi-zero-2w": "cortex-a53",
    "raspberry-pi-4b": "cortex-a72",
    "raspberry-pi-5": "cortex-a76",
}


@pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES)
def test_every_profile_is_valid(profile: DeviceProfile) -> None:
    device_profiles.validate(profile)
    assert profile == device_profiles.read_profile(profile.path)
    assert profile.id == profile.path.stem
    assert profile.core is CORES[profile.core.name]
    assert profile.figure("clock_hz").value >= 1e6
    for key, figure in profile.figures.items():
        low, high = figure.interval
        assert 0 <= low <= figure.value <= high < math.inf, key
        assert len(figure.source) > 5, key
    spans = sorted((m.base, m.base + m.bytes) for m in profile.memories if m.base is not None)
    for (_, end), (base, _) in pairwise(spans):
        assert end <= base
    if profile.has_silicon:
        assert profile.silicon() is profile
    else:
        assert {key.split(".")[0] for key in profile.figures} == {"clock_hz"}


def test_every_promised_device_is_there_with_its_core() -> None:
    assert {id_: PROFILES[id_].core.name for id_ in PROMISED} == PROMISED
    assert device_profiles.DEFAULT_DEVICE == "mps2-an386"
    assert list(PROFILES) == sorted(PROFILES)


def test_units_stand_in_the_keys() -> None:
    endings = {
        "Hz": ("_hz",),
        "W": ("_w",),
        "s": ("_s", ".seconds"),
        "J": (".joules", ".joules_per_message"),
        "J/B": (".joules_per_byte",),
        "B": ("_bytes",),
    }
    for key, kind in FIGURES.items():
        assert key.endswith(endings[kind.unit]), key
    stated = {key for profile in PROFILES.values() for key in profile.figures}
    assert stated == set(FIGURES), "a key that no profile states says nothing"


@pytest.mark.parametrize(
    ("board", "silicon"),
    [
        ("mps2-an386", "nucleo-l4r5zi"),
        ("mps2-an505", "nucleo-u575zi-q"),
        ("mps2-an385", None),
        ("corstone-300", None),
        ("microbit-v1", "microbit-v1"),
        ("stm32f405", "stm32f405"),
    ],
)
def test_an_emulated_board_stands_for_silicon_with_its_core(
    board: str, silicon: str | None
) -> None:
    profile = PROFILES[board]
    stand_in = profile.silicon()
    assert (stand_in.id if stand_in else None) == silicon
    assert stand_in is None or stand_in.core == profile.core
    assert profile.emulator is not None


def test_only_boards_with_an_emulator_can_have_our_firmware() -> None:
    ported = [p.id for p in PROFILES.values() if p.emulator and p.emulator.has_firmware]
    assert device_profiles.DEFAULT_DEVICE in ported
    assert all(PROFILES[id_].kind == "mcu" for id_ in ported)


def test_ticks_become_instructions() -> None:
    emulator = PROFILES["corstone-300"].emulator
    assert emulator is not None
    assert emulator.machine == "mps3-an547"
    assert [emulator.instructions(ticks) for ticks in (0, 1, 4, 64_000)] == [0, 31, 125, 2_000_000]


def test_native_code_goes_with_the_core() -> None:
    assert PROFILES["corstone-300"].core.kernel_class is KernelClass.MVE
    assert Isa.DSP not in PROFILES["rp2040"].core.isa
    assert "Xtensa" in PROFILES["esp32-s3"].no_native_reason
    for profile in PROFILES.values():
        assert (profile.kind == "mcu") == (profile.no_native_reason == "")


def test_memory_in_all_is_what_the_makers_say() -> None:
    kib = {
        "nucleo-l4r5zi": (2048, 640),
        "stm32f405": (1024, 192),
        "stm32h743": (2048, 1056),
        "nrf52840": (1024, 256),
        "rp2040": (2048, 264),
        "microbit-v1": (256, 16),
    }
    for id_, (flash, ram) in kib.items():
        assert (PROFILES[id_].flash_bytes, PROFILES[id_].ram_bytes) == (flash * 1024, ram * 1024)
    assert PROFILES["rp2350"].flash_bytes is None, "the board decides, not the chip"
    assert PROFILES["raspberry-pi-5"].ram_bytes is None, "the variant decides"


# Amperes and volts, or watts, as the sources print them; typed here a second time.
PUBLISHED = {
    ("nucleo-l4r5zi", "power.active_w"): (42.9e-3, 38.7e-3, 47.1e-3),
    ("nucleo-l4r5zi", "power.sleep_w"): (2.57e-6 * 1.8, 1.2e-6 * 1.8, 2 * 2.57e-6 * 1.8),
    ("nucleo-l4r5zi", "power.wake_s"): (5e-6, 5e-6 / 2, 5e-6 * 2),
    ("stm32f405", "power.active_w"): (40e-3 * 3.3, None, 2 * 40e-3 * 3.3),
    ("stm32h743", "power.active_w"): (110e-3 * 3.3, 87e-3 * 3.3, 148e-3 * 3.3),
    ("stm32h743", "power.sleep_w"): (1.27e-3 * 3.3, None, None),
    ("stm32h743", "power.off_w"): (2.16e-6 * 3.3, None, None),
    ("nucleo-u575zi-q", "power.active_w"): (25e-3, 22.7e-3, 27.2e-3),
    ("nucleo-u575zi-q", "power.sleep_w"): (8.95e-6 * 1.8, None, 8.95e-6 * 3.3),
    ("nrf52840", "power.active_w"): (3.3e-3 * 3.0, 2.8e-3 * 3.0, None),
    ("nrf52840", "power.sleep_w"): (3.16e-6 * 3.0, None, None),
    ("nrf52840", "power.off_w"): (0.40e-6 * 3.0, None, None),
    ("nrf52840", "radio.tx_w"): ((8.1e-3 - 3.3e-3) * 3.0, None, None),
    ("nrf52840", "radio.joules_per_message"): (28.7e-6, 28.7e-6 / 2, 28.7e-6 * 2),
    ("nrf52840", "radio.joules_per_byte"): (4.8e-3 * 3.0 * 8e-6, None, None),
    ("rp2040", "power.sleep_w"): (0.39e-3 * 3.3, None, 4.5e-3 * 3.3),
    ("rp2350", "power.sleep_w"): (548e-6, 188e-6, None),
    ("esp32-s3", "power.active_w"): (51.2e-3 * 3.3, None, 72.4e-3 * 3.3),
    ("esp32-s3", "power.sleep_w"): (240e-6 * 3.3, None, None),
    ("esp32-s3", "power.off_w"): (7.5e-6 * 3.3, 7e-6 * 3.3, 8e-6 * 3.3),
    ("esp32-s3", "radio.tx_w"): (283e-3 * 3.3, None, None),
    ("raspberry-pi-zero-2w", "power.active_w"): (0.35 * 5.0, None, None),
    ("raspberry-pi-zero-2w", "power.idle_w"): (0.12 * 5.0, 0.075 * 5.0, None),
    ("raspberry-pi-zero-2w", "boot.joules"): (1.9 * 5.0, None, None),
    ("raspberry-pi-zero-2w", "boot.seconds"): (12, 3.5, None),
    ("raspberry-pi-4b", "power.active_w"): (1.2 * 5.1, 0.6 * 5.1, 1.25 * 5.1),
    ("raspberry-pi-4b", "power.idle_w"): (0.6 * 5.1, None, None),
    ("raspberry-pi-4b", "power.off_w"): (0.023 * 5.1, None, None),
    ("raspberry-pi-5", "power.active_w"): (0.8 * 5.0, None, None),
    ("raspberry-pi-5", "power.idle_w"): (3.0, 1.55, None),
    ("raspberry-pi-5", "power.off_w"): (1.4, 1.2, 1.6),
}


def test_every_energy_figure_is_the_published_one() -> None:
    kept = {
        (profile.id, key): (figure.value, figure.low, figure.high)
        for profile in PROFILES.values()
        for key, figure in profile.figures.items()
        if key.split(".")[0] in ("power", "radio", "boot") and key != "radio.message_bytes"
    }
    assert set(kept) == set(PUBLISHED)
    for place, published in PUBLISHED.items():
        for actual, expected in zip(kept[place], published, strict=True):
            assert actual == (None if expected is None else pytest.approx(expected, rel=0.005))


def test_a_missing_figure_names_figure_file_and_purpose() -> None:
    profile = PROFILES["rp2040"]
    assert not profile.has("power.active_w")
    with pytest.raises(MissingFigureError) as caught:
        profile.figure("power.active_w", needed_for="an inference")
    assert caught.value.figure == "power.active_w"
    assert Path(caught.value.path) == profile.path
    assert caught.value.message == (
        "rp2040.toml has no figure power.active_w, which an inference needs"
    )


@pytest.mark.parametrize("wrong", ["nrf52480", "", "../data/nrf52840", "NRF52840", "nrf52840.toml"])
def test_an_unknown_device_names_the_nearest(wrong: str) -> None:
    with pytest.raises(UnknownDeviceError) as caught:
        device_profiles.load(wrong)
    assert repr(wrong) in caught.value.message
    if wrong:
        assert caught.value.nearest[:1] in {("nrf52840",), ()}
    assert device_profiles.load("nrf52840").id == "nrf52840"


def test_a_record_holds_every_figure_with_unit_and_source() -> None:
    for profile in PROFILES.values():
        record = profile.as_record()
        assert set(record["figures"]) == set(profile.figures)
        for figure in record["figures"].values():
            assert {"value", "unit", "source", "low", "high", "confidence"} <= set(figure)
        assert len(record["memories"]) == len(profile.memories)
