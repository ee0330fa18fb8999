"""docs/compiler.md names what the compiler has."""

from pathlib import Path

import pytest

from export.ops import KERNEL_OPERATORS, OPERATORS
from export.optimize import Optimize
from export.passes import PIPELINE

pytestmark = pytest.mark.pure

PAGE = (Path(__file__).parents[2] / "docs" / "compiler.md").read_text(encoding="utf-8")


def test_every_operator_has_its_row_and_says_who_writes_its_code() -> None:
    rows = [
        [cell.strip(" `") for cell in line.split("|")[1:3]]
        for line in PAGE.splitlines()
        if line.startswith("| `") and line.split("|")[2].strip() in {"kernel", "plain C"}
    ]
    assert [name for name, _ in rows] == sorted(OPERATORS)
    assert {name for name, code in rows if code == "kernel"} == set(KERNEL_OPERATORS)


def test_the_passes_stand_in_their_order() -> None:
    listed = [line.split("`")[1] for line in PAGE.splitlines() if line[:3] in {"1. ", "2. ", "3. "}]
    passes = [name for name in listed if not name.startswith(("export/", "tests/"))]
    assert passes == [run.__name__ for run in PIPELINE]


def test_every_mode_and_folder_that_it_speaks_of_exists() -> None:
    for mode in Optimize:
        assert f"`--optimize {mode}`" in PAGE
    root = Path(__file__).parents[2]
    paths = [word for word in PAGE.split("`") if word.startswith(("export/", "tests/"))]
    assert paths
    for path in paths:
        assert path == "export/ops/NAME.py" or (root / path).exists(), path
