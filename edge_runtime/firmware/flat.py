"""From ELF files to the bytes that lie in flash, and how many there are."""

from __future__ import annotations

import struct

HEADER = struct.Struct("<16sHHIIIIIHHHHHH")  # ELF32, little-endian
SEGMENT = struct.Struct("<IIIIIIII")
SECTION = struct.Struct("<10I")
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


def section_bytes(elf: bytes) -> dict[str, int]:
    """Sizes of the sections of a 32-bit little-endian ELF file or object, by name."""
    header = HEADER.unpack_from(elf)
    table, entry_bytes, entries, names_index = header[6], header[11], header[12], header[13]
    sections = [SECTION.unpack_from(elf, table + k * entry_bytes) for k in range(entries)]
    names_at = sections[names_index][4]
    sizes: dict[str, int] = {}
    for section in sections:
        start = names_at + section[0]
        name = elf[start : elf.index(b"\0", start)].decode()
        sizes[name] = sizes.get(name, 0) + section[5]
    return sizes
