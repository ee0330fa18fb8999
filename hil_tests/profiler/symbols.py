"""Functions of an ELF file, and which one an address lies in."""

from __future__ import annotations

import struct
from bisect import bisect_right
from dataclasses import dataclass
from typing import TYPE_CHECKING

from jouleloop.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

# System V ABI, chapter 4 (object files), and "ELF for the Arm Architecture" (Thumb bit, $t marks).
_IDENT = b"\x7fELF\x01\x01\x01"  # 32 bits, little-endian, version 1
_SECTION = struct.Struct("<10I")
_SYMBOL = struct.Struct("<IIIBBH")
_SHT_SYMTAB = 2
_STT_NOTYPE, _STT_FUNC = 0, 2


@dataclass(frozen=True)
class Symbol:
    """A function.

    Args:
        name: as the linker knows it.
        address: of its first instruction, without the Thumb bit.
        size: in bytes; 0 when the symbol states none.
    """

    name: str
    address: int
    size: int


def read_symbols(path: Path) -> tuple[Symbol, ...]:
    """Functions and labels of a 32-bit little-endian ELF file, by address.

    Raises:
        InputError: it is no such file, or broken.
    """
    try:
        return parse_symbols(path.read_bytes())
    except FileNotFoundError as error:
        raise InputError(f"{path} is absent", hint="name the ELF file that QEMU booted") from error
    except (ValueError, struct.error, IndexError) as error:
        raise InputError(
            f"{path} is no whole 32-bit little-endian ELF file: {error}",
            hint="name the ELF file that QEMU booted",
        ) from error


def parse_symbols(content: bytes) -> tuple[Symbol, ...]:
    """Symbols of an ELF file's bytes; empty when it was stripped.

    Raises:
        ValueError: it is no such file, or broken; struct.error when it is cut off.
    """
    if not content.startswith(_IDENT):
        raise ValueError("it does not begin with an ELF header")
    (section_offset,) = struct.unpack_from("<I", content, 32)
    entry_bytes, count = struct.unpack_from("<HH", content, 46)
    if count and entry_bytes != _SECTION.size:
        raise ValueError(f"section headers of {entry_bytes} bytes, 40 expected")
    sections = [_SECTION.unpack_from(content, section_offset + 40 * k) for k in range(count)]
    symbols: dict[int, Symbol] = {}
    for section in sections:
        _, kind, _, _, offset, size, link, *_ = section
        if kind != _SHT_SYMTAB:
            continue
        if link >= len(sections):
            raise ValueError(f"a symbol table names section {link} of {len(sections)}")
        names = content[sections[link][4] : sections[link][4] + sections[link][5]]
        for at in range(offset, offset + size, _SYMBOL.size):
            name_at, value, length, info, _, home = _SYMBOL.unpack_from(content, at)
            name = names[name_at : names.find(b"\0", name_at)].decode("utf-8", "replace")
            # $t, $d and .L labels mark kinds of bytes, they name nothing; home 0 is not defined.
            if info & 15 not in (_STT_NOTYPE, _STT_FUNC) or home in (0, 0xFFF1) or not name:
                continue
            if name.startswith(("$", ".L")):
                continue
            symbol = Symbol(name, value & ~1, length)
            known = symbols.get(symbol.address)
            # Of two names for one place the one that states a size is the function's.
            if known is None or (known.size == 0 and length):
                symbols[symbol.address] = symbol
    return tuple(symbols[address] for address in sorted(symbols))


class Places:
    """Finds the function that an address lies in.

    Args:
        symbols: functions; one without a size reaches to the next.
        offset: added to every address: where position-independent code was loaded.
    """

    def __init__(self, symbols: Iterable[Symbol], offset: int = 0) -> None:
        ordered = sorted(symbols, key=lambda symbol: symbol.address)
        self._starts = [symbol.address + offset for symbol in ordered]
        self._symbols = ordered

    def find(self, address: int) -> Symbol | None:
        """The function at `address`, or None between functions."""
        k = bisect_right(self._starts, address) - 1
        if k < 0:
            return None
        symbol = self._symbols[k]
        is_inside = symbol.size == 0 or address < self._starts[k] + symbol.size
        return symbol if is_inside else None
