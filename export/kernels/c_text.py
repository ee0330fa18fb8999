"""Pieces of the C that kernels are written in."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

_WORDS_PER_LINE = 8
_BYTES_PER_LINE = 20


def _lines(items: Iterable[str], per_line: int) -> str:
    texts = list(items)
    rows = [texts[start : start + per_line] for start in range(0, len(texts), per_line)]
    return ",\n".join("    " + ", ".join(row) for row in rows)


def word_array(name: str, words: NDArray[np.uint32]) -> str:
    """`static const uint32_t name[]` with the words in hexadecimal."""
    text = _lines((f"0x{int(word):08x}u" for word in words), _WORDS_PER_LINE)
    return f"static const uint32_t {name}[{words.size}] = {{\n{text}\n}};\n"


def integer_array(name: str, values: NDArray[np.int8] | NDArray[np.int32]) -> str:
    """`static const int8_t name[]` or `int32_t`, after the array's own type."""
    texts = (str(int(value)) if value != -(1 << 31) else "INT32_MIN" for value in values.ravel())
    per_line = _BYTES_PER_LINE if values.dtype == np.int8 else _WORDS_PER_LINE
    text = _lines(texts, per_line)
    return f"static const {values.dtype}_t {name}[{values.size}] = {{\n{text}\n}};\n"


def as_words(values: NDArray[np.int64]) -> NDArray[np.uint32]:
    """Values modulo 2^32."""
    return (values & 0xFFFFFFFF).astype(np.uint32)


def halves_as_words(halves: NDArray[np.int16]) -> NDArray[np.uint32]:
    """Pairs along the last axis, the first in the low half: [..., 2n] to [..., n]."""
    return np.ascontiguousarray(halves.astype("<i2")).view("<u4")
