"""Where built things that can be made again are kept between runs."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

UNUSED_S = 14 * 24 * 3600
"""What nobody asked for in this long is removed."""


def cache_folder() -> Path:
    """The user's cache folder for jouleloop, by the XDG Base Directory rule; may not exist yet."""
    # The rule says that a relative path in the variable is to be ignored.
    given = Path(os.environ.get("XDG_CACHE_HOME", ""))
    return (given if given.is_absolute() else Path.home() / ".cache") / "jouleloop"


class BuildCache:
    """Files and folders that are built at most once, each named after all that goes into it.

    Two processes that build the same at once do not disturb each other: each works in a folder of
    its own, and what is finished takes its place in one step.

    Args:
        kind: of what it keeps; its folder in the cache.
    """

    def __init__(self, kind: str) -> None:
        self.folder = cache_folder() / kind

    def get(self, name: str, build: Callable[[Path], Path]) -> Path:
        """What is kept under a name, built now if it is not there.

        Args:
            name: changes with everything that the result depends on.
            build: given an empty folder to work in, writes the file or folder there and says where.

        Returns:
            Its place in the cache.
        """
        kept = self.folder / name
        if not kept.exists():
            self.folder.mkdir(parents=True, exist_ok=True)
            self._remove_unused()
            with tempfile.TemporaryDirectory(dir=self.folder, prefix="build-") as work:
                _put(build(Path(work)), kept)
        # A cache that somebody else owns still serves.
        with contextlib.suppress(PermissionError):
            os.utime(kept)
        return kept

    def _remove_unused(self) -> None:
        oldest_s = time.time() - UNUSED_S
        for entry in self.folder.iterdir():
            # Another process may remove it at the same time, or may own it.
            with contextlib.suppress(OSError):
                if entry.lstat().st_mtime < oldest_s:
                    if entry.is_dir():
                        shutil.rmtree(entry)
                    else:
                        entry.unlink()


def _put(made: Path, kept: Path) -> None:
    try:
        made.replace(kept)
    except OSError:
        # A folder does not replace one that another process put there meanwhile.
        if not kept.exists():
            raise
