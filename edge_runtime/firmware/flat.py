"""From an ELF file to the bytes that lie in flash."""

from __future__ import annotations

import struct

HEADER = struct.Struct("<16sHHIIIIIHHHHHH")  # ELF32, little-endian
SEGMENT = struct.Struct("<IIIIIIII")
LOAD = 1


def flatten(elf: bytes, base: int) -> bytes:
    """What the linker placed at `base` and behind it, by load address; gaps are erased flash.

    Args:
        elf: a 32-bit little-endian executable.
        base: address of the first byte.

    Raises:
        ValueError: something is to be loaded below `base`.
    """
    _, _, _, _, _, table, _, _, _, entry_bytes, entries, *_ = HEADER.unpack_from(elf)
    content = bytearray()
    for index in range(entries):
        segment = SEGMENT.unpack_from(elf, table + index * entry_bytes)
        kind, offset, _, load_address, file_bytes, *_ = segment
        if kind != LOAD or file_bytes == 0:
            continue
        at = load_address - base
        if at < 0:
            raise ValueError(f"a segment is loaded at {load_address:#x}, below {base:#x}")
        content.extend(b"\xff" * (at + file_bytes - len(content)))
        content[at : at + file_bytes] = elf[offset : offset + file_bytes]
    return bytes(content)
