"""`jouleloop doctor`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer
from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.table import Table

from jouleloop.cli.output import JsonFlag, console, print_json, print_wide, progress_bar
from jouleloop.errors import EXIT_USER

if TYPE_CHECKING:
    from jouleloop.installation import Check


def doctor(json_output: JsonFlag = False) -> None:
    """Say what is installed, what is missing, and the command that installs it.

    Programs are started and the cross compiler compiles, so that what is listed as there works too.
    Exit code 1 when something that the demo needs is missing.

    Example: jouleloop doctor
    """
    from jouleloop.installation import check_installation

    with progress_bar("checks") as progress:
        checks = check_installation(progress)
    ok = all(check.ok for check in checks if check.is_needed_by_demo)
    if json_output:
        print_json({"checks": [_record(check) for check in checks], "ok": ok})
    else:
        _print(checks)
    if not ok:
        raise typer.Exit(EXIT_USER)


def _record(check: Check) -> dict[str, str | bool]:
    return {
        "name": check.name,
        "ok": check.ok,
        "version": check.version,
        "needed_for": check.needed_for,
        "is_needed_by_demo": check.is_needed_by_demo,
        "install": check.install,
    }


def _print(checks: tuple[Check, ...]) -> None:
    table = Table("", "name", "version", "needed for", box=SIMPLE_HEAD, pad_edge=False)
    for check in checks:
        mark = "ok" if check.ok else "MISSING"
        table.add_row(mark, check.name, escape(check.version), check.needed_for)
    print_wide(table)
    missing = [check for check in checks if not check.ok]
    if not missing:
        console.print("everything is there")
    for check in missing:
        line = f"{check.name}: {check.install}"
        console.print(line, markup=False, highlight=False, soft_wrap=True)
