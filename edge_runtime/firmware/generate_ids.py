"""Writes include/jl_smp_ids.h from the numbers in `edge_runtime/wire/smp.py`.

Usage: python -m edge_runtime.firmware.generate_ids [--check]   (--check: exit 1 where it is stale)
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from edge_runtime.wire import smp

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from enum import IntEnum

HEADER_FILE = Path(__file__).parent / "include" / "jl_smp_ids.h"
HEAD = """\
/*
 * Numbers of SMP, the MCUmgr management protocol.
 * Generated from edge_runtime/wire/smp.py by edge_runtime/firmware/generate_ids.py; do not edit.
 */
#ifndef JL_SMP_IDS_H
#define JL_SMP_IDS_H
"""
CONSTANTS = (
    "VERSION_1",
    "VERSION_2",
    "HEADER_BYTES",
    "MIN_BUFFER_BYTES",
    "MAX_LINE_BYTES",
    "IMAGE_FIRMWARE",
    "IMAGE_MODEL",
    "SLOTS_PER_IMAGE",
)


def _numbers(prefix: str, members: Iterable[IntEnum], name: str = "") -> Iterator[str]:
    yield f"enum {name} {{" if name else "enum {"
    yield from (f"    {prefix}_{member.name} = {int(member)}," for member in members)
    yield "};\n"


def _errors(prefix: str, group: int, members: Iterable[smp.ErrorCode]) -> Iterator[str]:
    for member in members:
        yield f"    /** {member.explanation} */"
        yield f"    {prefix}_{member.name} = {group << 16 | member},"


def header() -> str:
    """What the file must hold."""
    lines = [HEAD, "enum {"]
    lines += [f"    JL_SMP_{name} = {getattr(smp, name)}," for name in CONSTANTS]
    lines += [
        f"    JL_SMP_FRAME_{part} = {value},"
        for part, value in zip(
            ("START_0", "START_1", "CONTINUE_0", "CONTINUE_1"),
            smp.FRAME_START + smp.FRAME_CONTINUE,
            strict=True,
        )
    ]
    lines.append("};\n")
    lines += _numbers("JL_SMP", smp.Operation)
    lines += _numbers("JL_GROUP", smp.Group)
    lines += _numbers("JL_OS", smp.OsCommand)
    lines += _numbers("JL_IMAGE", smp.ImageCommand)
    lines += _numbers("JL_STAT", smp.StatCommand)
    lines += _numbers("JL_NODE", smp.NodeCommand)
    lines += _numbers("JL_CLOCK", smp.Clock, name="jl_clock")
    lines += [
        "/**",
        " * What an operation gave: group << 16 | code. The protocol's own codes have no group.",
        " */",
        "typedef enum {",
        "    JL_OK = 0,",
        *_errors("JL_ERROR", 0, smp.ProtocolError),
        *_errors("JL_IMAGE_ERROR", smp.Group.IMAGE, smp.ImageError),
        *_errors("JL_NODE_ERROR", smp.Group.NODE, smp.NodeError),
        "} jl_status;\n",
        "#endif\n",
    ]
    return "\n".join(lines)


def main() -> int:
    """Write or check the file; returns the exit code."""
    if sys.argv[1:] == ["--check"]:
        if not HEADER_FILE.is_file() or HEADER_FILE.read_text(encoding="utf-8") != header():
            print(f"{HEADER_FILE.name} is stale; run: python -m {__spec__.name}", file=sys.stderr)
            return 1
        return 0
    HEADER_FILE.write_text(header(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
