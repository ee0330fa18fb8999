import sqlite3
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import fleet.store
from fleet.store import Reading, Store
from jouleloop.errors import InputError, MachineError

pytestmark = pytest.mark.pure

NODE = "plant/gateway"


def reading(time_ms: int, value: float | str = 1.0, metric: str = "energy") -> Reading:
    return Reading(NODE, "board", metric, time_ms, value, "J", "modelled", "profile", 0.5)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "new" / "telemetry.sqlite"


def test_readings_come_back_whole_and_in_order(path: Path) -> None:
    rows = (
        reading(2, 2.5),
        reading(1, 1.5),
        Reading(NODE, "", "state", 1, "awake"),
        reading(3, 7, "count"),
    )
    with Store(path) as store:
        assert store.add(rows) == 4
    with Store(path) as store:
        assert store.series(NODE, "board", "energy") == (rows[1], rows[0])
        assert store.series(NODE, "board", "energy", since_ms=2) == (rows[0],)
        assert store.latest() == (rows[2], rows[3], rows[0])


def test_a_replay_is_stored_once_and_the_first_stays(path: Path) -> None:
    with Store(path) as store:
        assert store.add([reading(1, 1.0), reading(1, 2.0), reading(2)]) == 2
        assert store.add([reading(1, 3.0), reading(3)]) == 1
        assert [row.value for row in store.series(NODE, "board", "energy")] == [1.0, 1.0, 1.0]


def test_an_empty_batch_is_nothing(path: Path) -> None:
    with Store(path) as store:
        assert store.add([]) == 0
        assert store.latest() == ()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.text(st.characters(exclude_categories=["Cs"])),
    st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | st.text(),
    st.none() | st.floats(0, 1e9),
)
def test_any_value_comes_back(
    tmp_path: Path, name: str, value: float | str, relative_error: float | None
) -> None:
    if isinstance(value, str):
        value = value.encode(errors="replace").decode()
    (tmp_path / "any.sqlite").unlink(missing_ok=True)
    sent = Reading(NODE, name, name, 5, value, None, None, name, relative_error)
    with Store(tmp_path / "any.sqlite") as store:
        assert store.add([sent]) == 1
        assert store.latest() == (sent,) or value >= 2**63  # type: ignore[operator]  # then a number
        assert store.latest()[0].value == pytest.approx(value)


def test_the_unit_of_a_metric_is_the_last_one(path: Path) -> None:
    with Store(path) as store:
        store.add([Reading(NODE, "", "x", 1, 1.0), Reading(NODE, "", "x", 2, 1.0, "W")])
        store.add([Reading(NODE, "", "x", 3, 1.0, "J")])
        assert {row.unit for row in store.latest()} == {"J"}


def test_the_key_is_enforced_by_the_database_itself(path: Path) -> None:
    with Store(path) as store:
        store.add([reading(1)])
    with sqlite3.connect(path) as database:
        assert database.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        (sql,) = database.execute("SELECT sql FROM sqlite_master WHERE name = 'samples'").fetchone()
        assert "WITHOUT ROWID" in sql
        with pytest.raises(sqlite3.IntegrityError):
            database.execute("INSERT INTO samples SELECT * FROM samples")
    database.close()


def test_another_version_is_refused_and_left_alone(path: Path) -> None:
    with Store(path):
        pass
    database = sqlite3.connect(path)
    database.execute("PRAGMA user_version = 99")
    database.close()
    before = path.read_bytes()
    with pytest.raises(InputError, match=r"version 99; this jouleloop writes version 1"):
        Store(path)
    assert path.read_bytes() == before


def test_somebody_s_database_is_refused(path: Path) -> None:
    path.parent.mkdir()
    database = sqlite3.connect(path)
    database.execute("CREATE TABLE theirs (x)")
    database.commit()
    database.close()
    with pytest.raises(InputError, match="version 0"):
        Store(path)


def test_a_file_that_is_no_database_is_refused(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"not a database, but long enough to look at" * 100)
    with pytest.raises(InputError, match="no readable database"):
        Store(path)


def test_a_folder_is_no_database(tmp_path: Path) -> None:
    with pytest.raises(MachineError, match=f"cannot write {tmp_path}"):
        Store(tmp_path)


def test_a_full_disk_is_said_and_loses_no_earlier_batch(path: Path) -> None:
    with Store(path) as store:
        store.add([reading(1)])
        # The limit of the database's own size stands in for the disk's: SQLite reports the same.
        (pages,) = store._database.execute("PRAGMA page_count").fetchone()
        store._database.execute(f"PRAGMA max_page_count = {pages}")
        with pytest.raises(MachineError, match=f"cannot write {path}: the disk is full"):
            store.add([reading(time_ms, "x" * 100) for time_ms in range(2, 1000)])
        assert store.series(NODE, "board", "energy") == (reading(1),)
        store._database.execute("PRAGMA max_page_count = 100000")
        assert store.add([reading(2)]) == 1


def test_a_locked_database_is_said(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fleet.store, "BUSY_TIMEOUT_S", 0.05)
    with Store(path) as store:
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(MachineError, match="another process has held it"):
            store.add([reading(1)])
        other.execute("ROLLBACK")
        other.close()
        assert store.add([reading(1)]) == 1
