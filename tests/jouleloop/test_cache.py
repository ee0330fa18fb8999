"""What is built is kept, built once, and removed when nobody asks for it any more."""

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from jouleloop.cache import UNUSED_S, BuildCache, cache_folder

pytestmark = pytest.mark.pure


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> BuildCache:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return BuildCache("things")


def write_file(work: Path) -> Path:
    (work / "made").write_text("first")
    return work / "made"


def write_folder(work: Path) -> Path:
    (work / "made").mkdir()
    (work / "made" / "file").write_text("first")
    return work / "made"


def never(work: Path) -> Path:
    pytest.fail(f"built again in {work}")


def make_old(path: Path) -> None:
    old_s = time.time() - UNUSED_S - 60
    os.utime(path, (old_s, old_s))


@pytest.mark.parametrize("build", [write_file, write_folder])
def test_a_thing_is_built_once(cache: BuildCache, build: Callable[[Path], Path]) -> None:
    kept = cache.get("name", build)
    assert kept == cache.get("name", never)
    assert kept.parent == cache.folder == cache_folder() / "things"
    assert [entry.name for entry in cache.folder.iterdir()] == ["name"]


def test_a_build_that_fails_leaves_nothing(cache: BuildCache) -> None:
    def fail(work: Path) -> Path:
        write_file(work)
        raise InterruptedError

    with pytest.raises(InterruptedError):
        cache.get("name", fail)
    assert list(cache.folder.iterdir()) == []


@pytest.mark.parametrize("build", [write_file, write_folder])
def test_another_process_that_was_faster_is_no_error(
    cache: BuildCache, build: Callable[[Path], Path]
) -> None:
    def build_after_another(work: Path) -> Path:
        cache.get("name", build)
        return build(work)

    kept = cache.get("name", build_after_another)
    assert (kept / "file" if kept.is_dir() else kept).read_text() == "first"


@pytest.mark.parametrize("build", [write_file, write_folder])
def test_what_nobody_asks_for_is_removed_at_the_next_build(
    cache: BuildCache, build: Callable[[Path], Path]
) -> None:
    unused, used = cache.get("unused", build), cache.get("used", build)
    for entry in (unused, used):
        make_old(entry)
    cache.get("used", never)
    cache.get("new", build)
    assert {entry.name for entry in cache.folder.iterdir()} == {"used", "new"}


def test_what_a_killed_build_left_is_removed(cache: BuildCache) -> None:
    abandoned = cache.folder / "build-abandoned"
    abandoned.mkdir(parents=True)
    make_old(abandoned)
    cache.get("name", write_file)
    assert not abandoned.exists()


def test_a_place_that_cannot_be_taken_is_an_error(cache: BuildCache) -> None:
    def build_nothing(work: Path) -> Path:
        return work / "missing"

    with pytest.raises(FileNotFoundError):
        cache.get("name", build_nothing)
