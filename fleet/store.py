"""What the fleet has reported, on disk: SQLite in WAL mode, one row a sample.

A sample is keyed by node, device, metric and time, so a message that arrives twice is stored once.
Names and sources are interned: a row costs a few bytes, and the view `readings` shows it whole:

    sqlite3 telemetry.sqlite "select * from readings order by time_ms desc limit 10"
"""

from __future__ import annotations

import sqlite3
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from jouleloop.errors import InputError, MachineError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path
    from types import TracebackType

SCHEMA_VERSION = 1
BUSY_TIMEOUT_S = 5.0
# What SQLite calls an integer.
_INT64 = range(-(2**63), 2**63)

# A device of "" is the node itself: a column of a key cannot be null.
_SCHEMA = """
CREATE TABLE series (
    id INTEGER PRIMARY KEY,
    node TEXT NOT NULL,
    device TEXT NOT NULL,
    metric TEXT NOT NULL,
    unit TEXT,
    UNIQUE (node, device, metric)
);
CREATE TABLE sources (
    id INTEGER PRIMARY KEY,
    source TEXT NOT NULL UNIQUE
);
CREATE TABLE samples (
    series_id INTEGER NOT NULL REFERENCES series (id),
    time_ms INTEGER NOT NULL,
    value BLOB NOT NULL,
    kind TEXT,
    source_id INTEGER REFERENCES sources (id),
    relative_error REAL,
    PRIMARY KEY (series_id, time_ms)
) WITHOUT ROWID;
CREATE VIEW readings AS
    SELECT node, device, metric, time_ms, value, unit, kind, source, relative_error
    FROM samples
    JOIN series ON series.id = samples.series_id
    LEFT JOIN sources ON sources.id = samples.source_id;
"""
_COLUMNS = "node, device, metric, time_ms, value, unit, kind, source, relative_error"


@dataclass(frozen=True)
class Reading:
    """One value of one metric, and where it came from.

    Args:
        node: Edge Node Descriptor, `group/node`.
        device: device id, or "" for the node itself.
        metric: its name.
        time_ms: when it was taken, milliseconds since 1970 UTC.
        value: a boolean is stored as 0 or 1.
        unit: SI symbol, or None.
        kind: `measured`, `modelled`, ..., or None.
        source: instrument or model, or None.
        relative_error: half the expected interval over the value, or None.
    """

    node: str
    device: str
    metric: str
    time_ms: int
    value: float | str
    unit: str | None = None
    kind: str | None = None
    source: str | None = None
    relative_error: float | None = None


class Store:
    """A database of readings, open while the context lasts; one writer, many readers.

    Args:
        path: the database file; made when missing, its folder too.

    Raises:
        InputError: the file is no database, or one of another version.
        MachineError: it cannot be opened or written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        path.parent.mkdir(parents=True, exist_ok=True)
        with self._explained():
            # Autocommit, so that `BEGIN IMMEDIATE` is ours; the lock makes threads take turns.
            self._database = sqlite3.connect(
                path, BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False
            )
        try:
            self._prepare()
        except BaseException:
            self._database.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with self._lock:
            self._database.close()

    def add(self, readings: Sequence[Reading]) -> int:
        """Store a batch: all of it or nothing.

        Returns:
            How many were new; a reading with a known key is a replay, and the first one stays.

        Raises:
            MachineError: the disk is full, or another process holds the database.
        """
        if not readings:
            return 0
        units = {(r.node, r.device, r.metric): r.unit for r in readings}
        with self._lock, self._explained(), self._transaction() as database:
            database.executemany(
                "INSERT INTO series (node, device, metric, unit) VALUES (?, ?, ?, ?) "
                "ON CONFLICT DO UPDATE SET unit = excluded.unit WHERE unit IS NOT excluded.unit",
                [(*key, unit) for key, unit in units.items()],
            )
            database.executemany(
                "INSERT OR IGNORE INTO sources (source) VALUES (?)",
                {(r.source,) for r in readings if r.source is not None},
            )
            return database.executemany(
                "INSERT OR IGNORE INTO samples "
                "SELECT series.id, ?, ?, ?, (SELECT id FROM sources WHERE source = ?), ? "
                "FROM series WHERE node = ? AND device = ? AND metric = ?",
                [
                    (
                        r.time_ms,
                        _stored(r.value),
                        r.kind,
                        r.source,
                        r.relative_error,
                        r.node,
                        r.device,
                        r.metric,
                    )
                    for r in readings
                ],
            ).rowcount

    def latest(self) -> tuple[Reading, ...]:
        """The newest reading of every series, by node, device and metric."""
        # SQLite gives the other columns of the row that holds the maximum.
        columns = _COLUMNS.replace("time_ms", "max(time_ms)")
        return self._query(
            f"SELECT {columns} FROM readings GROUP BY node, device, metric "  # noqa: S608  # constants
            "ORDER BY node, device, metric"
        )

    def series(
        self, node: str, device: str, metric: str, *, since_ms: int = 0
    ) -> tuple[Reading, ...]:
        """The readings of one metric from a time on, oldest first.

        Args:
            node: Edge Node Descriptor.
            device: device id, or "" for the node itself.
            metric: its name.
            since_ms: first time, milliseconds since 1970 UTC.
        """
        return self._query(
            f"SELECT {_COLUMNS} FROM readings WHERE node = ? AND device = ? AND metric = ? "  # noqa: S608  # constants
            "AND time_ms >= ? ORDER BY time_ms",
            (node, device, metric, since_ms),
        )

    def _query(self, query: str, values: tuple[object, ...] = ()) -> tuple[Reading, ...]:
        with self._lock, self._explained():
            return tuple(Reading(*row) for row in self._database.execute(query, values))

    def _prepare(self) -> None:
        with self._explained():
            self._database.execute("PRAGMA journal_mode = WAL")
            # A power cut may lose the last batches, and never damages the file.
            self._database.execute("PRAGMA synchronous = NORMAL")
            self._database.execute("PRAGMA foreign_keys = ON")
            with self._transaction() as database:
                (version,) = database.execute("PRAGMA user_version").fetchone()
                (tables,) = database.execute("SELECT count(*) FROM sqlite_master").fetchone()
                if version == 0 and tables == 0:
                    for statement in filter(str.strip, _SCHEMA.split(";")):
                        database.execute(statement)
                    database.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
                elif version != SCHEMA_VERSION:
                    raise InputError(
                        f"{self.path} is a database of version {version}; this jouleloop writes "
                        f"version {SCHEMA_VERSION}",
                        hint="name another file with --database",
                    )

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        self._database.execute("BEGIN IMMEDIATE")
        try:
            yield self._database
            self._database.execute("COMMIT")
        except BaseException:
            # A full disk has already rolled it back.
            if self._database.in_transaction:
                self._database.execute("ROLLBACK")
            raise

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Say what SQLite's errors mean for this file."""
        try:
            yield
        except sqlite3.OperationalError as error:
            code = (error.sqlite_errorcode or 0) & 0xFF
            if code == sqlite3.SQLITE_FULL:
                reason, hint = "the disk is full", "make room, or name a file on another disk"
            elif code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
                reason = f"another process has held it for more than {BUSY_TIMEOUT_S:g} s"
                hint = "is another monitor writing to the same file?"
            else:
                reason, hint = str(error), "can this user write the file and its folder?"
            raise MachineError(f"cannot write {self.path}: {reason}", hint=hint) from error
        except sqlite3.DatabaseError as error:
            raise InputError(
                f"{self.path} is no readable database: {error}",
                hint="name another file with --database",
            ) from error


def _stored(value: float | str) -> float | str:
    # Sparkplug's UInt64 goes beyond SQLite's integers; a double keeps its size.
    return float(value) if isinstance(value, int) and value not in _INT64 else value
