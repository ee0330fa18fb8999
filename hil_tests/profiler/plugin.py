"""Build our QEMU plugin, and say how QEMU is told to load it."""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from jouleloop.cache import BuildCache
from jouleloop.errors import InputError, MachineError
from jouleloop.programs import require_program

if TYPE_CHECKING:
    from collections.abc import Sequence

SOURCE = Path(__file__).with_name("plugin.c")
FLAGS = ("-std=c11", "-O2", "-shared", "-fPIC", "-fvisibility=hidden")
MAX_PARTS = 1023  # plugin.c's PARTS, less part 0


def build_plugin(source: Path = SOURCE) -> Path:
    """Path of a plugin, compiled by the host's gcc at the first need and kept by its hash.

    Args:
        source: its one C file.

    Raises:
        MissingToolError: gcc is not installed.
        MachineError: gcc refuses the source.
    """
    gcc = require_program("gcc")
    key = hashlib.sha256(source.read_bytes() + " ".join(FLAGS).encode()).hexdigest()[:16]

    def build(folder: Path) -> Path:
        built = folder / "plugin.so"
        run = subprocess.run(
            [gcc, *FLAGS, str(source), "-o", str(built)],
            capture_output=True,
            text=True,
            check=False,
        )
        if run.returncode != 0:
            raise MachineError(
                f"{gcc} cannot compile {source.name}: {run.stderr.strip()[-500:]}",
                hint="the profiler needs a gcc that makes shared objects for this machine",
            )
        return built

    return BuildCache("profiler").get(f"{source.stem}-{key}.so", build)


def plugin_arguments(
    counts: Path, *, window: tuple[int, int] | None = None, parts: Sequence[int] = ()
) -> list[str]:
    """QEMU's arguments that load the plugin.

    Args:
        counts: the file to write when QEMU exits (on SIGTERM too, not on SIGKILL).
        window: addresses of `jl_infer_begin` and `jl_infer_end`, or None for the whole run.
        parts: addresses at which a part of the work (a layer) starts, at most `MAX_PARTS`.

    Raises:
        InputError: too many parts.
        MachineError: the plugin cannot be built.
    """
    if len(parts) > MAX_PARTS:
        raise InputError(
            f"the profiler tells {MAX_PARTS} layers apart, the model has {len(parts)}",
            hint="profile it without its layers",
        )
    # QEMU splits at commas and reads two as one.
    options = [f"{build_plugin()},out={str(counts).replace(',', ',,')}"]
    if window is not None:
        # The Thumb bit of a function's symbol is no part of its address.
        options += [f"begin={window[0] & ~1:#x}", f"end={window[1] & ~1:#x}"]
    options += [f"part={part & ~1:#x}" for part in parts]
    return ["-plugin", ",".join(options)]
