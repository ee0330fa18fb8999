"""What a command prints: one JSON object for machines, or text for people; progress on stderr."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

if TYPE_CHECKING:
    from collections.abc import Mapping

# Standard output carries the result alone, so that `--json | jq` works; the rest goes to stderr.
console = Console()
progress_console = Console(stderr=True)

JsonFlag = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]


def print_json(payload: Mapping[str, Any]) -> None:
    """Print one JSON object on standard output."""
    typer.echo(json.dumps(payload, indent=2, allow_nan=False))
