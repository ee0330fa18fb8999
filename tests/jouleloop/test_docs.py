"""Pages that are generated, or speak of what can be counted, say what is the case."""

import itertools
import tomllib
from pathlib import Path

import pytest

from docs import generate_cli

pytestmark = pytest.mark.pure

ROOT = Path(__file__).parents[2]


def test_command_reference_is_what_help_says() -> None:
    page = generate_cli.PAGE.read_text(encoding="utf-8")
    assert page == generate_cli.page(), "run: make docs"


def test_every_dependency_says_why_it_is_there() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    groups = (project["dependencies"], *project["optional-dependencies"].values())
    wanted = itertools.chain.from_iterable(groups)
    names = {requirement.split(">")[0].split("=")[0] for requirement in wanted}
    makefile = (ROOT / "Makefile").read_text()
    (packages,) = [line for line in makefile.splitlines() if line.startswith("APT_PACKAGES")]
    names |= set(packages.split(":=")[1].split())
    page = (ROOT / "docs" / "dependencies.md").read_text(encoding="utf-8")
    rows = {line.split("|")[1].strip(" `") for line in page.splitlines() if line.startswith("| `")}
    assert names - rows == set(), "docs/dependencies.md does not say why"
    assert rows - names - {"python3-venv"} == set(), "docs/dependencies.md speaks of what is gone"
