"""`python -m benchmarks [NAME...]`: run the benchmarks, print their figures, write them as JSON.

A benchmark is a module of this folder with a function `main() -> Sequence[Figure]`. Its docstring
says what is compared with what. The exit code is 1 where a figure exceeds its limit.
"""

from __future__ import annotations

import importlib
import json
import pkgutil
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

import benchmarks
from jouleloop.errors import EXIT_USAGE, EXIT_USER

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.figure import Figure

OUT = Path("out/benchmarks")


def discover() -> list[str]:
    """Names of the benchmarks, sorted."""
    names = (module.name for module in pkgutil.iter_modules(benchmarks.__path__))
    return sorted(
        name
        for name in names
        if name != "__main__" and hasattr(importlib.import_module(f"benchmarks.{name}"), "main")
    )


def run(name: str, console: Console) -> bool:
    """Run a benchmark, print and write its figures; returns whether all keep their limits."""
    module = importlib.import_module(f"benchmarks.{name}")
    figures: Sequence[Figure] = module.main()
    table = Table("figure", "value", "limit", "how", title=f"{name}: {_summary(module.__doc__)}")
    for figure in figures:
        limit = "" if figure.limit is None else f"{_number(figure.limit)} {figure.unit}"
        value = f"{_number(figure.value)} {figure.unit}" + (" OVER" if figure.is_over else "")
        table.add_row(figure.name, value, limit, figure.how)
    console.print(table)
    OUT.mkdir(parents=True, exist_ok=True)
    record = json.dumps([asdict(figure) for figure in figures], indent=2)
    (OUT / f"{name}.json").write_text(record + "\n", encoding="utf-8")
    return not any(figure.is_over for figure in figures)


def _number(value: float) -> str:
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:,.4g}"


def _summary(docstring: str | None) -> str:
    return (docstring or "").strip().partition("\n")[0]


def main() -> int:
    """Run the benchmarks that the command line names, or all; returns the exit code."""
    known = discover()
    wanted = sys.argv[1:] or known
    if unknown := sorted(set(wanted) - set(known)):
        print(f"no benchmark {', '.join(unknown)}; there are {', '.join(known)}", file=sys.stderr)
        return EXIT_USAGE
    console = Console()
    kept = [run(name, console) for name in wanted]
    return 0 if all(kept) else EXIT_USER


if __name__ == "__main__":
    sys.exit(main())
