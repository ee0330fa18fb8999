"""Rules of this house that no general linter knows; each message says what to do instead.

Usage: python .ci/house_rules.py [FILE...]   (default: every file that git tracks)
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_LINES = 500
MAX_FILE_BYTES = 512 * 1024
CODE = {".py", ".c", ".h", ".S", ".ld", ".zig", ".js", ".html"}
# Put together from parts, so that this file does not break its own rules.
MACHINE_PATH = re.compile(
    r"(?<![\w./])/(?:" + "|".join(("home", "root", "work", "Users")) + r")/\w"
)
REGISTRY = re.compile(
    "|".join(
        (
            r"pypi\." + "org",
            r"python" + "hosted",
            r"deb\.debian" + r"\.org",
            r"registry\.npm" + "js",
            r"--(?:extra-)?index" + "-url",
            r"--find" + "-links",
        )
    )
)
UNFINISHED = re.compile(r"\b(?:" + "|".join(("TO" + "DO", "FIX" + "ME", "X" + "XX")) + r")\b")
SILENCED = re.compile(
    r"#\s*(?:noqa|type:\s*ignore)(?::\s*[A-Z]+\d+(?:,\s*[A-Z]+\d+)*|\[[\w, -]*\])?(?P<reason>.*)$"
)


def broken_rules(path: Path) -> Iterator[str]:
    """What a file breaks, one line each: `path:line: what; what to do instead`."""
    content = path.read_bytes()
    if len(content) > MAX_FILE_BYTES:
        yield (
            f"{path}: {len(content)} bytes, at most {MAX_FILE_BYTES}; make it in the build, or "
            "ship it as a package"
        )
    try:
        lines = content.decode().splitlines()
    except UnicodeDecodeError:
        return  # not text
    if path.suffix in CODE and len(lines) > MAX_LINES:
        yield f"{path}: {len(lines)} lines, at most {MAX_LINES}; move a part to a file of its own"
    for number, line in enumerate(lines, start=1):
        place = f"{path}:{number}"
        if found := MACHINE_PATH.search(line):
            yield f"{place}: {found[0]!r}... is a path of one machine; find the place at run time"
        if found := REGISTRY.search(line):
            yield f"{place}: {found[0]!r} names a registry; which one to use is the user's choice"
        if found := UNFINISHED.search(line):
            yield f"{place}: {found[0]}: finish it, or open an issue and take the line out"
        if path.suffix == ".py" and (found := SILENCED.search(line)):
            yield from _silenced_without_reason(place, lines, number, found)


def _silenced_without_reason(
    place: str, lines: list[str], number: int, found: re.Match[str]
) -> Iterator[str]:
    reason_above = number > 1 and lines[number - 2].lstrip().startswith("#")
    if not found["reason"].strip() and not reason_above:
        yield f"{place}: a silenced warning needs its reason: behind it, or in a comment above"


def main() -> int:
    """Check the files; returns the exit code."""
    if len(sys.argv) > 1:
        paths = [Path(name) for name in sys.argv[1:]]
    else:
        listing = subprocess.run(["git", "ls-files", "-z"], check=True, capture_output=True)
        paths = [Path(name) for name in listing.stdout.decode().split("\0") if name]
    broken = [rule for path in paths if path.is_file() for rule in broken_rules(path)]
    print("\n".join(broken) if broken else f"house rules: {len(paths)} files keep them")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
