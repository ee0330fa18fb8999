"""A checkpoint is written whole or not at all, and replaces nothing but a checkpoint."""

from __future__ import annotations

import errno
import json
from pathlib import Path

import pytest

from jouleloop.errors import InputError
from train.checkpoint import CALIBRATION, CARD, PRODUCER, PROGRAM, new_checkpoint

pytestmark = pytest.mark.pure


def fill(folder: Path, mark: str) -> None:
    for name in (PROGRAM, CALIBRATION):
        (folder / name).write_text(mark)
    (folder / CARD).write_text(json.dumps({"producer": f"{PRODUCER}0.1", "mark": mark}))


def marks(folder: Path) -> set[str]:
    assert {entry.name for entry in folder.iterdir()} == {PROGRAM, CARD, CALIBRATION}
    card = json.loads((folder / CARD).read_text())
    return {(folder / PROGRAM).read_text(), (folder / CALIBRATION).read_text(), card["mark"]}


def write(out: Path, mark: str) -> None:
    with new_checkpoint(out) as folder:
        fill(folder, mark)


def test_a_new_folder_and_those_above_it_are_made(tmp_path: Path) -> None:
    write(tmp_path / "a" / "b" / "policy", "one")
    assert marks(tmp_path / "a" / "b" / "policy") == {"one"}
    assert [entry.name for entry in (tmp_path / "a" / "b").iterdir()] == ["policy"]


def test_an_empty_folder_and_an_older_checkpoint_are_replaced(tmp_path: Path) -> None:
    (tmp_path / "policy").mkdir()
    write(tmp_path / "policy", "one")
    write(tmp_path / "policy", "two")
    assert marks(tmp_path / "policy") == {"two"}
    assert [entry.name for entry in tmp_path.iterdir()] == ["policy"]


def test_a_link_to_a_checkpoint_stays_a_link(tmp_path: Path) -> None:
    write(tmp_path / "real", "one")
    (tmp_path / "link").symlink_to("real")
    write(tmp_path / "link", "two")
    assert (tmp_path / "link").is_symlink()
    assert marks(tmp_path / "real") == {"two"}


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, OSError, ZeroDivisionError])
def test_an_interrupted_run_leaves_what_was_there(
    tmp_path: Path, error: type[BaseException]
) -> None:
    def interrupted(out: Path) -> None:
        with new_checkpoint(out) as folder:
            (folder / PROGRAM).write_text("half")
            raise error

    with pytest.raises(error):
        interrupted(tmp_path / "policy")
    assert list(tmp_path.iterdir()) == []
    write(tmp_path / "policy", "one")
    with pytest.raises(error):
        interrupted(tmp_path / "policy")
    assert marks(tmp_path / "policy") == {"one"}
    assert [entry.name for entry in tmp_path.iterdir()] == ["policy"]


def test_an_interrupt_between_the_two_renames_brings_the_old_one_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "policy", "one")
    rename = Path.rename

    def interrupted_at_the_new_one(self: Path, target: Path) -> Path:
        if self.name == "new":
            raise KeyboardInterrupt
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", interrupted_at_the_new_one)
    with pytest.raises(KeyboardInterrupt):
        write(tmp_path / "policy", "two")
    assert marks(tmp_path / "policy") == {"one"}
    assert [entry.name for entry in tmp_path.iterdir()] == ["policy"]


@pytest.mark.parametrize(
    "files",
    [
        {"thesis.tex": "years of work"},
        {CARD: json.dumps({"producer": PRODUCER}), "notes.txt": "mine"},
        {CARD: "not json", PROGRAM: ""},
        {CARD: "[]"},
        {CARD: json.dumps({"producer": "another program"})},
        {PROGRAM: "without a card"},
    ],
)
def test_what_is_no_checkpoint_is_not_replaced(tmp_path: Path, files: dict[str, str]) -> None:
    for name, content in files.items():
        (tmp_path / name).write_text(content)
    with pytest.raises(InputError, match="no checkpoint") as caught:
        write(tmp_path, "one")
    assert "new folder" in caught.value.hint
    assert {entry.name: entry.read_text() for entry in tmp_path.iterdir()} == files


def test_a_file_in_the_way_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "policy").write_text("a file")
    with pytest.raises(InputError, match="is a file"):
        write(tmp_path / "policy", "one")
    with pytest.raises(InputError, match=r"Not a directory|File exists"):
        write(tmp_path / "policy" / "below", "one")
    assert (tmp_path / "policy").read_text() == "a file"


def test_a_place_that_cannot_be_written_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The superuser, who runs the tests in a container, may write everywhere.
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(InputError, match="Permission denied") as caught:
        write(tmp_path / "policy", "one")
    assert "may write" in caught.value.hint
