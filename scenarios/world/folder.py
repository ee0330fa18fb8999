"""Folders of scenario files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jouleloop.errors import ScenarioError
from scenarios.world.file import read
from scenarios.world.linear_programs import require_feasible

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from scenarios.world.schema import Scenario

CHUNK = 25


def scenario_files(path: Path) -> list[Path]:
    """The file itself, or every .json file of a folder, by name.

    Raises:
        ScenarioError: nothing is there.
    """
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise ScenarioError(f"{path} does not exist", hint="jouleloop scenarios new writes some")
    files = sorted(path.glob("*.json"))
    if not files:
        hint = f"jouleloop scenarios new --out {path} writes some"
        raise ScenarioError(f"{path} holds no scenario file (*.json)", hint=hint)
    return files


def check_files(
    path: Path, *, progress: Callable[[int, int], None] | None = None
) -> list[Scenario]:
    """Read every scenario of a file or folder, and check that it has a feasible flow.

    Raises:
        ScenarioError: names the file and the JSON path of what is wrong.
    """
    files = scenario_files(path)
    checked: list[Scenario] = []
    for start in range(0, len(files), CHUNK):
        some = files[start : start + CHUNK]
        chunk = [read(file) for file in some]
        require_feasible(chunk, [str(file) for file in some])
        checked += chunk
        if progress is not None:
            progress(len(checked), len(files))
    return checked
