"""Every command has help, and the example at its end is a command line that is understood."""

import re
import shlex
from pathlib import Path

import pytest
import typer
from typer.core import TyperGroup

from docs.generate_cli import commands

pytestmark = pytest.mark.pure

ROOT = Path(__file__).parents[2]
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")])
# Typer carries its own click, and exports this class by its subclass alone.
UsageError = typer.BadParameter.__mro__[1]
COMMANDS = {context.command_path: context for context in commands()}


def understand(line: str) -> None:
    """Parse a command line as the application would, but touch no file and run nothing.

    Raises:
        UsageError: an unknown option, or a wrong value.
        LookupError: an unknown command, an argument too many, or a required one that is absent.
    """
    program, *words = shlex.split(line)
    context = COMMANDS[program]
    while isinstance(context.command, TyperGroup) and words and not words[0].startswith("-"):
        context = COMMANDS[f"{context.command_path} {words.pop(0)}"]
    command = context.command
    # The parser alone: it knows options and arguments, and neither opens files nor runs callbacks.
    values, surplus, _ = command.make_parser(context).parse_args(words)
    if surplus:
        raise LookupError(f"nothing takes {surplus}")
    for parameter in command.params:
        value = values.get(parameter.name or "")
        if value is None and parameter.required:
            raise LookupError(f"{parameter.name} is required")
        if value is not None and parameter.type.name not in ("path", "file", "directory"):
            parameter.type_cast_value(context, value)


@pytest.mark.parametrize("path", COMMANDS)
def test_help_ends_with_an_example_that_is_understood(path: str) -> None:
    help_text = COMMANDS[path].command.help
    assert help_text, f"{path} has no help"
    paragraph, _, last_line = help_text.strip().rpartition("\n")
    assert len(paragraph.split()) >= 5, f"{path}: say in a paragraph what it does"
    assert last_line.startswith("Example: jouleloop "), f"{path} ends with {last_line!r}"
    example = last_line.removeprefix("Example: ")
    # The example of a group may be of any of its commands.
    assert example.startswith(path), f"the example of {path} is of another command: {example}"
    understand(example)


@pytest.mark.parametrize("path", COMMANDS)
def test_every_option_says_what_it_is_for(path: str) -> None:
    silent = [p.name for p in COMMANDS[path].command.params if not getattr(p, "help", None)]
    assert not silent, f"{path}: no help for {silent}"


@pytest.mark.parametrize("path", COMMANDS)
def test_every_command_that_does_something_speaks_json(path: str) -> None:
    command = COMMANDS[path].command
    if isinstance(command, TyperGroup):
        return
    assert any("--json" in p.opts for p in command.params), f"{path} has no --json"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_command_lines_on_a_page_are_understood(page: Path) -> None:
    blocks = re.findall(r"```(?:sh|console)\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines()]
    for line in lines:
        if line.removeprefix("$ ").startswith("jouleloop "):
            understand(line.removeprefix("$ ").split("  #")[0])


@pytest.mark.parametrize(
    "line",
    [
        "jouleloop no-such-command",
        "jouleloop --no-such-option",
        "jouleloop bench",
        "jouleloop bench a.jlb b.jlb",
        "jouleloop bench a.jlb --seed moon",
        "jouleloop bench a.jlb --scenarios many",
    ],
)
def test_a_wrong_example_is_noticed(line: str) -> None:
    with pytest.raises((LookupError, UsageError)):
        understand(line)
