"""What a command prints: one JSON object for machines, or text for people; progress on stderr."""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from rich.table import Table

# Standard output carries the result alone, so that `--json | jq` works; the rest goes to stderr.
console = Console()
progress_console = Console(stderr=True)

JsonFlag = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]


def print_json(payload: Mapping[str, Any]) -> None:
    """Print one JSON object on standard output."""
    console.out(json.dumps(payload, indent=2, allow_nan=False), highlight=False)


def print_wide(table: Table) -> None:
    """Print a table at its own width, whatever the terminal's: no cell is folded or cut."""
    # Wider than any table; rich would otherwise squeeze the columns into the terminal.
    Console(width=10_000).print(table)


@contextmanager
def progress_bar(label: str) -> Iterator[Callable[[int, int], None]]:
    """A progress bar on standard error; call what it yields with (done, in all).

    Shows nothing where standard error is not a terminal.
    """
    with _progress() as progress:
        task = progress.add_task(label, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)


@contextmanager
def progress_bars() -> Iterator[Callable[[str, int, int], None]]:
    """As `progress_bar`, a bar per part of a job; call with (part, done, in all)."""
    with _progress() as progress:
        tasks: dict[str, TaskID] = {}

        def show(part: str, done: int, total: int) -> None:
            if part not in tasks:
                tasks[part] = progress.add_task(part)
            progress.update(tasks[part], completed=done, total=total)

        yield show


def _progress() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=progress_console,
        disable=not progress_console.is_terminal,
    )
