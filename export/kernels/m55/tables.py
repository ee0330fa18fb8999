"""Constants of a layer as C arrays that vectors may load."""

from __future__ import annotations

from typing import TYPE_CHECKING

from export.kernels.c_text import integer_array

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def table(name: str, values: NDArray[np.int8] | NDArray[np.int32]) -> str:
    """`static const` array at a multiple of 16 bytes; vectors of words must not straddle words."""
    return "_Alignas(16) " + integer_array(name, values)


def declare(signature: str, symbols: list[str]) -> str:
    """Prototypes of routines, each once; `signature` has {} for the symbol."""
    return "".join(f"{signature.format(symbol)};\n" for symbol in dict.fromkeys(symbols))
