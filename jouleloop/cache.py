"""Where built things that can be made again are kept between runs."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder() -> Path:
    """The user's cache folder for jouleloop, by the XDG Base Directory rule; may not exist yet."""
    # The rule says that a relative path in the variable is to be ignored.
    given = Path(os.environ.get("XDG_CACHE_HOME", ""))
    return (given if given.is_absolute() else Path.home() / ".cache") / "jouleloop"
