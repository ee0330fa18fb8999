from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

import device_profiles
from jouleloop.errors import ProfileError

pytestmark = pytest.mark.pure

SILICON = """\
id = "chip"
name = "Chip"
kind = "mcu"
core = "cortex-m4f"
cores = 1
radio = "none"
flash_methods = ["openocd"]

[[memory]]
name = "flash"
kind = "flash"
base = 0x0800_0000
bytes = 0x1000
erase_bytes = 0x400
source = "manual"

[[memory]]
name = "ram"
kind = "ram"
base = 0x2000_0000
bytes = 0x1000
source = "manual"

[figures.clock_hz]
value = 1e6
source = "manual"

[figures."power.active_w"]
value = 0.02
low = 0.01
high = 0.03
source = "manual"
"""
BOARD = """\
id = "board"
name = "Board"
kind = "mcu"
core = "cortex-m4f"
cores = 1
radio = "none"
flash_methods = ["smp"]
has_silicon = false
stands_for = "chip"

[figures.clock_hz]
value = 1e6
source = "QEMU"

[emulator]
machine = "mps2-an386"
instructions_per_tick = 40
source = "counted"
"""


def read(folder: Path, text: str, name: str = "chip") -> device_profiles.DeviceProfile:
    path = folder / f"{name}.toml"
    path.write_text(text, "utf-8")
    return device_profiles.read_profile(path)


def test_the_examples_are_valid(tmp_path: Path) -> None:
    assert read(tmp_path, SILICON).figures["power.active_w"].interval == (0.01, 0.03)
    silicon = read(tmp_path, BOARD, "board").silicon()
    assert silicon is not None
    assert silicon.id == "chip"


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('name = "Chip"\n', "", "the key name is missing"),
        ("cores = 1", "cores = 0", "cores: input should be greater than 0; it is 0"),
        ("cores = 1", 'cores = "1"', "cores: input should be a valid integer; it is '1'"),
        ("cores = 1", "cores = true", "cores: input should be a valid integer; it is True"),
        ("cores = 1", "cores = 1\ncolour = 3", "the schema has no key colour"),
        ('id = "chip"', 'id = "chop"', "id must be the file's stem, chip; it is chop"),
        ('id = "chip"', 'id = "Chip 1"', "id: string should match pattern"),
        ('"mcu"', '"cpu"', "kind: input should be 'mcu', 'linux' or 'other'; it is 'cpu'"),
        ('"cortex-m4f"', '"cortex-m9"', "core must be one of cortex-m0, "),
        ('"cortex-m4f"', '"cortex-a53"', "kind is mcu, core cortex-a53"),
        ('"mcu"', '"linux"', "kind is linux, core cortex-m4f"),
        ('"openocd"', '"telepathy"', "flash_methods.0: input should be "),
        ("cores = 1", 'cores = 1\nno_native_reason = "why"', "no_native_reason must be given for"),
        ("value = 1e6", "value = 0", "clock_hz must be above 0"),
        ("value = 1e6", "value = -1", "clock_hz.value: input should be greater than or equal to 0"),
        ("value = 1e6", "value = nan", "clock_hz.value: input should be a finite number"),
        ("value = 1e6", "value = inf", "clock_hz.value: input should be a finite number"),
        ("[figures.clock_hz]", '[figures."clock_mhz"]', "the key figures.clock_hz is missing"),
        ('"power.active_w"', '"power.activ_w"', "the figure power.activ_w is none of clock_hz, "),
        ("value = 0.02", "value = 0.04", "power.active_w must lie in its range [0.01, 0.03]"),
        ("value = 0.02", "value = 0.001", "power.active_w must lie in its range [0.01, 0.03]"),
        ('high = 0.03\nsource = "manual"', "", "the key figures.power.active_w.source is missing"),
        ('high = 0.03\nsource = "manual"', 'source = ""', "source: string should have at least 1"),
        ("high = 0.03", 'confidence = "total"', "confidence: input should be 'high', 'medium' or"),
        ("base = 0x2000_0000", "base = 0x0800_0800", "must not overlap: flash [0x8000000, 0x80"),
        ("base = 0x2000_0000", "base = 0x0700_0000", "must be in the order of addresses"),
        ("base = 0x2000_0000", "base = 0xFFFF_F800", "must end within 32 bits"),
        ("base = 0x2000_0000", "base = -4", "memory.1.base: input should be greater than or equal"),
        ('name = "ram"', 'name = "flash"', "memory names must differ"),
        ("erase_bytes = 0x400", "erase_bytes = 0x3FF", "must be a multiple of 1023"),
        ("bytes = 0x1000\nerase", "bytes = 0\nerase", "memory.0.bytes: input should be greater"),
        (
            '[figures."power.active_w"]',
            '[figures."power.off_w"]\nvalue = 2\nsource = "s"\n[figures."power.active_w"]',
            "power.off_w must be at most power.active_w, 0.02 W; it is 2 W",
        ),
        ('"power.active_w"', '"radio.tx_w"', "radio is none, so it can have no radio.tx_w"),
        ("cores = 1", "cores = 1\nhas_silicon = false", "it can have no power.active_w"),
        ("cores = 1", 'cores = 1\nstands_for = "chip"', "stands_for must name another profile"),
        ("cores = 1", 'cores = 1\nstands_for = "../chip"', "stands_for: string should match"),
        ("cores = 1", "cores = = 1", "is not TOML"),
        ("cores = 1", "cores = 1\ncores = 2", "is not TOML"),
    ],
)
def test_a_broken_profile_names_file_key_and_value(
    tmp_path: Path, old: str, new: str, says: str
) -> None:
    assert old in SILICON
    with pytest.raises(ProfileError) as caught:
        read(tmp_path, SILICON.replace(old, new, 1))
    assert caught.value.message.startswith("chip.toml")
    assert says in caught.value.message
    assert str(tmp_path / "chip.toml") in caught.value.hint


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('"chip"', '"chap"', "stands_for must name another profile; it is 'chap'"),
        ('"cortex-m4f"', '"cortex-m3"', "the same core, cortex-m3; chip is a cortex-m4f"),
        ("has_silicon = false", "", "only a board without silicon can have stands_for"),
        ("instructions_per_tick = 40", "", "emulator.instructions_per_tick is missing"),
        ('"mps2-an386"', '"mps2-an999"', "emulator.machine: input should be 'mps2-an385'"),
    ],
)
def test_a_broken_stand_in_is_refused(tmp_path: Path, old: str, new: str, says: str) -> None:
    read(tmp_path, SILICON)
    with pytest.raises(ProfileError) as caught:
        read(tmp_path, BOARD.replace(old, new, 1), "board")
    assert caught.value.message.startswith("board.toml")
    assert says in caught.value.message


def test_boards_that_stand_for_each_other_are_refused(tmp_path: Path) -> None:
    (tmp_path / "chip.toml").write_text(
        BOARD.replace('"board"', '"chip"').replace('stands_for = "chip"', 'stands_for = "board"')
    )
    with pytest.raises(ProfileError, match="chip stands for another itself"):
        read(tmp_path, BOARD, "board")


def test_a_board_without_silicon_cannot_be_stood_for(tmp_path: Path) -> None:
    read(tmp_path, BOARD.replace('"board"', '"chip"').replace('stands_for = "chip"\n', ""))
    with pytest.raises(ProfileError, match="must name silicon; chip is none itself"):
        read(tmp_path, BOARD, "board")


def test_a_board_without_silicon_needs_an_emulator(tmp_path: Path) -> None:
    lone = BOARD[: BOARD.index("[emulator]")].replace('stands_for = "chip"\n', "")
    with pytest.raises(ProfileError, match="so it needs an \\[emulator\\]"):
        read(tmp_path, lone, "board")


def test_validate_refuses_what_code_made(tmp_path: Path) -> None:
    read(tmp_path, SILICON)
    board = read(tmp_path, BOARD, "board")
    with pytest.raises(ProfileError, match="stands_for names chip; found no profile"):
        device_profiles.validate(replace(board, stand_in=None))
    with pytest.raises(ProfileError, match="stands_for names other; found chip"):
        device_profiles.validate(replace(board, stands_for="other"))


@pytest.mark.parametrize("content", [b"\xff\xfe", b"", b"[" * 100_000])
def test_a_file_that_is_no_profile_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "chip.toml"
    path.write_bytes(content)
    with pytest.raises(ProfileError, match=r"^chip\.toml"):
        device_profiles.read_profile(path)


@given(st.data())
def test_no_damage_to_a_file_gets_past_the_schema(data: st.DataObject) -> None:
    position = data.draw(st.integers(0, len(SILICON) - 1))
    removed = data.draw(st.integers(0, 12))
    inserted = data.draw(st.text(st.sampled_from('0123456789.-_e"[]=\n truefalsnican'), max_size=6))
    text = SILICON[:position] + inserted + SILICON[position + removed :]
    with TemporaryDirectory() as folder:
        path = Path(folder) / "chip.toml"
        path.write_text(text, "utf-8")
        with suppress(ProfileError):
            profile = device_profiles.read_profile(path)
            device_profiles.validate(profile)
            assert profile.figure("clock_hz").value > 0
