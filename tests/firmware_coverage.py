"""`python -m tests.firmware_coverage`: which lines of the firmware's portable C the tests run.

The tests of the tier host_c that drive the firmware, and the proof that no power cut matters, run
on programs that gcc built with counters; gcov reads them. A line counts where any program ran it.
The exit code is 1 below LIMIT_PERCENT in all, or where a test fails.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from edge_runtime.firmware.build import FOLDER, SHIM_OBJECTS, shim_steps
from hil_tests.powercut.build import FLAGS, HARNESS, ZIG_FLAGS
from jouleloop.programs import require_program, zig_command
from tests.edge_runtime.host_board import TEST_C_FLAGS_VARIABLE

if TYPE_CHECKING:
    from collections.abc import Collection

LIMIT_PERCENT = 95.0
OUT = Path("out/coverage")
TESTS = "tests/edge_runtime"

# Source below the firmware's folder -> line -> how often it ran.
Counts = dict[str, dict[int, int]]


def run_tests(folder: Path) -> int:
    """Run the tests on programs with counters, which stay below the folder; pytest's exit code."""
    command = [sys.executable, "-m", "pytest", TESTS, "-m", "host_c", "-q"]
    environment = os.environ | {TEST_C_FLAGS_VARIABLE: "--coverage"}
    return subprocess.run(
        [*command, f"--basetemp={folder}"], env=environment, check=False
    ).returncode


def run_power_cuts(folder: Path) -> None:
    """Build the harness of the power-cut proof with counters, and run every scenario once."""
    folder.mkdir()
    for step in shim_steps(*ZIG_FLAGS):
        subprocess.run(step, cwd=folder, check=True)
    sign = zig_command("build-obj", str(HARNESS / "sign.zig"), *ZIG_FLAGS)
    subprocess.run(sign, cwd=folder, check=True)
    sources = [*portable_sources(), *sorted(HARNESS.glob("*.c"))]
    includes = [f"-I{FOLDER}/include", f"-I{FOLDER}/port"]
    flags = [*FLAGS, "-O1", "--coverage", "-no-pie", *includes]
    gcc = [require_program("gcc"), *flags, *map(str, sources), *SHIM_OBJECTS, "sign.o"]
    subprocess.run([*gcc, "-o", "powercut"], cwd=folder, check=True)
    subprocess.run([folder / "powercut", "1"], check=True, stdout=subprocess.DEVNULL)


def portable_sources() -> list[Path]:
    """The C that every board shares."""
    return sorted([*FOLDER.glob("src/*.c"), *FOLDER.glob("boot/*.c")])


def read_counts(folder: Path) -> Counts:
    """Put the counters of all programs below a folder together."""
    counts: Counts = {
        str(source.relative_to(FOLDER)): defaultdict(int) for source in portable_sources()
    }
    gcov = [require_program("gcov"), "--json-format", "--stdout"]
    for notes in sorted(folder.rglob("*.gcno")):
        done = subprocess.run([*gcov, notes], capture_output=True, text=True, check=True)
        for report in filter(None, done.stdout.splitlines()):
            for file in json.loads(report)["files"]:
                path = Path(file["file"])
                if not path.is_relative_to(FOLDER):
                    continue
                lines = counts.get(str(path.relative_to(FOLDER)), defaultdict(int))
                for line in file["lines"]:
                    lines[line["line_number"]] += line["count"]
    return counts


def percent(lines: Collection[int]) -> float:
    """Share of the lines that ran, by how often each did."""
    return 100 * sum(count > 0 for count in lines) / max(1, len(lines))


def show(counts: Counts, console: Console) -> float:
    """Print each file and all of them; returns the percentage of all."""
    table = Table("file", "lines", "run", "not run", title="line coverage of the portable C")
    everything: list[int] = []
    for source, lines in counts.items():
        missed = ", ".join(str(line) for line in sorted(lines) if not lines[line])
        table.add_row(source, str(len(lines)), f"{percent(lines.values()):.1f} %", missed)
        everything += lines.values()
    total = percent(everything)
    table.add_row("all", str(len(everything)), f"{total:.1f} %", f"limit {LIMIT_PERCENT:.0f} %")
    console.print(table)
    return total


def main() -> int:
    """Run everything and print the figures; returns the exit code."""
    shutil.rmtree(OUT, ignore_errors=True)
    OUT.mkdir(parents=True)
    folder = OUT.absolute()
    failed = run_tests(folder / "tests")
    run_power_cuts(folder / "powercut")
    total = show(read_counts(folder), Console())
    return 1 if failed or total < LIMIT_PERCENT else 0


if __name__ == "__main__":
    sys.exit(main())
