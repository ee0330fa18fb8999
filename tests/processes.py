"""Which programs run, as /proc tells it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


def programs_with(tag: str, *, names: Iterable[str]) -> dict[int, str]:
    """Living programs whose environment holds a setting.

    Args:
        tag: `NAME=value`, as the program got it when it started.
        names: programs to look for, as the kernel calls them; it cuts names after 15 characters.

    Returns:
        Process id -> name. Zombies have no environment any more, so they do not count.
    """
    wanted = {name[:15] for name in names}
    found = {}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            name = (process / "comm").read_text().strip()
            if name in wanted and tag.encode() in (process / "environ").read_bytes().split(b"\0"):
                found[int(process.name)] = name
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue  # ended meanwhile, or somebody else's
    return found
