"""Writes docs/cli.md from the `--help` of every command.

Usage: python -m docs.generate_cli [--check]   (--check: exit 1 where the page is not up to date)
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import typer
from typer.core import TyperGroup

from jouleloop.cli import app

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGE = Path(__file__).parent / "cli.md"
WIDTH = 100
HEAD = """\
# Commands

Generated from `--help` by `docs/generate_cli.py`; `make docs` writes it again.

A command prints its result on standard output and everything else (progress, errors) on standard
error. With `--json` it prints one JSON object and nothing else.

| exit code | meaning |
| --- | --- |
| 0 | done |
| 1 | the user or the machine can mend it; the error says how |
| 2 | wrong usage |
| 70 | a bug in jouleloop; please report it with the lines above it |
| 130, 143 | interrupted, terminated |
"""


def commands(context: typer.Context | None = None) -> Iterator[typer.Context]:
    """Every command of the application, a group before its own commands.

    Args:
        context: the group to start at, or None for the whole application.

    Yields:
        A context per command: `command_path` is how it is called, `command` what it is.
    """
    if context is None:
        root = typer.main.get_command(app)
        context = typer.Context(root, info_name=root.name, terminal_width=WIDTH)
    yield context
    if isinstance(context.command, TyperGroup):
        for name, command in context.command.commands.items():
            yield from commands(typer.Context(command, parent=context, info_name=name))


def page() -> str:
    """What the page must hold."""
    sections = (f"## {c.command_path}\n\n```text\n{c.get_help()}\n```\n" for c in commands())
    return "\n".join([HEAD, *sections])


def main() -> int:
    """Write or check the page; returns the exit code."""
    if sys.argv[1:] == ["--check"]:
        if not PAGE.is_file() or PAGE.read_text(encoding="utf-8") != page():
            print(f"docs/{PAGE.name} is not what `--help` says; run: make docs", file=sys.stderr)
            return 1
        print(f"docs/{PAGE.name} is what `--help` says")
        return 0
    PAGE.write_text(page(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
