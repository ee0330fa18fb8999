"""Latencies that others published for their engines on silicon (MLPerf Tiny, closed division)."""

from __future__ import annotations

import csv
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.shared_data import shared_folder

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

# As the results call the boards, in capitals; both have a Cortex-M4F.
L4R5, CY8C6 = "NUCLEO-L4R5ZI", "CY8CPROTO-062-4343W"


@dataclass(frozen=True)
class Published:
    """One result.

    Args:
        round: of MLPerf Tiny.
        engine: the inference engine.
        board: in capitals.
        model: `kws`, `ad`, `ic`, `vww` or `sww`.
        latency_s: of one inference.
        clock_hz: of the core.
    """

    round: str
    engine: str
    board: str
    model: str
    latency_s: float
    clock_hz: float

    @property
    def cycles(self) -> float:
        """Core cycles of one inference."""
        return self.latency_s * self.clock_hz


def results_path() -> Path:
    """Where the results lie, if they do."""
    return shared_folder() / "data" / "mlperf_tiny" / "published_results.csv"


def read_published(path: Path) -> tuple[Published, ...]:
    """Read the table of results."""
    with path.open(encoding="utf-8", newline="") as lines:
        return tuple(
            Published(
                row["round"],
                row["stack"],
                row["board"].upper(),
                row["benchmark"],
                float(row["latency_ms"]) / 1e3,
                float(row["clock_mhz"]) * 1e6,
            )
            for row in csv.DictReader(lines)
        )


def fastest(results: Iterable[Published], board: str, model: str) -> Published:
    """The result with the fewest cycles."""
    fitting = [r for r in results if (r.board, r.model) == (board, model)]
    return min(fitting, key=lambda result: result.cycles)


def board_ratios(results: Iterable[Published]) -> Iterator[tuple[Published, Published, float]]:
    """Cycles of one engine and one model on the two boards.

    Where an engine was handed in more than once for a board, one cannot tell which belong together
    (some are of float32), so these are left out.

    Yields:
        Both results, and the cycles of the second board over those of the first.
    """
    found: dict[tuple[str, str, str], dict[str, list[Published]]] = defaultdict(
        lambda: defaultdict(list)
    )
    for result in results:
        found[result.round, result.engine, result.model][result.board].append(result)
    for boards in found.values():
        if len(boards[L4R5]) == len(boards[CY8C6]) == 1:
            (first,), (second,) = boards[L4R5], boards[CY8C6]
            yield first, second, second.cycles / first.cycles
