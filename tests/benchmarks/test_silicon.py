"""What published results say about an estimate of cycles is what the estimate states."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from benchmarks._silicon import (
    CY8C6,
    L4R5,
    Published,
    board_ratios,
    fastest,
    read_published,
)
from hil_tests.profiler.cycles import MEMORY
from tests.shared_data import shared_file

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.pure

HEADER = "round,stack,board,benchmark,latency_ms,clock_mhz\n"


def a_result(
    board: str, latency_s: float, *, engine: str = "e", clock_hz: float = 1e8
) -> Published:
    return Published("v1.0", engine, board, "kws", latency_s, clock_hz)


def test_the_table_is_read_in_si_units(tmp_path: Path) -> None:
    path = tmp_path / "results.csv"
    path.write_text(HEADER + "v1.0,e,Nucleo-L4R5ZI,kws,50.0,120\n")
    (result,) = read_published(path)
    assert result == Published("v1.0", "e", L4R5, "kws", 0.05, 120e6)
    assert result.cycles == pytest.approx(6e6)


def test_a_board_s_ratio_is_of_cycles_not_of_time() -> None:
    pair = (a_result(L4R5, 0.05), a_result(CY8C6, 0.05, clock_hz=1.5e8))
    ((first, second, ratio),) = board_ratios(pair)
    assert (first, second) == pair
    assert ratio == pytest.approx(1.5)


def test_results_that_cannot_be_paired_are_left_out() -> None:
    twice = (a_result(L4R5, 0.05), a_result(L4R5, 0.2), a_result(CY8C6, 0.05))
    other = (a_result(L4R5, 0.05, engine="a"), a_result(CY8C6, 0.05, engine="b"))
    assert list(board_ratios(twice)) == []
    assert list(board_ratios(other)) == []


def test_the_estimate_states_what_the_memory_of_two_boards_does() -> None:
    published = read_published(shared_file("data/mlperf_tiny/published_results.csv"))
    ratios = [ratio for _, _, ratio in board_ratios(published)]
    assert len(ratios) >= 12
    assert MEMORY.high - 0.05 < max(ratios) <= MEMORY.high
    assert min(ratios) > MEMORY.low
    assert fastest(published, L4R5, "kws").latency_s == pytest.approx(0.04319, rel=1e-3)
    assert fastest(published, L4R5, "ad").latency_s == pytest.approx(0.00405, rel=1e-3)
