import struct
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import device_profiles
from device_profiles import Figure
from hil_tests.profiler import (
    CodeMap,
    Counts,
    InstructionCount,
    Places,
    Profile,
    Symbol,
    attribute,
    class_table,
    flame_svg,
    layer_table,
    read_counts,
    read_symbols,
)
from hil_tests.profiler.classify import InstructionClass as C
from hil_tests.profiler.classify import decode
from hil_tests.profiler.counts import parse_counts
from hil_tests.profiler.cycles import MEMORY, TABLES
from hil_tests.profiler.plugin import MAX_PARTS, plugin_arguments
from hil_tests.profiler.symbols import parse_symbols
from jouleloop.errors import InputError

pytestmark = pytest.mark.pure

GOOD = "jouleloop-counts,1,0\nwindow,5\nwindow,5\ninsn,0,1f0,7047,4,4\ninsn,1,1f2,fff7d5ff,6,0\n"


@given(st.binary(min_size=4, max_size=4))
def test_any_bytes_have_a_class(code: bytes) -> None:
    is_long = code[1] >> 3 in (0b11101, 0b11110, 0b11111)

    assert decode(code if is_long else code[:2]).kind in TABLES["cortex-m55"].costs


def test_counts_are_read() -> None:
    counts = parse_counts(GOOD, "x")

    assert counts.windows == (5, 5)
    assert counts.executed == 10
    assert counts.instructions[1] == InstructionCount(1, 0x1F2, bytes.fromhex("fff7d5ff"), 6, 0)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "no whole counts file"),
        (GOOD[:-1], "no whole counts file"),
        (GOOD.replace("counts,1", "counts,2"), "no whole counts file"),
        (GOOD.replace("counts,1,0", "counts,1,1"), "inside an inference"),
        (GOOD.replace("4,4", "4,5"), "line 4"),
        (GOOD.replace("insn,0", "insn,-1"), "line 4"),
        (GOOD.replace("7047", "70"), "line 4"),
        (GOOD.replace("window,5\ninsn", "window,6\ninsn"), "windows hold 11"),
        (GOOD + "other\n", "line 6"),
    ],
)
def test_a_broken_counts_file_is_named(text: str, says: str) -> None:
    with pytest.raises(InputError, match=says):
        parse_counts(text, "x")


@given(st.text())
def test_any_text_is_counts_or_an_error(text: str) -> None:
    with suppress(InputError):
        parse_counts("jouleloop-counts,1,0\n" + text, "x")


def test_an_absent_or_binary_counts_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is absent"):
        read_counts(tmp_path / "counts.csv")
    (tmp_path / "counts.csv").write_bytes(b"\xff\x00")
    with pytest.raises(InputError, match="no counts file"):
        read_counts(tmp_path / "counts.csv")


@given(st.binary(max_size=200))
def test_any_bytes_are_an_elf_file_or_an_error(content: bytes) -> None:
    sections = b"\x34\0\0\0" + bytes(12) + b"\x28\0\x02\0\0\0"  # two headers at 0x34
    for start in (b"", b"\x7fELF\x01\x01\x01" + bytes(25) + sections):
        with suppress(ValueError, struct.error, IndexError):
            parse_symbols(start + content)


def test_a_file_that_is_no_elf_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="ELF"):
        read_symbols(Path(__file__))
    with pytest.raises(InputError, match="absent"):
        read_symbols(tmp_path / "none.elf")


def test_places_know_gaps_and_sizeless_labels() -> None:
    places = Places([Symbol("b", 0x20, 0), Symbol("a", 0x10, 4)], offset=0x100)

    found = [places.find(address) for address in (0x10F, 0x110, 0x113, 0x114, 0x120, 0x999)]

    assert [symbol and symbol.name for symbol in found] == [None, "a", "a", None, "b", "b"]


LOAD, ADD, BRANCH = bytes.fromhex("4868"), bytes.fromhex("0133"), bytes.fromhex("fcd1")


def profile_of(
    *instructions: InstructionCount, device: str = "mps2-an386", **figures: float
) -> Profile:
    board = device_profiles.load(device)
    values = {f"flash.{key}": Figure(value, "made up") for key, value in figures.items()}
    board = replace(board, figures=board.figures | values)
    total = sum(count.executed for count in instructions)
    code = CodeMap([Places([Symbol("f", 0, 8), Symbol("g", 8, 8)])], {"g": "second"}, ["first"])
    return attribute(Counts((total,), instructions), code, board)


def test_shared_code_belongs_to_the_part_that_ran_it() -> None:
    profile = profile_of(
        InstructionCount(0, 0, ADD, 1, 0),
        InstructionCount(1, 0, ADD, 7, 0),
        InstructionCount(1, 8, ADD, 5, 0),
    )

    assert profile.by("layer") == {("(other)",): 1, ("first",): 7, ("second",): 5}
    assert profile.by("function") == {("f",): 8, ("g",): 5}


def test_a_load_behind_a_load_is_pipelined() -> None:
    apart = profile_of(InstructionCount(1, 0, LOAD, 10, 0), InstructionCount(1, 4, LOAD, 10, 0))
    together = profile_of(InstructionCount(1, 0, LOAD, 10, 0), InstructionCount(1, 2, LOAD, 10, 0))

    assert (apart.cycles.value, together.cycles.value) == (40, 30)


def test_flash_waits_count_only_when_the_profile_states_them() -> None:
    counts = (InstructionCount(1, 0, ADD, 16, 0), InstructionCount(1, 2, BRANCH, 16, 10))

    without = profile_of(*counts).cycles
    waiting = profile_of(*counts, wait_cycles=5, line_bytes=16).cycles

    assert waiting.high - without.high / MEMORY.high == 5 * (64 / 16 + 10)
    assert (waiting.low, waiting.value) == (without.low, without.value)
    for cycles, says in ((without, "waits for memory not simulated"), (waiting, "flash waits")):
        assert says in cycles.source
        assert "not compared with this code on silicon" in cycles.source


def test_a_core_without_costs_gets_the_general_estimate() -> None:
    profile = profile_of(InstructionCount(1, 0, ADD, 16, 0), device="rp2040")

    assert "assumed" in profile.cycles.source
    assert profile.cells[0].cycles is None


def test_every_cost_states_its_source() -> None:
    for table in TABLES.values():
        assert set(table.costs) >= set(C) - {kind for kind in C if kind.startswith("vector")}
        assert all(cost.source for cost in table.costs.values())
        for cost in table.costs.values():
            assert cost.each.low <= cost.each.value <= cost.each.high


def test_tables_and_record_add_up() -> None:
    profile = profile_of(
        InstructionCount(1, 0, LOAD, 10, 0), InstructionCount(1, 8, BRANCH, 30, 20)
    )
    record = profile.as_record()

    assert record["instructions"] == 40
    assert [layer["instructions"] for layer in record["layers"]] == [10, 30]
    assert record["classes"] == {C.LOAD: 10, C.BRANCH: 30}
    assert layer_table(profile, {"first": 20}).row_count == 3
    assert class_table(profile).row_count == 2
    assert "first: 10 instructions, 25.0%" in flame_svg(profile, "x")


def test_too_many_parts_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=str(MAX_PARTS)):
        plugin_arguments(tmp_path / "counts.csv", parts=range(MAX_PARTS + 1))
