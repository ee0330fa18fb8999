"""Finished cells of a sweep, in SQLite."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Self

from jouleloop.errors import ScenarioError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from scenarios.world.sweep import Plan

_SCHEMA = """
CREATE TABLE IF NOT EXISTS plan (record TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS cells (
    scenario INTEGER NOT NULL,
    scenario_seed INTEGER NOT NULL,
    controller TEXT NOT NULL,
    repeat INTEGER NOT NULL,
    record TEXT NOT NULL,
    PRIMARY KEY (scenario, controller, repeat)
) WITHOUT ROWID;
"""


@dataclass(frozen=True)
class Cell:
    """One run of a sweep.

    Args:
        scenario: its number in the plan.
        scenario_seed: by which it is made.
        controller: name.
        repeat: seed of the controller.
    """

    scenario: int
    scenario_seed: int
    controller: str
    repeat: int

    @property
    def key(self) -> tuple[int, str, int]:
        """What it is stored by."""
        return self.scenario, self.controller, self.repeat


class SweepStore:
    """A file of finished cells; context manager.

    Args:
        path: of the database; made where it is not there.
        plan: what the cells are of.

    Raises:
        ScenarioError: the file is no database, or holds cells of another plan.
    """

    def __init__(self, path: Path, plan: Plan) -> None:
        self._path = path
        try:
            self._database = sqlite3.connect(path)
            # A finished cell outlives the process; a power cut may cost the last ones.
            self._database.execute("PRAGMA journal_mode = WAL")
            self._database.execute("PRAGMA synchronous = NORMAL")
            self._database.executescript(_SCHEMA)
            self._claim(json.dumps(asdict(plan), sort_keys=True))
        except sqlite3.DatabaseError as error:
            hint = "choose another folder for --out"
            raise ScenarioError(f"{path} is no sweep: {error}", hint=hint) from error

    def _claim(self, plan: str) -> None:
        with self._database:
            row = self._database.execute("SELECT record FROM plan").fetchone()
            if row is None:
                self._database.execute("INSERT INTO plan VALUES (?)", (plan,))
            elif row[0] != plan:
                raise ScenarioError(
                    f"{self._path} holds another sweep: {row[0]}",
                    hint="give the same options to take it up, or another folder for --out",
                )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._database.close()

    def finished(self) -> set[tuple[int, str, int]]:
        """Keys of the cells that are there."""
        rows = self._database.execute("SELECT scenario, controller, repeat FROM cells")
        return set(rows)

    def add(self, cell: Cell, record: Mapping[str, Any]) -> None:
        """Keep a finished cell."""
        text = json.dumps(record, sort_keys=True, allow_nan=False)
        with self._database:
            self._database.execute(
                "INSERT INTO cells VALUES (?, ?, ?, ?, ?)", (*asdict(cell).values(), text)
            )

    def rows(self) -> list[dict[str, Any]]:
        """Every cell, ordered by scenario, controller and repeat."""
        columns = "scenario, scenario_seed, controller, repeat, record"
        query = f"SELECT {columns} FROM cells ORDER BY scenario, controller, repeat"  # noqa: S608 - constants
        return [
            {
                "scenario": scenario,
                "scenario_seed": seed,
                "controller": controller,
                "repeat": repeat,
                **json.loads(record),
            }
            for scenario, seed, controller, repeat, record in self._database.execute(query)
        ]
