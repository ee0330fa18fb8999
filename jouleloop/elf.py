"""What the linker made: sections, symbols and stack sizes of a 32-bit little-endian ELF file."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

# System V ABI, figures 4-3, 4-8 and 4-16 (ELF-32).
HEADER = struct.Struct("<16sHHIIIIIHHHHHH")
SECTION = struct.Struct("<IIIIIIIIII")
SYMBOL = struct.Struct("<IIIBBH")
SHT_SYMTAB, SHT_NOBITS = 2, 8
SHF_ALLOC = 2
STT_NOTYPE, STT_OBJECT, STT_FUNC = 0, 1, 2
IDENTITY = b"\x7fELF\x01\x01"  # 32 bits, little-endian


@dataclass(frozen=True)
class Section:
    """A section with its content; `is_loaded` where it takes memory on the target.

    Args:
        target_bytes: its size there. `.bss` and its like have a size and no content.
    """

    name: str
    kind: int
    is_loaded: bool
    address: int
    link: int
    target_bytes: int
    content: bytes


@dataclass(frozen=True)
class Symbol:
    """A function or an object; a Thumb function's address is odd."""

    name: str
    address: int
    bytes: int
    is_function: bool


class Elf:
    """An ELF file in memory.

    Raises:
        ValueError: not a 32-bit little-endian ELF file.
    """

    def __init__(self, content: bytes) -> None:
        if not content.startswith(IDENTITY):
            raise ValueError("not a 32-bit little-endian ELF file")
        self.content = content

    @cached_property
    def sections(self) -> tuple[Section, ...]:
        """Every section, in the file's order."""
        header = HEADER.unpack_from(self.content)
        offset, size, count, names_at = header[6], header[11], header[12], header[13]
        rows = [SECTION.unpack_from(self.content, offset + i * size) for i in range(count)]
        names = self._bytes(rows[names_at])
        return tuple(self._section(names, row) for row in rows)

    def _section(self, names: bytes, row: tuple[int, ...]) -> Section:
        is_loaded = bool(row[2] & SHF_ALLOC)
        content = b"" if row[1] == SHT_NOBITS else self._bytes(row)
        return Section(_text(names, row[0]), row[1], is_loaded, row[3], row[6], row[5], content)

    def _bytes(self, row: tuple[int, ...]) -> bytes:
        return self.content[row[4] : row[4] + row[5]]

    def has(self, name: str) -> bool:
        """Whether there is a section of this name; the linker leaves out empty ones."""
        return any(section.name == name for section in self.sections)

    def section(self, name: str) -> Section:
        """A section by name.

        Raises:
            ValueError: there is none.
        """
        for section in self.sections:
            if section.name == name:
                return section
        raise ValueError(f"the ELF file has no section {name}")

    @cached_property
    def symbols(self) -> tuple[Symbol, ...]:
        """Functions and objects, in the order of their addresses."""
        kinds = {STT_FUNC, STT_OBJECT}
        return tuple(symbol for symbol, kind in self._all_symbols if kind in kinds)

    @cached_property
    def labels(self) -> dict[str, int]:
        """Addresses that have a name and no size, such as those of a linker script."""
        return {symbol.name: symbol.address for symbol, kind in self._all_symbols if not kind}

    @cached_property
    def marks(self) -> tuple[tuple[int, bool], ...]:
        """(address, whether code follows), in order: the mapping symbols $t and $d."""
        marks = (
            (symbol.address, symbol.name[1] == "t")
            for symbol, kind in self._all_symbols
            if kind == STT_NOTYPE and symbol.name[:2] in {"$t", "$d"}
        )
        return tuple(sorted(marks))

    @cached_property
    def _all_symbols(self) -> tuple[tuple[Symbol, int], ...]:
        """(symbol, its type), by address."""
        table = next(section for section in self.sections if section.kind == SHT_SYMTAB)
        names = self.sections[table.link].content
        found = []
        for name, value, size, info, _, _ in SYMBOL.iter_unpack(table.content):
            kind = info & 0xF
            found.append((Symbol(_text(names, name), value, size, kind == STT_FUNC), kind))
        return tuple(sorted(found, key=lambda row: (row[0].address, row[0].name)))

    def read(self, address: int, size: int) -> bytes:
        """What the target's memory holds once the file is loaded.

        Raises:
            ValueError: no section reaches there.
        """
        for section in self.sections:
            at = address - section.address
            if section.is_loaded and at >= 0 and at + size <= len(section.content):
                return section.content[at : at + size]
        raise ValueError(f"the ELF file holds nothing at {address:#x}")

    def symbol(self, name: str) -> Symbol:
        """A symbol by name.

        Raises:
            ValueError: there is none.
        """
        for symbol in self.symbols:
            if symbol.name == name:
                return symbol
        raise ValueError(f"the ELF file has no symbol {name}")

    def stack_sizes(self) -> Iterator[tuple[int, int]]:
        """(address, stack bytes) of the functions compiled with `-fstack-size-section`."""
        content = self.section(".stack_sizes").content
        at = 0
        while at < len(content):
            (address,) = struct.unpack_from("<I", content, at)
            at += 4
            size = shift = 0
            while True:  # ULEB128
                byte = content[at]
                at += 1
                size |= (byte & 0x7F) << shift
                shift += 7
                if not byte & 0x80:
                    break
            yield address, size


def _text(table: bytes, offset: int) -> str:
    return table[offset : table.index(b"\0", offset)].decode()
