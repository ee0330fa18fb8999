"""`python -m benchmarks [NAME...]`: run the benchmarks, print their figures, write them as JSON.

A benchmark is a module of this folder with a function `main() -> Sequence[Measure]`. Its docstring
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
from hil_tests.report import format_interval, format_quantity
from jouleloop.errors import EXIT_USAGE, EXIT_USER

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hil_tests.result import Measure

OUT = Path("out/benchmarks")


def discover() -> list[str]:
    """Names of the benchmarks, sorted; a module whose name begins with an underscore is a part."""
    names = (module.name for module in pkgutil.iter_modules(benchmarks.__path__))
    return sorted(name for name in names if not name.startswith("_"))


def run(name: str, console: Console) -> bool:
    """Run a benchmark, print and write its figures; returns whether all keep their limits."""
    module = importlib.import_module(f"benchmarks.{name}")
    measures: Sequence[Measure] = module.main()
    table = Table("figure", "value", "interval", "limit", "kind")
    table.title = f"{name}: {_summary(module.__doc__)}"
    for measure in measures:
        limit = "" if measure.limit is None else format_quantity(measure.limit, measure.unit)
        value = format_quantity(measure.value, measure.unit) + (" OVER" if _over(measure) else "")
        table.add_row(measure.name, value, format_interval(measure), limit, measure.kind)
    console.print(table)
    OUT.mkdir(parents=True, exist_ok=True)
    record = json.dumps([asdict(measure) for measure in measures], indent=2)
    path = OUT / f"{name}.json"
    path.write_text(record + "\n", encoding="utf-8")
    console.print(f"where each figure comes from: {path}")
    return not any(map(_over, measures))


def _over(measure: Measure) -> bool:
    return measure.limit is not None and measure.value > measure.limit


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
