"""The roof: one file per verb; each parses, calls one function and prints."""

from __future__ import annotations

import signal
import sys
import traceback
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table
from typer.core import TyperGroup

import jouleloop
from jouleloop.cli.bench import bench
from jouleloop.cli.board import board
from jouleloop.cli.bundle import bundle_app
from jouleloop.cli.demo import demo
from jouleloop.cli.devices import devices
from jouleloop.cli.doctor import doctor
from jouleloop.cli.export import export
from jouleloop.cli.flash import flash
from jouleloop.cli.keys import keys_app
from jouleloop.cli.monitor import monitor
from jouleloop.cli.output import progress_console
from jouleloop.cli.plan import plan_app
from jouleloop.cli.powercut import powercut
from jouleloop.cli.profile import profile
from jouleloop.cli.run import run
from jouleloop.cli.sample import sample
from jouleloop.cli.scenarios import scenarios_app
from jouleloop.cli.sweep import sweep
from jouleloop.cli.train import train_app
from jouleloop.cli.verify import verify
from jouleloop.errors import EXIT_BUG, EXIT_USER, JouleloopError, LinkError, OverBudgetError


class _Commands(TyperGroup):
    """Lets no broken pipe end a command in silence."""

    def invoke(self, *arguments: Any, **options: Any) -> Any:
        try:
            return super().invoke(*arguments, **options)
        except BrokenPipeError as error:
            # Typer takes every one for a reader of our standard output that went away, and exits
            # without a word; our own printing ends by itself then (jouleloop/cli/output.py).
            raise LinkError("the program or device at the other end went away") from error


app = typer.Typer(
    name="jouleloop",
    cls=_Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    add_completion=False,
)
app.command("devices")(devices)
app.command("doctor")(doctor)
app.add_typer(train_app, name="train")
app.command("export")(export)
app.command("bench")(bench)
app.command("board")(board)
app.add_typer(bundle_app, name="bundle")
app.command("demo")(demo)
app.command("flash")(flash)
app.add_typer(keys_app, name="keys")
app.command("monitor")(monitor)
app.add_typer(plan_app, name="plan")
app.command("powercut")(powercut)
app.command("profile")(profile)
app.command("run")(run)
app.command("sample")(sample)
app.add_typer(scenarios_app, name="scenarios")
app.command("sweep")(sweep)
app.command("verify")(verify)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"jouleloop {jouleloop.__version__}")
        raise typer.Exit


@app.callback()
def jouleloop_command(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version"),
    ] = False,
) -> None:
    """Take a decision model from training to a device that lives on joules, and back.

    Example: jouleloop devices
    """


def _print_error(error: JouleloopError) -> None:
    typer.echo(f"jouleloop: error: {error.message}", err=True)
    if isinstance(error, OverBudgetError) and error.rows:
        table = Table("what", "actual", "limit")
        for row in error.rows:
            table.add_row(*map(escape, row))
        progress_console.print(table)
    if error.hint:
        typer.echo(f"  {error.hint}", err=True)


def _describe(error: OSError) -> str:
    if error.strerror is None:
        return str(error)
    return error.strerror if error.filename is None else f"{error.filename}: {error.strerror}"


def main() -> None:
    """Run the command and translate errors into exit codes (1 user, 2 usage, 70 bug)."""
    # Ask to end, and every program and file that a command holds is closed on the way out.
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    try:
        app()
    except JouleloopError as error:
        _print_error(error)
        sys.exit(EXIT_USER)
    except KeyboardInterrupt:
        sys.exit(130)  # 128 + SIGINT, as a shell expects
    except OSError as error:
        # A full disk, a missing file, no permission: the machine's state, not our bug.
        typer.echo(f"jouleloop: error: {_describe(error)}", err=True)
        sys.exit(EXIT_USER)
    except Exception:
        traceback.print_exc()
        typer.echo("jouleloop: this is a bug; please report the lines above", err=True)
        sys.exit(EXIT_BUG)
